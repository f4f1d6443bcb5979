"""An hour under load and loss: do the feeder and a consumer keep their size, and every LIVE book its truth?

    make soak-long               1 hour, 9,000 updates a second, each line losing 1 % of its packets
    .venv/bin/python tools/soak_long.py [--minutes 60] [--seed N] [--json]

At this rate not every update is compared: of each book, a thousand in a row of every forty thousand; the report says
how many. Memory is sampled every 10 s. What the feeder keeps to be sent again grows until each channel's ring is full,
by its design; where that takes longer than the warm-up, those bytes are told apart.
"""

import argparse
import asyncio
import json
import signal
import statistics
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_market import Shape
from soak_audit import Limits
from soak_exchange import Load
from soak_hearing import Hearing
from soak_program import SoakError
from soak_row import Row, count
from soak_scripts import Expect
from soak_stage import Stage

from feeder.telemetry import counters
from feeder.telemetry.metrics import SCHEMA, Of
from tests.helpers.processes import multicast_port

ROOT = Path(__file__).resolve().parent.parent
_SYMBOLS, _RATE = 200, 9_000.0
_SHARE = 40  # of one in so many updates is the checksum taken
_SAMPLE_SECONDS = 0.25
_MEMORY_SECONDS = 10.0
_WARM_UP_SECONDS = 300.0
_MOST_GROWTH = 0.01
_LEAST_OF_RATE = 0.98  # that the exchange must have sent
_SPAN = 6  # memory samples that make one figure
_LIVE_WITHIN = 10.0
_EXPECT = Expect(lost=True, holes=True, filled=True, fill_p99_ms=50.0)


@dataclass(frozen=True)
class Sizes:
    """Bytes in memory after some seconds; `rings` is what the feeder keeps to be sent again."""

    seconds: float
    feeder: int
    consumer: int
    rings: int


@dataclass
class Growth:
    """Of a program, from the end of the warm-up to the end. `apart_from_rings`: without what the rings took on."""

    before: int
    after: int
    rings: int = 0

    @property
    def share(self) -> float:
        """Of what it was."""
        return (self.after - self.before) / self.before

    @property
    def share_apart_from_rings(self) -> float:
        """The same without what the rings took on."""
        return (self.after - self.before - self.rings) / self.before


@dataclass
class Long:
    """The result."""

    minutes: float
    rate: float
    updates: int = 0  # that the exchange sent
    sizes: list[Sizes] = field(default_factory=list)
    feeder: Growth | None = None
    consumer: Growth | None = None


def growths(sizes: list[Sizes], warm_up: float) -> tuple[Growth, Growth] | None:
    """(the feeder's, the consumer's) after the warm-up, each end the median of a minute; None when it was too short."""
    later = [each for each in sizes if each.seconds >= warm_up]
    if len(later) < 2 * _SPAN:
        return None
    first, last = later[:_SPAN], later[-_SPAN:]
    middle = statistics.median
    rings = int(middle(each.rings for each in last) - middle(each.rings for each in first))
    return (
        Growth(int(middle(each.feeder for each in first)), int(middle(each.feeder for each in last)), rings),
        Growth(int(middle(each.consumer for each in first)), int(middle(each.consumer for each in last))),
    )


async def run(minutes: float, seed: int, rate: float) -> tuple[Row, Long]:
    """Play it. SoakError when a program does not do its part."""
    row = Row(f"{minutes:g} minutes at {rate:,.0f} updates/s, 1 % loss per line", seed)
    result = Long(minutes, rate)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="feeder-soak-") as folder:
        exchange = Load(Shape(_SYMBOLS, seed=seed))
        stage = Stage(Path(folder), ROOT, multicast_port(), exchange, {})
        hearing = Hearing(stage, Limits())
        sampled = {"share": _SHARE, "sample_seconds": _SAMPLE_SECONDS}
        ended = False
        try:
            async with hearing.open(**sampled):
                await hearing.start("consumer 1", everything=False, seed=seed, faults="random:0.01@A,B", **sampled)
                await stage.start_feeder()
                await hearing.all_live()
                await exchange.begin(rate)
                await _watch(hearing, minutes * 60, result)
                result.updates = await exchange.sent()
                calm_at = await hearing.settle(_LIVE_WITHIN)
                row.settled_seconds["consumer 1"] = round(time.monotonic() - calm_at, 2)
                await hearing.end()
                ended = True
        except (SoakError, OSError, TimeoutError) as error:
            row.problems.append(f"{type(error).__name__}: {error}")
        finally:
            await stage.close()
        row.problems += hearing.problems
        count(row, hearing.audit, ended=ended)
    row.seconds = round(time.monotonic() - start, 1)
    _judge(row, result)
    return row, result


