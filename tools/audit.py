"""Ask pip-audit whether a known vulnerability is in the pinned versions, and take no silence for a yes.

    make audit          (.venv-audit/bin/python tools/audit.py deploy/constraints.txt)

Exit codes: 0 every version was looked up and none is known to be vulnerable; 1 some are, each named; 3 the service
could not be asked, or does not know all of them: then nothing is known, and this says so. pip-audit by itself ends with
0 for versions that the service does not know, as where an index without vulnerability data stands in front of PyPI.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

OK, VULNERABLE, NOT_AUDITED = 0, 1, 3
_NAMED = 5  # versions that were not looked up, and lines of pip-audit's own trouble, at most
_SECONDS = 600.0  # for all versions together


def judge(stdout: str, stderr: str, pinned: int) -> tuple[int, str]:
    """(exit code, what to say) of what `pip-audit --format=json` wrote about so many pinned versions."""
    try:
        found = json.loads(stdout)["dependencies"]
    except (ValueError, KeyError, TypeError):
        trouble = [line.strip() for line in stderr.splitlines() if line.strip()][-1:] or ["pip-audit said nothing"]
        return NOT_AUDITED, f"NOT AUDITED: the vulnerability service could not be asked: {trouble[0]}"
    lines = [
        f"{each['name']} {each['version']}: {vulnerability['id']}, {_fixed(vulnerability['fix_versions'])}"
        for each in found
        for vulnerability in each.get("vulns", ())
    ]
    skipped = [each["name"] for each in found if "skip_reason" in each]
    unknown = len(skipped) + max(0, pinned - len(found))
    if unknown:
        names = ", ".join(skipped[:_NAMED]) + (", ..." if len(skipped) > _NAMED else "")
        lines.append(
            f"NOT AUDITED: the service knows nothing of {unknown} of {pinned} versions ({names or 'not named'})"
        )
    if any(each.get("vulns") for each in found):
        return VULNERABLE, "\n".join(lines)
    if unknown:
        return NOT_AUDITED, "\n".join(lines)
    return OK, f"{pinned} pinned versions, none with a known vulnerability"


def _fixed(versions: Sequence[str]) -> str:
    return f"mended in {', '.join(versions)}" if versions else "no version without it yet"


def pins(text: str) -> list[str]:
    """The `name==version` lines of a constraints file."""
    return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]


def main(argv: Sequence[str] | None = None) -> int:
    """Audit one constraints file; the exit code."""
    parser = argparse.ArgumentParser(description="Known vulnerabilities in pinned versions.")
    parser.add_argument("constraints", type=Path, help="a file of name==version lines")
    args = parser.parse_args(argv)
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(args.constraints), "--no-deps", "--disable-pip"]
    try:
        done = subprocess.run(
            [*command, "--format=json", "--progress-spinner=off"],
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        print(f"NOT AUDITED: no end after {_SECONDS:.0f} s")
        return NOT_AUDITED
    code, text = judge(done.stdout, done.stderr, len(pins(args.constraints.read_text("utf-8"))))
    print(text)
    return code


if __name__ == "__main__":
    sys.exit(main())
