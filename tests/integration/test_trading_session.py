"""Sessions of 1,000 random orders while everything is cut at random: at the end both sides say the same.

As many seeds as SESSIONS says (`make sessions`: 100), in the suite a few: one takes some 4 s of a processor, and none
of waiting, as the loop's time is nobody's; see quick_loop.py.
"""

import asyncio
import os

import pytest

from tests.helpers.quick_loop import QuickLoop
from tests.helpers.trading import Report, run_session

SEEDS = range(1, 1 + int(os.environ.get("SESSIONS", "10")))


@pytest.mark.parametrize("seed", SEEDS)
def test_after_a_thousand_orders_and_many_cuts_the_account_is_the_venue_s(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A session has a minute or two: with the usual overlap each reconciliation would find nearly all of it again.
    monkeypatch.setattr("feeder.bybit.streams.account.OVERLAP_MS", 5_000)
    with asyncio.Runner(loop_factory=QuickLoop) as runner:
        report: Report = runner.run(run_session(seed))
    assert not report.differences, report
    # It was a session worth the name.
    assert report.placed >= 1000, report
    assert report.fills > 200, report
    assert report.unknown > 5, report
    assert report.reconciliations >= 2, report
    assert report.mishaps.total() > 50, report
