"""What the messages kept lead to, where that is more than that no harm is done."""

import asyncio

import structlog

from feeder.market.status import StatusReason
from tests.fuzz import venue
from tests.fuzz.corpus import DATA

BITCOIN = ("linear", "BTCUSDT")


def played(name: str) -> venue.Stage:
    """The stage after the lines of one kept input, before the exchange behaves again."""
    logged = venue.Logged()
    structlog.configure(processors=[logged])

    async def play() -> venue.Stage:
        stage = venue.Stage(logged, None)
        await stage.turn()
        await stage.wait(0.5)
        await venue.follow(stage, (DATA / "venue" / name).read_bytes().split(b"\n"))
        await stage.router.aclose()
        return stage

    return asyncio.run(play())


def test_number_that_fits_at_no_scale_leaves_the_scale_as_it_is():
    stage = played("finer-and-too-large")
    assert stage.tap.exponents[BITCOIN] == (-2, -3)
    assert stage.pool.counters.resyncs == {StatusReason.MALFORMED: 1}
    assert (stage.pool.counters.scale_changes, stage.pool.counters.trades_lost) == (0, 1)


def test_number_that_fits_at_a_finer_scale_makes_it_so():
    assert played("seed-finer").tap.exponents[BITCOIN] == (-5, -7)


def test_message_of_more_levels_than_any_book_has_is_malformed():
    stage = played("more-levels-than-any-book")
    assert stage.pool.counters.resyncs == {StatusReason.MALFORMED: 1}
    assert stage.router.totals()["trimmed_levels"] == 0


def test_trade_whose_id_the_wire_cannot_carry_is_lost_and_said_so():
    stage = played("trade-id-of-control-characters")
    assert (stage.pool.counters.trades, stage.pool.counters.trades_lost) == (0, 2)
