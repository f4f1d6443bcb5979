"""The soak against builds that are broken on purpose: it has to catch each, and for the right reason.

    .venv/bin/python tools/broken_builds.py [--only TEXT ...] [--seed N] [--json]

Of each: feeder/ is copied to a temporary folder, one rule is taken out by an exact replacement (one that no longer fits
the source ends this at once), and one script of the soak is run on the copy. Caught is what leaves wrong LIVE books in
the audit, not what merely misses a figure. The same scripts on an unbroken copy have to hold. Exit 0 only then.
"""

import argparse
import asyncio
import contextlib
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soak_run import play
from soak_scripts import SCRIPTS

from tests.helpers.processes import multicast_port

ROOT = Path(__file__).resolve().parent.parent
_AT_ONCE = 2  # soaks; their programs are idle most of the time

CONSUMER_IS_WRONG = "was LIVE and wrong"
FEEDER_IS_WRONG = "is not the exchange's"
"""What the audit says (soak_audit.py) of a consumer's book that is not the feeder's, of a feeder's that is not true."""


class BuildError(Exception):
    """A build cannot be made: the source is not what its changes were written for."""


@dataclass(frozen=True)
class Change:
    """In a file, `old`, which stands there once, becomes `new`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True)
class Build:
    """A way to be broken. `script`: the soak's, by its name; `reason`: what the audit has to say of it."""

    name: str
    script: str
    reason: str
    changes: tuple[Change, ...] = ()


BUILDS = (
    Build(
        "consumer without the instrumentSequence check",
        "2 % lost on both lines, 20 % of the answers as well",
        CONSUMER_IS_WRONG,
        (
            Change(
                "feeder/client/recovery.py",
                "        if numbered[0].instrument_sequence > expected and self._may_come(view):\n",
                "        if False:\n",
            ),
            Change(
                "feeder/client/recovery.py",
                "            if body.instrument_sequence != expected:\n",
                "            if False:\n",
            ),
        ),
    ),
    Build(
        "feeder without the continuity check of u",
        "the exchange misbehaves, 5 % lost on each line",
        FEEDER_IS_WRONG,
        (
            Change(
                "feeder/book/sync.py",
                "        if update.first_update_id == self._next and update_id > 1",
                "        if self._next is not None and update_id > 1",
            ),
        ),
    ),
    Build(
        "folding that drops a level",
        "overload, 1 % lost on each line",
        FEEDER_IS_WRONG,
        (
            Change(
                "feeder/pipeline/fold.py",
                "        self.generation = update.generation\n        self._take_levels(update)\n",
                "        self.generation = update.generation\n        self._take_levels(update)\n"
                "        if self._bid_levels:\n            self._bid_levels.popitem()\n",
            ),
        ),
    ),
    Build(
        "consumer that ignores checksums",
        "altered packets",
        CONSUMER_IS_WRONG,
        (
            Change(
                "feeder/client/recovery.py", "        elif body.checksum == view.checksum():\n", "        elif True:\n"
            ),
            Change(
                "feeder/client/recovery.py",
                "        if begin.status is BookStatus.LIVE and view.checksum() != end.checksum:\n",
                "        if False:\n",
            ),
        ),
    ),
)


@dataclass
class Verdict:
    """What the soak made of a build. `said`: the first that it found; `good`: caught, or held if it was to hold."""

    build: str
    script: str
    good: bool
    compared: int
    wrong: int
    said: str
    problems: list[str] = field(default_factory=list)
    seconds: float = 0.0


def make(folder: Path, changes: Sequence[Change]) -> None:
    """A copy of feeder/ in a folder, changed. Raises BuildError when a change does not fit exactly once."""
    shutil.copytree(ROOT / "feeder", folder / "feeder", ignore=shutil.ignore_patterns("__pycache__"))
    for change in changes:
        path = folder / change.path
        source = path.read_text("utf-8")
        found = source.count(change.old)
        if found != 1:
            raise BuildError(f"{change.path}: found {found} times, not once: {change.old.strip()!r}")
        path.write_text(source.replace(change.old, change.new), "utf-8")


async def run(builds: Sequence[Build], seed: int) -> list[Verdict]:
    """Each build, and an unbroken one, by its script. Raises BuildError before anything runs."""
    scripts = {script.name: script for script in SCRIPTS}
    unbroken = [Build("unbroken", name, "") for name in dict.fromkeys(build.script for build in builds)]
    places = asyncio.Semaphore(_AT_ONCE)

    async def one(build: Build, folder: Path) -> Verdict:
        async with places:
            row = await play(scripts[build.script], seed, folder, multicast_port())
        findings = [problem for problem in row.problems if build.reason and build.reason in problem]
        good = bool(findings) if build.reason else row.good
        said = (findings or row.problems or [""])[0]
        print(f"{build.name}, {build.script}: {'as it should be' if good else 'NOT'}", file=sys.stderr, flush=True)
        return Verdict(build.name, build.script, good, row.compared, row.wrong, said, row.problems, row.seconds)

    with tempfile.TemporaryDirectory(prefix="feeder-broken-") as temporary:
        made = []
        for number, build in enumerate([*builds, *unbroken]):
            folder = Path(temporary) / str(number)
            make(folder, build.changes)
            made.append((build, folder))
        # Python looks for feeder in the folder it is started in first, and would find this checkout's.
        with contextlib.chdir(temporary):
            async with asyncio.TaskGroup() as tasks:
                playing = [tasks.create_task(one(build, folder)) for build, folder in made]
    return [task.result() for task in playing]


def table(verdicts: Sequence[Verdict]) -> str:
    """The verdicts as Markdown."""
    lines = ["| build | the soak's script | books compared | wrong | it says | |", "|---|---|---|---|---|---|"]
    for each in verdicts:
        good = "good" if each.good else "NOT GOOD"
        lines.append(f"| {each.build} | {each.script} | {each.compared:,} | {each.wrong:,} | {each.said} | {good} |")
    return "\n".join(lines)


def main() -> int:
    """0 only if every broken build was caught and every unbroken one held."""
    parser = argparse.ArgumentParser(description="The soak against builds that are broken on purpose.")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="builds whose name holds one of these")
    parser.add_argument("--seed", type=int, default=1, help="of the soak (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    args = parser.parse_args()
    builds = [build for build in BUILDS if not args.only or any(text in build.name for text in args.only)]
    if not builds:
        parser.error(f"no build holds {' or '.join(args.only)}; there are: {', '.join(b.name for b in BUILDS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell started it in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        verdicts = asyncio.run(run(builds, args.seed))
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # what was started has ended
        return 130
    good = all(verdict.good for verdict in verdicts)
    print(json.dumps({"good": good, "verdicts": [asdict(each) for each in verdicts]}) if args.json else table(verdicts))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
