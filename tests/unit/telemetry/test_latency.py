"""One latency a flush: from the receipt of the first update in it to the departure of its last packet."""

from collections.abc import Callable, Sequence

from feeder.book.order_book import OrderBook
from feeder.clock import ManualClock
from feeder.histogram import STAGE_BOUNDS_US, Buckets
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate
from feeder.multicast.book_publisher import BookPublisher
from feeder.multicast.plan import ChannelPlan
from feeder.multicast.publisher import LATENCY_BOUNDS_US, Publisher
from tests.helpers.feed import instrument

BIDS, ASKS = [100, 1], [101, 1]


class Plant:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.deferred: list[Callable[[], None]] = []
        self.publisher = Publisher(ChannelPlan(1), lambda _: (), self.clock, self.deferred.append)
        self.book = OrderBook(50)
        self.book.apply_snapshot(BIDS, ASKS)
        self.update_id = 0

    def add(self, symbol: str) -> BookPublisher:
        return self.publisher.add(instrument(symbol), 50)

    def received(self, *, snapshot: bool = False) -> BookUpdate:
        self.update_id += 1
        now = self.clock.wall_ns()
        return BookUpdate(snapshot, BIDS, ASKS, self.update_id, self.update_id, 0, now, now, now)

    def end_turn(self) -> list[int]:
        """Run what was deferred; upper bounds, in microseconds, of the buckets that grew by it."""
        before = list(self.publisher.latency.counts)
        for callback in self.deferred:
            callback()
        self.deferred.clear()
        return grown(before, self.publisher.latency.counts)


def grown(before: Sequence[int], after: Sequence[int], bounds: Sequence[int] = LATENCY_BOUNDS_US) -> list[int]:
    return [bounds[i] for i, (old, new) in enumerate(zip(before, after, strict=True)) for _ in range(new - old)]


def live_book(plant: Plant, symbol: str = "BTCUSDT") -> BookPublisher:
    publisher = plant.add(symbol)
    publisher.restart(plant.book, plant.received(snapshot=True))
    plant.end_turn()
    return publisher


def test_a_flush_counts_the_age_of_its_oldest_update_once() -> None:
    plant = Plant()
    first, second = live_book(plant, "BTCUSDT"), live_book(plant, "ETHUSDT")
    old = plant.received()
    plant.clock.advance(0.0009)
    first.delta(old, BIDS, ASKS)
    first.delta(plant.received(), BIDS, ASKS)
    second.delta(plant.received(), BIDS, ASKS)
    assert plant.end_turn() == [1000]


def test_each_turn_is_measured_by_itself() -> None:
    plant = Plant()
    publisher = live_book(plant)
    for age, bucket in ((0.01, 10_000), (0.00001, 20), (0.0003, 300)):
        update = plant.received()
        plant.clock.advance(age)
        publisher.delta(update, BIDS, ASKS)
        assert plant.end_turn() == [bucket]


def test_what_is_encoded_waits_for_the_flush_and_that_is_told_apart() -> None:
    plant = Plant()
    publisher = live_book(plant)
    sent = plant.publisher.encode_to_send
    for waits, bucket in ((0.000015, 20), (0.0004, 500)):
        update = plant.received()
        plant.clock.advance(0.03)
        before = list(sent.counts)
        for _ in range(100):  # more than a packet: the time of the first counts
            publisher.delta(update, BIDS, ASKS)
            plant.clock.advance(waits / 100)
        plant.end_turn()
        assert grown(before, sent.counts, STAGE_BOUNDS_US) == [bucket]


def test_a_status_long_after_the_last_update_is_no_latency() -> None:
    plant = Plant()
    publisher = live_book(plant)
    plant.clock.advance(60.0)
    publisher.status(BookStatus.STALE, StatusReason.DISCONNECTED)
    assert plant.end_turn() == []
    assert sum(plant.publisher.encode_to_send.counts) == 0


def test_rounds_and_heartbeats_are_no_latency() -> None:
    plant = Plant()
    live_book(plant)
    before = sum(plant.publisher.latency.counts)
    for _ in range(300):
        plant.clock.advance(0.01)
        plant.publisher.tick(plant.clock.monotonic())
        assert plant.end_turn() == []
    assert sum(plant.publisher.latency.counts) == before


def test_a_bound_is_within_its_bucket_and_a_clock_that_stepped_back_counts_as_nothing() -> None:
    buckets = Buckets([10, 20])
    for value in (-5, 0, 10, 11, 20, 21, 1000):
        buckets.record(value)
    assert buckets.counts == [3, 2, 2]
    assert buckets.total == 0 + 10 + 11 + 20 + 21 + 1000
