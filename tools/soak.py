"""Feeder, exchange simulator and consumers under one fault script after another; no LIVE book may ever be wrong.

    make soak                    all of it; 0 only when everything holds
    .venv/bin/python tools/soak.py [--only TEXT ...] [--seed N] [--json] [--list]

Every script has programs of its own: the simulator, `feeder run`, consumers under test behind a bad network, and a
reference consumer behind a good one. Audited (soak_audit.py): each LIVE book at each change, against the reference at
the same (session, instrument, sequence) and the exchange at the same update; books that say LIVE and are over a second
behind; books that stop being LIVE without an event; and what comes back, and when. With all of them loss_counts.py and
hostile.py run as well.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from soak_program import Program
from soak_report import as_json, table
from soak_row import Row
from soak_run import play
from soak_scripts import SCRIPTS, Script

from tests.helpers.processes import multicast_port

ROOT = Path(__file__).resolve().parent.parent
_BESIDE = ("loss_counts", "hostile")  # tools of this checkout that are part of the whole
_AT_ONCE = 2  # scripts; their programs are idle most of the time


async def run(
    scripts: Sequence[Script], beside: Sequence[str], seed: int, package: Path, at_once: int
) -> tuple[list[Row], dict[str, dict[str, Any]]]:
    """All of them, in their order, `at_once` at a time; first the tools `beside`, which need no network."""
    places = asyncio.Semaphore(at_once)

    async def one(script: Script) -> Row:
        async with places:
            row = await play(script, seed, package, multicast_port())
        print(f"{script.name}: {'holds' if row.good else 'FAILS'}, {row.seconds:.0f} s", file=sys.stderr, flush=True)
        return row

    async def other(name: str) -> dict[str, Any]:
        async with places:
            return await _result_of(name, seed, package)

    async with asyncio.TaskGroup() as tasks:
        counting = {name: tasks.create_task(other(name)) for name in beside}
        playing = [tasks.create_task(one(script)) for script in scripts]
    return [task.result() for task in playing], {name: task.result() for name, task in counting.items()}


async def _result_of(name: str, seed: int, package: Path) -> dict[str, Any]:
    """What another tool says as JSON; `good` is whether it ended with 0."""
    with tempfile.TemporaryDirectory(prefix="feeder-soak-") as folder:
        arguments = (str(Path(__file__).parent / f"{name}.py"), "--json", f"--seed={seed}")
        program = await Program.start(arguments, Path(folder) / f"{name}.log", package)
        try:
            said, _ = await program.process.communicate()
        finally:
            if program.running:
                await program.kill()
        result: dict[str, Any] = json.loads(said) if said.strip() else {"problem": program.last_words}
    result["good"] = program.process.returncode == 0
    print(f"{name}: {'holds' if result['good'] else 'FAILS'}", file=sys.stderr, flush=True)
    return result


def chosen(texts: Sequence[str]) -> list[Script]:
    """The scripts that have one of the texts for a name, or hold it in their name if none has; all without texts."""
    names = {script.name for script in SCRIPTS}
    return [
        script
        for script in SCRIPTS
        if not texts or any(script.name == text if text in names else text in script.name for text in texts)
    ]


def main() -> int:
    """0 only if everything holds."""
    parser = argparse.ArgumentParser(description="No consumer ever believes a wrong book: asked of every fault script.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="scripts by name, or part of it")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    parser.add_argument("--list", action="store_true", help="name the scripts")
    parser.add_argument("--at-once", type=int, default=_AT_ONCE, metavar="N", help="scripts (default %(default)s)")
    parser.add_argument(
        "--feeder-path", type=Path, default=ROOT, metavar="DIR", help="the folder whose feeder package is run (this)"
    )
    args = parser.parse_args()
    scripts = chosen(args.only)
    if not scripts:
        parser.error(f"no script holds {' or '.join(args.only)}; --list names them")
    if not (args.feeder_path / "feeder" / "__main__.py").is_file():
        parser.error(f"{args.feeder_path} holds no feeder package")
    beside = () if args.only or args.feeder_path != ROOT else _BESIDE
    if args.list:
        print("\n".join(script.name for script in scripts))
        return 0
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell started it in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        rows, others = asyncio.run(run(scripts, beside, args.seed, args.feeder_path.resolve(), max(1, args.at_once)))
    except KeyboardInterrupt:  # what was started has ended
        return 130
    good = all(row.good for row in rows) and all(result["good"] for result in others.values())
    print(json.dumps(as_json(rows, seed=args.seed, good=good, **others)) if args.json else table(rows, others))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
