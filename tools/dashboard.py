"""A picture of the Grafana dashboard's main panels, drawn with their own expressions from a Prometheus.

    make dashboard
    .venv/bin/python tools/dashboard.py --prometheus http://localhost:9090 --minutes 60 --out now.png

Without --prometheus everything is staged here: an exchange, a feeder, a consumer that loses packets, a Prometheus that
scrapes every second, and an incident of four minutes. Prometheus' rules then run at four times their pace, so that what
they wait for fits in. Exit 1 if a panel has nothing to show.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from dashboard_series import PANELS

try:
    from dashboard_picture import Drawn, Mark, draw
except ModuleNotFoundError as error:
    sys.exit(f"{error}; `make dashboard` installs what draws, or: pip install '.[plots]'")

from feeder.client import Subscriber
from feeder.multicast.plan import DEFAULT_LINES
from tests.helpers import grafana
from tests.helpers.incident import Incident, incident
from tests.helpers.prometheus import Prometheus

OUT = grafana.DASHBOARD.with_suffix(".png")
MARKET = ("--symbols=200", "--updates-per-second=2000", "--seed=5")
SCRAPE_SECONDS = 1.0
FACTOR = 4.0
_POINTS = 480  # over the whole time


class Lossy(Subscriber):
    """A consumer that loses a share of its datagrams, on both lines."""

    share = 0.0
    chance = random.Random(1)

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        """Nine of ten times or so as it should be."""
        if self.chance.random() >= self.share:
            super().on_datagram(line, channel_id, data)


async def stage(out: Path) -> int:
    """Everything on this machine; the exit code."""
    program = shutil.which("prometheus")
    if program is None:
        print("prometheus is not on the PATH; install it (Debian: apt install prometheus)", file=sys.stderr)
        return 1
    with tempfile.TemporaryDirectory(prefix="feeder-dashboard-") as folder:
        options: dict[str, Any] = {"queue": {"capacity": 10, "total": 50_000}}
        async with incident(
            Path(folder), MARKET, program=program, interval=SCRAPE_SECONDS, factor=FACTOR, **options
        ) as plant:
            start = time.time()
            async with Lossy(None, lines=DEFAULT_LINES, port=plant.port) as consumer:
                marks = await play(plant, consumer)
            return await picture(plant.prometheus, marks, start, time.time(), round(4 * SCRAPE_SECONDS), out)


async def play(plant: Incident, consumer: Lossy) -> list[Mark]:
    """Four minutes, and when what began."""
    marks: list[Mark] = []

    def begin(what: str) -> None:
        print(what, flush=True)
        marks.append(Mark(time.time(), what))

    print("all is well", flush=True)
    await asyncio.sleep(30)
    begin("20 gaps")
    for symbol in plant.symbols[:20]:
        await plant.inject("gap", category="linear", symbol=symbol)
    await asyncio.sleep(20)
    begin("a consumer loses 10 %")
    consumer.share = 0.1
    await asyncio.sleep(25)
    consumer.share = 0.0
    await asyncio.sleep(20)
    begin("bursts")
    await plant.bursts(20)
    await asyncio.sleep(25)
    begin("no exchange")
    plant.exchange.process.kill()
    await asyncio.sleep(30)
    begin("it is back")
    async with plant.exchange_again():
        await asyncio.sleep(30)
        begin("feeder hangs")
        with plant.feeder_stopped():
            await asyncio.sleep(10)
        await asyncio.sleep(30)
    return marks


async def picture(
    prometheus: Prometheus, marks: Sequence[Mark], start: float, end: float, rate_seconds: int, out: Path
) -> int:
    """Ask and draw; the exit code."""
    variables = {"job": ".*", "instance": ".*", "__rate_interval": f"{rate_seconds}s"}
    step = max(SCRAPE_SECONDS, (end - start) / _POINTS)
    by_title = {panel.title: panel for panel in grafana.panels(grafana.load(), variables)}
    found = []
    for title in PANELS:
        panel = by_title[title]
        series = []
        for target in panel.targets:
            answered = await prometheus.range(target.expression, start, end, step)
            series += [(target.name(each.labels), each.points) for each in answered]
        if not series:
            print(f"the panel {title!r} has nothing to show", file=sys.stderr)
        found.append(Drawn(panel, series))
    draw([each for each in found if each.series], marks, start, end, step, out)
    print(f"drawn: {out}")
    return 0 if all(each.series for each in found) else 1


def main(argv: Sequence[str] | None = None) -> int:
    """Parse, stage or ask, draw, and return the exit code."""
    parser = argparse.ArgumentParser(description="Draw the dashboard's main panels.")
    parser.add_argument("--prometheus", metavar="URL", help="draw from this one instead of staging an incident")
    parser.add_argument("--minutes", type=float, default=30.0, help="of its last ones, how many (default %(default)g)")
    parser.add_argument(
        "--rate", type=int, default=20, metavar="SECONDS", help="rates over how long (default %(default)s)"
    )
    parser.add_argument("--out", type=Path, default=OUT, metavar="FILE", help="where to (default %(default)s)")
    args = parser.parse_args(argv)
    if args.prometheus is None:
        return asyncio.run(stage(args.out))
    end = time.time()
    asked = picture(Prometheus(args.prometheus), [], end - 60 * args.minutes, end, args.rate, args.out)
    return asyncio.run(asked)


if __name__ == "__main__":
    sys.exit(main())
