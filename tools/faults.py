"""What a consumer sees, and for how long, when the exchange misbehaves: fault after fault, on the real programs.

    .venv/bin/python tools/faults.py [--json] [--only TEXT ...]

Per fault a simulator and a feeder are started as processes of their own; the consumer is here, and audited: at every
change of a book it shows as LIVE, that book is held against the simulator's own at the same update. Exit 1 if any
differed, or if a book is not LIVE and equal at the end.
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from feeder.client import ViewStatus
from tests.helpers.scene import Scene, scene

SYMBOLS = 40
RATE = 400.0  # book updates per second, together
RECOVERY_SECONDS = 60.0
NOTICE_SECONDS = 20.0
SETTLE_SECONDS = 2.0  # a fault has had its effect, if any, so long after its own time is over
BOOK = {"category": "linear", "symbol": "BTCUSDT"}
VICTIM = ("linear", "BTCUSDT")


@dataclass(frozen=True)
class Scenario:
    """Faults that go together. `harmless`: nobody is to notice them; `delisted`: the victim never comes back."""

    name: str
    faults: tuple[dict[str, Any], ...]
    harmless: bool = False
    delisted: bool = False


def _book(fault: str, **keys: Any) -> dict[str, Any]:
    return {"fault": fault, **BOOK, **keys}


def _linear(fault: str, **keys: Any) -> dict[str, Any]:
    return {"fault": fault, "category": "linear", **keys}


CUT = {"fault": "disconnect"}
SCENARIOS = (
    Scenario("gap", (_book("gap"),)),
    Scenario("duplicate", (_book("duplicate"),), harmless=True),
    Scenario("out of order", (_book("out_of_order"),)),
    Scenario("crossed book", (_book("crossed"),)),
    Scenario("price no number", (_book("malformed"),)),
    Scenario("no JSON", (_linear("raw", text='{"topic":'),)),
    Scenario("snapshot in mid-stream", (_book("snapshot"),), harmless=True),
    Scenario("restart, u = 1", (_book("restart"),), harmless=True),
    Scenario("gap, 2 resubscribes refused", (_book("refuse", times=2), _book("gap"))),
    Scenario("one of 2 connections cut", (_linear("disconnect", count=1),)),
    Scenario("all connections cut", (CUT,)),
    Scenario("one connection half-open", (_linear("half_open", count=1),)),
    Scenario("half-open for 2 s", (_linear("half_open", seconds=2),)),
    Scenario("2 s late for 10 s", (_linear("slow", delay=2, seconds=10),), harmless=True),
    Scenario("8 s late for 20 s", (_linear("slow", delay=8, seconds=20),)),
    Scenario("20 kB/s for 20 s", (_linear("slow", bytes_per_second=20_000, seconds=20),)),
    Scenario("held 2 s, then at once", (_linear("bursty", seconds=2),), harmless=True),
    Scenario("held 10 s, then at once", (_linear("bursty", seconds=10),)),
    Scenario("4 times the rate, 10 s", ({"fault": "surge", "times": 4, "seconds": 10},), harmless=True),
    Scenario("times 60 s old, for 10 s", (_linear("old_data", age=60, seconds=10),)),
    Scenario("times stuck for 15 s", (_linear("stuck_times", seconds=15),)),
    Scenario("tick finer", (_book("tick_change", tick="0.001"),)),
    Scenario("delisted, nothing else", (_book("delist"),), harmless=True),
    Scenario("delisted: Closed, cut", (_book("delist"), CUT), delisted=True),
    Scenario("delisted: not listed, cut", (_book("delist", status="gone"), CUT), delisted=True),
    *(
        Scenario(
            f"step finer, REST {how}",
            ({"fault": "rest", "how": how, "seconds": 5}, _book("tick_change", step="0.0001")),
        )
        for how in (403, 429, 500, "hang", "truncated", "html", "wrong_json")
    ),
)


@dataclass
class Row:
    """What the consumer saw of one scenario: `saw` counts books per status. Seconds; None: nothing was noticed."""

    fault: str
    saw: dict[str, int] = field(default_factory=dict)
    noticed_after: float | None = None
    lost_longest: float = 0.0
    compared: int = 0
    wrong: int = 0
    equal: bool = False
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Nobody was ever lied to, and all is well at the end."""
        return self.equal and not self.wrong and not self.problems


