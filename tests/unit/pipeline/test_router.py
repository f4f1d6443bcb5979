import asyncio
from collections.abc import AsyncIterator

import pytest
from structlog.testing import capture_logs

from feeder.clock import ManualClock
from feeder.market.status import BookStatus, StatusReason
from feeder.pipeline.router import Router
from feeder.pipeline.symbol_queue import QueueBudget
from feeder.pipeline.worker import ITEMS_PER_TURN
from tests.helpers.updates import ConsumerSink, an_instrument, book_update, trade

BTC = ("linear", "BTCUSDT")
ETH = ("linear", "ETHUSDT")


@pytest.fixture
async def router() -> AsyncIterator[Router]:
    resyncs: list[tuple[object, ...]] = []
    router = Router(100, QueueBudget(1000), lambda *request: resyncs.append(request), ManualClock())
    yield router
    await router.aclose()


async def test_updates_reach_the_book_of_their_key_and_no_other(router: Router):
    btc, eth = ConsumerSink(), ConsumerSink()
    router.add(an_instrument("BTCUSDT"), 50, btc)
    router.add(an_instrument("ETHUSDT"), 50, eth)
    router.on_book(BTC, book_update(5, {100: 1}, {101: 1}, snapshot=True))
    router.on_book(ETH, book_update(8, {7: 1}, {9: 1}, snapshot=True))
    router.on_book(BTC, book_update(6, {100: 2}))
    router.on_trades(ETH, [trade(1)], generation=0)
    await router.drain()
    assert btc.events == [("SYNCING", "SUBSCRIBED"), ("restart", 5), ("delta", 6, (100, 2), ())]
    assert eth.events == [("SYNCING", "SUBSCRIBED"), ("restart", 8), ("trades", 1)]
    assert router.statuses() == {BookStatus.LIVE: 2}


async def test_a_sleeping_worker_wakes_for_what_comes_later(router: Router):
    sink = ConsumerSink()
    router.add(an_instrument(), 50, sink)
    for update_id in range(1, 5):
        router.on_book(BTC, book_update(update_id, {100: update_id}, snapshot=update_id == 1))
        await router.drain()
    assert sink.update_ids == [1, 2, 3, 4]


async def test_unknown_keys_are_counted_and_nothing_else(router: Router):
    router.on_book(("spot", "BTCUSDT"), book_update(5, snapshot=True))
    router.on_trades(("spot", "BTCUSDT"), [trade(1), trade(2)], generation=0)
    router.on_reset(("spot", "BTCUSDT"), 1, StatusReason.GAP)
    router.on_definition(an_instrument("NOPE"))
    assert (router.unknown_books, router.unknown_trades, router.unknown_others) == (1, 2, 2)


async def test_a_second_book_of_one_key_is_refused(router: Router):
    router.add(an_instrument(), 50, ConsumerSink())
    with pytest.raises(ValueError, match="linear:BTCUSDT"):
        router.add(an_instrument(), 200, ConsumerSink())


async def test_a_worker_leaves_the_turn_to_others_after_its_share(router: Router):
    """Two symbols with a backlog each take turns; neither runs through while the other waits."""
    order: list[str] = []

    class OrderSink(ConsumerSink):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def trades_lost(self, count: int) -> None:
            raise AssertionError

        def trades(self, trades: object) -> None:
            order.append(self.name)

    for symbol in ("BTCUSDT", "ETHUSDT"):
        router.add(an_instrument(symbol), 50, OrderSink(symbol[0]))
        for number in range(2 * ITEMS_PER_TURN):
            router.on_trades(("linear", symbol), [trade(number)], generation=0)
    await router.drain()
    assert "".join(order) == ("B" * ITEMS_PER_TURN + "E" * ITEMS_PER_TURN) * 2


