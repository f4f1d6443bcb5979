"""A live book: LIVE only from a snapshot on, with nothing missed since."""

from decimal import Decimal

import pytest

from feeder.bybit.system.books import LiveBook, book_event
from feeder.market.instrument import Instrument, TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import BookUpdate

BTC = Instrument("linear", "BTCUSDT", 1, price_exponent=-1, quantity_exponent=-3, tick_size=1, quantity_step=1)


class Scene:
    """A book, and what it asked for and told."""

    def __init__(self, depth: int = 50) -> None:
        self.asked: list[tuple[StatusReason, int]] = []
        self.lost: list[StatusReason] = []
        self.now = 100.0
        self.book = LiveBook(
            BTC, depth, self.now, lambda reason, generation: self.asked.append((reason, generation)), self.lost.append
        )

    def update(
        self,
        update_id: int,
        bids: list[int] | None = None,
        asks: list[int] | None = None,
        *,
        snapshot: bool = False,
        generation: int = 1,
    ) -> bool:
        self.now += 1.0
        update = BookUpdate(
            snapshot, bids or [], asks or [], update_id, update_id, update_id + 1000, 11, 12, 13, generation
        )
        return self.book.on_update(update, self.now)

    def snapshot(self, update_id: int = 10, generation: int = 1) -> bool:
        bids, asks = [1000, 5, 999, 6], [1002, 7, 1003, 8]
        return self.update(update_id, bids, asks, snapshot=True, generation=generation)

    def status(self) -> tuple[BookStatus, StatusReason]:
        return self.book.status, self.book.reason


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_before_a_snapshot_it_shows_nothing(scene: Scene) -> None:
    assert not scene.update(11, [1000, 5], [1002, 7])
    assert scene.status() == (BookStatus.SYNCING, StatusReason.SUBSCRIBED)
    assert (scene.book.best(), scene.book.levels(), scene.book.spread_ticks()) == ((None, None), ([], []), None)
    assert scene.book.updated_at is None


def test_from_the_snapshot_on_it_is_exact(scene: Scene) -> None:
    assert scene.snapshot()
    assert scene.update(11, [1001, 2, 999, 0], [1002, 1])
    bids, asks = scene.book.levels()
    assert [(level.price, level.size) for level in bids] == [
        (Decimal("100.1"), Decimal("0.002")),
        (Decimal("100.0"), Decimal("0.005")),
    ]
    assert [(level.price, level.size) for level in asks] == [
        (Decimal("100.2"), Decimal("0.001")),
        (Decimal("100.3"), Decimal("0.008")),
    ]
    assert scene.book.best() == (bids[0], asks[0])
    assert scene.book.levels(1) == (bids[:1], asks[:1])
    assert scene.book.spread_ticks() == 1.0
    assert (scene.book.update_id, scene.book.sequence, scene.book.updated_at) == (11, 1011, scene.now)


def test_a_gap_hides_the_book_and_asks_for_it_once(scene: Scene) -> None:
    scene.snapshot()
    assert scene.update(12, [1001, 2])
    assert scene.status() == (BookStatus.STALE, StatusReason.GAP)
    assert (scene.book.best(), scene.book.levels(5), scene.book.levels()) == ((None, None), ([], []), ([], []))
    assert not scene.update(13, [1001, 2])
    assert (scene.asked, scene.lost) == ([(StatusReason.GAP, 1)], [StatusReason.GAP])


def test_a_snapshot_of_the_new_subscription_heals_it(scene: Scene) -> None:
    scene.snapshot()
    scene.update(12, [1001, 2])
    scene.book.on_reset(2, StatusReason.GAP, scene.now)
    assert not scene.snapshot(13, generation=1)  # late, of the subscription before
    assert scene.status() == (BookStatus.STALE, StatusReason.GAP)
    assert scene.snapshot(20, generation=2)
    assert scene.status() == (BookStatus.LIVE, StatusReason.SNAPSHOT)
    scene.update(22, generation=2)
    assert scene.asked == [(StatusReason.GAP, 1), (StatusReason.GAP, 2)]


def test_a_snapshot_that_came_by_itself_heals_it_and_the_next_gap_asks_again(scene: Scene) -> None:
    scene.snapshot()
    scene.update(12)
    scene.snapshot(20)
    assert scene.book.live
    scene.update(22)
    assert scene.asked == [(StatusReason.GAP, 1)] * 2


def test_a_crossed_delta_is_not_shown(scene: Scene) -> None:
    scene.snapshot()
    assert scene.update(11, [1002, 1])  # locked counts as crossed
    assert scene.status() == (BookStatus.STALE, StatusReason.CROSSED)
    assert (scene.asked, scene.lost, scene.book.crossings) == ([(StatusReason.CROSSED, 1)], [StatusReason.CROSSED], 1)
    lost_at = scene.book.updated_at
    assert not scene.update(12, [1002, 0])
    assert (scene.status(), scene.book.updated_at) == ((BookStatus.STALE, StatusReason.CROSSED), lost_at)