async def play(scenario: Scenario) -> Row:
    """Stage one scenario."""
    row = Row(scenario.name)
    but = (VICTIM,) if scenario.delisted else ()
    with tempfile.TemporaryDirectory(prefix="feeder-faults-") as folder:
        try:
            async with scene(Path(folder), symbols=SYMBOLS, rate=RATE) as staged:
                for entry in scenario.faults:
                    done = await staged.inject(**entry)
                try:
                    await _run(staged, scenario, but)
                    row.equal = True
                finally:
                    _measure(staged, row, done["wall_ns"])
        except AssertionError as error:
            row.problems.append(str(error).splitlines()[0])
    return row


async def _run(staged: Scene, scenario: Scenario, but: tuple[tuple[str, str], ...]) -> None:
    """Let the faults have their time, and everything come back."""
    if not scenario.harmless:
        await staged.until(lambda: bool(staged.lost), NOTICE_SECONDS, "the fault to be noticed")
    await staged.pass_time(max(entry.get("seconds", 0.0) for entry in scenario.faults) + SETTLE_SECONDS)
    if scenario.delisted:
        victim = staged.consumer.book(*VICTIM)
        await staged.until(lambda: victim.status is ViewStatus.DELISTED, RECOVERY_SECONDS, "the victim DELISTED")
    await staged.ends_well(RECOVERY_SECONDS, but=but)


def _measure(staged: Scene, row: Row, since_ns: int) -> None:
    auditor = staged.auditor
    row.saw = {f"{status.name} {reason.name}": count for (status, reason), count in auditor.lost().items()}
    row.noticed_after = auditor.notice_seconds(since_ns)
    row.lost_longest = auditor.lost_seconds()
    row.compared, row.wrong = auditor.checked, len(auditor.wrong)
    row.problems += auditor.wrong[:3]


def table(rows: list[Row]) -> str:
    """The rows as Markdown. `saw`: books per status and reason."""
    lines = [
        "| fault | the consumer saw (books) | noticed after | not LIVE for | LIVE and wrong | equal at the end |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        saw = ", ".join(f"{what} ({count})" for what, count in row.saw.items()) or "nothing"
        noticed = "" if row.noticed_after is None else f"{row.noticed_after:.2f} s"
        lost = "" if row.noticed_after is None else f"{row.lost_longest:.2f} s"
        equal = "yes" if row.equal else "NO"
        lines.append(f"| {row.fault} | {saw} | {noticed} | {lost} | {row.wrong} of {row.compared} | {equal} |")
        lines += [f"| | {problem} | | | | |" for problem in row.problems]
    return "\n".join(lines)


async def run(names: list[str]) -> list[Row]:
    """All scenarios whose name holds one of `names`, one after the other."""
    rows = []
    for scenario in SCENARIOS:
        if not names or any(name in scenario.name for name in names):
            print(f"{scenario.name} ...", file=sys.stderr, flush=True)
            rows.append(await play(scenario))
    return rows


def main() -> int:
    """0 only if no book was ever LIVE and wrong, and all were LIVE and equal at the end."""
    parser = argparse.ArgumentParser(description="What a consumer sees when the exchange misbehaves.")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    parser.add_argument("--only", nargs="+", default=[], metavar="TEXT", help="faults whose name holds one of these")
    args = parser.parse_args()
    if args.only and not any(text in scenario.name for scenario in SCENARIOS for text in args.only):
        parser.error(f"no fault holds {' or '.join(args.only)}; there are: {', '.join(s.name for s in SCENARIOS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell started it in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        rows = asyncio.run(run(args.only))
    except KeyboardInterrupt:  # simulator and feeder have ended
        return 130
    print(json.dumps({"rows": [asdict(row) for row in rows]}) if args.json else table(rows))
    return 0 if rows and all(row.good for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