async def _watch(hearing: Hearing, seconds: float, result: Long) -> None:
    """Let it run, and write down how large everybody is."""
    stage = hearing.stage
    begin = time.monotonic()
    while (passed := time.monotonic() - begin) < seconds:
        await asyncio.sleep(min(_MEMORY_SECONDS, seconds - passed))
        stage.check()
        assert stage.feeder is not None
        result.sizes.append(
            Sizes(
                round(time.monotonic() - begin, 1),
                stage.feeder.rss,
                stage.consumers["consumer 1"].program.rss,
                rings(stage.folder / "counters.dat"),
            )
        )


def rings(path: Path) -> int:
    """Bytes that a running feeder keeps to be sent again, of all channels."""
    return sum(record.values[1] for record in counters.read(path, SCHEMA).records if record.kind == Of.RING)


def _judge(row: Row, result: Long) -> None:
    row.problems += _EXPECT.misses(
        lost=row.lost, holes=row.holes, filled=row.filled, fill_p99_ms=row.fill_ms.get("p99")
    )
    rate = result.updates / (60 * result.minutes)
    if rate < _LEAST_OF_RATE * result.rate:
        row.problems.append(f"the exchange sent {rate:,.0f} updates a second, not {result.rate:,.0f}")
    found = growths(result.sizes, _WARM_UP_SECONDS)
    if found is None:
        return
    result.feeder, result.consumer = found
    for name, growth in (("feeder", result.feeder), ("consumer", result.consumer)):
        if growth.share_apart_from_rings > _MOST_GROWTH:
            row.problems.append(f"the {name} grew by {growth.share_apart_from_rings:.2%} after the warm-up")


def told(row: Row, result: Long) -> str:
    """For a person."""
    lines = [
        f"{row.script}, seed {row.seed}: {'holds' if row.good else 'FAILS'}",
        f"{result.updates:,} updates of {_SYMBOLS} books",
        f"packets {row.packets:,}, lost {row.lost:,}; holes {row.holes:,}, filled {row.filled:,}, "
        f"given up {row.abandoned:,}"
        + (f"; p50 {row.fill_ms['p50']} ms, p99 {row.fill_ms['p99']} ms" if row.fill_ms else ""),
        f"LIVE books compared {row.compared:,} (one update in {_SHARE}), with the exchange's "
        f"{row.compared_with_exchange:,}; wrong {row.wrong}, unflagged {row.unflagged}",
    ]
    for name, growth in (("feeder", result.feeder), ("consumer", result.consumer)):
        if growth is None:
            lines.append(f"{name}: too short a run to tell its growth after {_WARM_UP_SECONDS / 60:g} minutes")
        else:
            line = f"{name}: {growth.before:,} bytes, {growth.after:,} at the end, {growth.share:+.2%}"
            if growth.rings:
                line += f", {growth.share_apart_from_rings:+.2%} apart from {growth.rings:+,} bytes of rings"
            lines.append(line)
    return "\n".join(lines + row.problems)


def main() -> int:
    """0 only if nothing was wrong and nobody grew."""
    parser = argparse.ArgumentParser(description="An hour under load and loss: memory, and every LIVE book's truth.")
    parser.add_argument("--minutes", type=float, default=60.0, help="how long (default %(default)g)")
    parser.add_argument("--rate", type=float, default=_RATE, help="book updates per second (default %(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, where a shell started it in the background
    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    try:
        row, result = asyncio.run(run(args.minutes, args.seed, args.rate))
    except KeyboardInterrupt:  # what was started has ended
        return 130
    everything = {**asdict(row), "good": row.good, "share": _SHARE, **asdict(result)}
    print(json.dumps(everything) if args.json else told(row, result))
    return 0 if row.good else 1


if __name__ == "__main__":
    sys.exit(main())