def test_a_crossed_snapshot_makes_no_book_live(scene: Scene) -> None:
    for _ in range(2):
        assert scene.update(10, [1003, 5], [1002, 7], snapshot=True)
    assert scene.status() == (BookStatus.SYNCING, StatusReason.CROSSED)
    assert (scene.asked, scene.lost) == ([(StatusReason.CROSSED, 1)], [])


def test_a_lost_connection_hides_the_book_until_it_is_back(scene: Scene) -> None:
    scene.snapshot()
    assert scene.book.on_reset(2, StatusReason.DISCONNECTED, 200.0)
    assert scene.status() == (BookStatus.STALE, StatusReason.DISCONNECTED)
    assert scene.book.since == 200.0
    assert not scene.book.on_reset(2, StatusReason.DISCONNECTED, 201.0)
    assert not scene.book.on_reset(1, StatusReason.GAP, 202.0)
    assert scene.book.on_reset(2, StatusReason.REFUSED, 203.0)
    assert scene.book.since == 200.0  # so long it has not been LIVE, whatever the reason now
    assert not scene.update(11, [1001, 2], generation=2)  # though its number continues what was there
    assert scene.snapshot(5, generation=2)
    assert scene.lost == [StatusReason.DISCONNECTED]


def test_a_restart_in_mid_stream_replaces_the_book_and_loses_nothing(scene: Scene) -> None:
    scene.snapshot()
    assert scene.update(1, [900, 1], [901, 1])
    assert scene.book.best()[0] == scene.book.levels()[0][0]
    assert scene.book.levels()[0][0].price == Decimal("90.0")
    assert (scene.book.live, scene.lost) == (True, [])


def test_a_repetition_keeps_a_book_of_depth_1_young_and_is_no_news() -> None:
    scene = Scene(depth=1)
    scene.update(10, [1000, 5], [1002, 7], snapshot=True)
    assert not scene.update(10, [1000, 5], [1002, 7], snapshot=True)
    assert scene.book.updated_at == scene.now


def test_a_delisted_book_takes_nothing_any_more(scene: Scene) -> None:
    scene.snapshot()
    assert scene.book.on_reset(2, StatusReason.DELISTED, scene.now)
    assert not scene.snapshot(20, generation=3)
    assert not scene.book.on_reset(4, StatusReason.DISCONNECTED, scene.now)
    assert scene.status() == (BookStatus.DELISTED, StatusReason.DELISTED)


def test_levels_of_another_scale_are_not_shown(scene: Scene) -> None:
    scene.snapshot()
    finer = Instrument("linear", "BTCUSDT", 1, -2, -3, 1, 1, 2)
    scene.book.on_definition(finer, scene.now)
    assert scene.status() == (BookStatus.STALE, StatusReason.SCALE)
    assert scene.asked == [(StatusReason.SCALE, 1)]
    scene.book.on_reset(2, StatusReason.SCALE, scene.now)
    scene.snapshot(5, generation=2)
    bid = scene.book.best()[0]
    assert bid is not None
    assert bid.price == Decimal("10.00")


def test_another_scale_before_the_snapshot_asks_for_nothing(scene: Scene) -> None:
    scene.book.on_definition(Instrument("linear", "BTCUSDT", 1, -2, -3, 1, 1, 2), scene.now)
    assert (scene.status(), scene.asked) == ((BookStatus.SYNCING, StatusReason.SUBSCRIBED), [])


def test_another_status_of_the_instrument_changes_nothing_of_the_book(scene: Scene) -> None:
    scene.snapshot()
    scene.book.on_definition(Instrument("linear", "BTCUSDT", 1, -1, -3, 1, 1, 2, TradingStatus.DELIVERING), scene.now)
    assert scene.book.live


def test_an_event_has_what_the_book_is_when_it_is_told(scene: Scene) -> None:
    scene.snapshot()
    event = book_event(scene.book)
    assert (event.category, event.symbol, event.status) == ("linear", "BTCUSDT", BookStatus.LIVE)
    assert event.bid is not None
    assert event.ask is not None
    assert (event.bid.price, event.ask.price) == (Decimal("100.0"), Decimal("100.2"))
    assert (event.update_id, event.match_time_ns, event.receive_time_ns) == (10, 11, 13)
    scene.book.fail(scene.now)
    event = book_event(scene.book)
    assert (event.status, event.reason, event.bid) == (BookStatus.STALE, StatusReason.MALFORMED, None)


def test_an_empty_side_has_no_best(scene: Scene) -> None:
    scene.update(10, [1000, 5], [], snapshot=True)
    bid, ask = scene.book.best()
    assert bid is not None
    assert (ask, scene.book.spread_ticks()) == (None, None)
