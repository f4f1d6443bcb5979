"""A real Prometheus with the shipped rules watches a real feeder through a staged incident; and so does the dashboard.

The rules are those of deploy/prometheus at FACTOR times their pace: a minute of theirs takes three seconds.
"""

import asyncio
import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.helpers import grafana
from tests.helpers.incident import Incident, incident
from tests.helpers.require import require

FACTOR = 20.0
SCRAPE_SECONDS = 0.5
MARKET = ("--symbols=20", "--updates-per-second=800", "--seed=5")
VARIABLES = {"job": "feeder", "instance": ".*", "__rate_interval": "4s"}

OF_THE_MACHINE = {"FeederLatencyHigh", "FeederLoopLagHigh", "FeederQueueNearBound", "FeederExporterSlow"}
"""Alerts that speak of how busy the machine is, which the tests share with others."""

ONLY_IN_TROUBLE = {"Alerts", "Gaps"}
"""Panels that have nothing to show while all is well; the incident has something for each."""


async def firing_until(stage: Incident, condition: Callable[[set[str]], bool], seconds: float, what: str) -> set[str]:
    """Wait for it to be so of the alerts that fire; which they were."""
    end = time.monotonic() + seconds
    while not condition(found := set(await stage.prometheus.firing())):
        assert time.monotonic() < end, (f"waited {seconds} s for {what}", found, stage.feeder.log[-3000:])
        await asyncio.sleep(SCRAPE_SECONDS / 2)
    return found


async def fire(stage: Incident, *alerts: str, seconds: float = 30) -> None:
    """Wait until all of these fire at once."""
    await firing_until(stage, lambda found: set(alerts) <= found, seconds, f"{alerts} to fire")


async def clear(stage: Incident, *alerts: str, seconds: float = 60) -> None:
    """Wait until none of these fires."""
    await firing_until(stage, lambda found: not set(alerts) & found, seconds, f"{alerts} to clear")


async def series_of(stage: Incident, panel: grafana.Panel, since: float) -> list[int]:
    """How many series each expression of a panel has had since then, Unix seconds. RuntimeError if one has an error."""
    prometheus, now = stage.prometheus, time.time()
    found = [await prometheus.range(target.expression, since, now, SCRAPE_SECONDS) for target in panel.targets]
    return list(map(len, found))


def reconfigure(folder: Path, stage: Incident, old: str, new: str) -> None:
    """Change the feeder's file, and have it read again."""
    path = folder / "feeder.yaml"
    path.write_text(path.read_text("utf-8").replace(old, new), "utf-8")
    stage.feeder.process.send_signal(signal.SIGHUP)


async def test_the_alerts_fire_and_clear_in_a_staged_incident_and_every_panel_shows_something(tmp_path: Path) -> None:
    program = require("prometheus")
    started = time.time()
    async with incident(
        tmp_path,
        MARKET,
        program=program,
        interval=SCRAPE_SECONDS,
        factor=FACTOR,
        queue={"capacity": 10, "total": 50_000},
        universe={"refresh_seconds": 10},
    ) as stage:
        # All is well: nothing fires from the start on, and the dashboard is full.
        panels = list(grafana.panels(grafana.load(), VARIABLES))
        await asyncio.sleep(12)  # of the rules' four minutes
        empty = {
            panel.title
            for panel in panels
            if not all([await stage.prometheus.instant(target.expression) for target in panel.targets])
        }
        assert empty <= ONLY_IN_TROUBLE
        fired = await stage.prometheus.range('ALERTS{alertstate="firing"}', started, time.time(), SCRAPE_SECONDS)
        assert {series.labels["alertname"] for series in fired} <= OF_THE_MACHINE
        assert await stage.prometheus.rule_errors() == []

        # The exchange leaves updates out and sends nonsense; the configuration has a mistake.
        *gapped, malformed = stage.symbols[:9]
        for symbol in gapped:
            await stage.inject("gap", category="linear", symbol=symbol)
        await stage.inject("malformed", category="linear", symbol=malformed)
        stage.ask_in_another_session(5)
        reconfigure(tmp_path, stage, "depth: 50", "depth: 51")
        await fire(stage, "FeederGaps", "FeederDecodeErrors", "FeederReloadRefused")
        reconfigure(tmp_path, stage, "depth: 51", "depth: 50")
        await clear(stage, "FeederReloadRefused")

        # More comes at once than the queues hold.
        bursts = asyncio.create_task(stage.bursts(30))
        await fire(stage, "FeederFolding")
        bursts.cancel()
        await asyncio.wait([bursts])
        await clear(stage, "FeederGaps", "FeederDecodeErrors", "FeederFolding")

        # The exchange is gone, and comes back.
        stage.exchange.process.kill()
        await fire(stage, "FeederConnectionDown", "FeederBooksNotLive", "FeederNoData")
        async with stage.exchange_again():
            await clear(stage, "FeederConnectionDown", "FeederBooksNotLive", "FeederNoData")

            # The feeder hangs, and goes on.
            with stage.feeder_stopped():
                await fire(stage, "FeederDown")
            await clear(stage, "FeederDown")

            for panel in panels:
                assert all(await series_of(stage, panel, started)), panel.title
            assert await stage.prometheus.rule_errors() == []