async def test_a_reset_takes_the_book_down_and_discards_what_is_pending(router: Router):
    sink = ConsumerSink()
    router.add(an_instrument(), 50, sink)
    router.on_book(BTC, book_update(5, {100: 1}, snapshot=True, generation=1))
    await router.drain()
    router.on_book(BTC, book_update(6, {100: 2}, generation=1))
    router.on_reset(BTC, 2, StatusReason.DISCONNECTED)
    router.on_book(BTC, book_update(7, {100: 3}, generation=1))
    await router.drain()
    assert sink.events[1:] == [("restart", 5), ("STALE", "DISCONNECTED")]
    assert router.totals()["discarded_by_reset"] == 1
    assert router.totals()["dropped_old_generation"] == 1


async def test_a_definition_says_by_itself_whether_the_scale_changed(router: Router):
    sink = ConsumerSink()
    router.add(an_instrument(), 50, sink)
    router.on_book(BTC, book_update(5, {100: 1}, snapshot=True))
    await router.drain()
    router.on_definition(an_instrument())  # nothing new
    router.on_definition(an_instrument(version=2))
    await router.drain()
    assert sink.events[2:] == [("definition", -2, 2)]
    router.on_definition(an_instrument(price_exponent=-3, version=3))
    await router.drain()
    assert sink.events[3:] == [("STALE", "SCALE"), ("definition", -3, 3)]


async def test_a_removed_book_writes_no_more_and_its_counts_stay_in_the_sums(router: Router):
    sink = ConsumerSink()
    router.add(an_instrument(), 50, sink)
    router.on_book(BTC, book_update(5, {100: 1}, snapshot=True))
    await router.drain()
    router.on_book(BTC, book_update(6, {100: 2}))
    router.remove(BTC)
    router.on_book(BTC, book_update(7, {100: 3}))
    for _ in range(3):
        await asyncio.sleep(0)
    assert sink.update_ids == [5]
    assert router.totals()["puts"] == 2
    assert router.transitions()[BookStatus.LIVE, StatusReason.SNAPSHOT] == 1
    assert router.unknown_books == 1
    assert router.budget.used == 0
    assert router.statuses() == {}
    router.add(an_instrument(), 50, sink)  # may come back


async def test_a_worker_that_fails_goes_on_and_takes_no_other_with_it(router: Router):
    btc, eth = ConsumerSink(), ConsumerSink()
    router.add(an_instrument("BTCUSDT"), 50, btc)
    router.add(an_instrument("ETHUSDT"), 50, eth)
    for key in (BTC, ETH):
        router.on_book(key, book_update(5, {100: 1}, snapshot=True))
    await router.drain()
    with capture_logs() as logs:
        btc.fail_next = RuntimeError("the encoder is broken")
        for key in (BTC, ETH):
            router.on_book(key, book_update(6, {100: 2}))
        await router.drain()
        router.on_book(BTC, book_update(20, {100: 3}, snapshot=True))
        await router.drain()
    assert btc.events[1:] == [("restart", 5), ("STALE", "MALFORMED"), ("restart", 20)]
    assert eth.events[1:] == [("restart", 5), ("delta", 6, (100, 2), ())]
    assert "worker failed" in [entry["event"] for entry in logs]
    assert isinstance(next(e for e in logs if e["event"] == "worker failed")["exc_info"], RuntimeError)
    assert router.totals()["failures"] == 1
    assert router.totals()["resyncs_requested"] == 1


async def test_an_error_that_cannot_even_be_reported_downstream_ends_the_process(router: Router):
    class DeadSink(ConsumerSink):
        def status(self, status: BookStatus, reason: StatusReason) -> None:
            raise RuntimeError("the publisher is gone")

    router.add(an_instrument(), 50, DeadSink())
    with capture_logs() as logs, pytest.raises(RuntimeError, match="the publisher is gone"):
        await router.run()
    assert logs[-1]["event"] == "worker failed beyond recovery"
    router.on_book(BTC, book_update(5, snapshot=True))
    await router.drain()  # does not wait for one that will never come


async def test_closing_ends_every_task():
    router = Router(100, QueueBudget(1000), lambda *_: None, ManualClock())
    for symbol in ("A", "B", "C"):
        router.add(an_instrument(symbol), 50, ConsumerSink())
    await asyncio.sleep(0)
    router.add(an_instrument("D"), 50, ConsumerSink())  # closed before it has run at all
    await router.aclose()
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []
    assert router.statuses() == {}
