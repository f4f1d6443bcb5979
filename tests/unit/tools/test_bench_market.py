import json
from collections import Counter, deque

import pytest
from bench_market import (
    FIRST_UPDATE,
    GONE,
    Market,
    Shape,
    Sides,
    frame_header,
    markets,
    render,
    render_snapshot,
    stamp_end,
    stamp_ts,
)

SHAPE = Shape(symbols=820, seed=7)
NOW = 1_790_000_000_000


@pytest.fixture(scope="module")
def some() -> list[Market]:
    return markets(SHAPE)[:40]


def number(price: str) -> int:
    """Prices of one symbol all have as many decimals: without the point they compare as integers."""
    return int(price.replace(".", ""))


class NaiveBook:
    """What a client that knows nothing makes of messages."""

    def __init__(self, sides: Sides) -> None:
        self.bids, self.asks = (dict(side) for side in sides)

    def apply(self, sides: Sides) -> None:
        for book, changes in ((self.bids, sides[0]), (self.asks, sides[1])):
            for price, size in changes:
                if size == GONE:
                    del book[price]
                else:
                    book[price] = size

    def sides(self) -> Sides:
        return (
            sorted(self.bids.items(), key=lambda level: -number(level[0])),
            sorted(self.asks.items(), key=lambda level: number(level[0])),
        )


def test_after_a_cycle_of_messages_the_book_is_where_it_began(some: list[Market]) -> None:
    for market in some:
        book = NaiveBook(market.book(0))
        for delta in market.deltas():
            book.apply(delta)
        assert book.sides() == market.book(0)


def test_the_book_after_any_number_of_messages_is_what_a_client_holds_then(some: list[Market]) -> None:
    for market in some[:5]:
        book = NaiveBook(market.book(0))
        for count, delta in enumerate([*market.deltas(), *market.deltas()][: SHAPE.cycle + 10], start=1):
            book.apply(delta)
            assert book.sides() == market.book(count), count


def test_no_book_crosses_or_grows_deeper_than_its_window_or_empties(some: list[Market]) -> None:
    for market in some:
        for count in range(SHAPE.cycle):
            bids, asks = market.book(count)
            assert number(bids[0][0]) < number(asks[0][0])
            assert all(SHAPE.depth - 11 < len(side) <= SHAPE.depth for side in (bids, asks))


@pytest.mark.parametrize("levels", [1, 3, 10])
def test_every_message_changes_as_many_levels_as_asked_and_each_really(levels: int) -> None:
    for market in markets(Shape(symbols=800, levels=levels))[:5]:
        book = NaiveBook(market.book(0))
        for delta in market.deltas():
            before = NaiveBook(book.sides())
            assert len({(side, price) for side in (0, 1) for price, _ in delta[side]}) == levels
            for side, held in ((0, before.bids), (1, before.asks)):
                for price, size in delta[side]:
                    assert held.get(price, GONE) != size
            book.apply(delta)


def test_the_same_seed_gives_the_same_bytes_and_another_gives_others() -> None:
    one, again, other = (render(markets(Shape(400, seed=seed))[2], 50) for seed in (1, 1, 2))
    assert one == again != other


def test_a_stamped_message_is_the_venues_json_in_one_text_frame(some: list[Market]) -> None:
    for market in some:
        for count, ((head, body), (bids, asks)) in enumerate(
            zip(render(market, 50), market.deltas(), strict=True), start=1
        ):
            frame = head + stamp_ts(NOW) + body + stamp_end(FIRST_UPDATE + count, 50_000_000_123, NOW - 3)
            assert frame[:2] == b"\x81\x7e"
            assert int.from_bytes(frame[2:4], "big") == len(frame) - 4
            message = json.loads(frame[4:])
            assert list(message) == ["topic", "type", "ts", "data", "cts"]
            assert list(message["data"]) == ["s", "b", "a", "u", "seq"]
            assert message == {
                "topic": f"orderbook.50.{market.symbol}",
                "type": "delta",
                "ts": NOW,
                "data": {
                    "s": market.symbol,
                    "b": [list(level) for level in bids],
                    "a": [list(level) for level in asks],
                    "u": FIRST_UPDATE + count,
                    "seq": 50_000_000_123,
                },
                "cts": NOW - 3,
            }


def test_a_snapshot_holds_the_book_at_its_update_id(some: list[Market]) -> None:
    frame = render_snapshot(some[0], 50, 17, ts=NOW, seq=50_000_000_000)
    message = json.loads(frame[4:])
    bids, asks = some[0].book(17)
    assert message["type"] == "snapshot"
    assert message["data"]["u"] == FIRST_UPDATE + 17
    assert message["data"]["b"] == [list(level) for level in bids]
    assert message["data"]["a"] == [list(level) for level in asks]


@pytest.mark.parametrize(
    ("length", "header"),
    [(125, "817d"), (126, "817e007e"), (65535, "817effff"), (65536, "817f0000000000010000")],
)
def test_frame_headers_are_those_of_rfc_6455(length: int, header: str) -> None:
    assert frame_header(length).hex() == header


def test_the_mixture_of_messages_is_about_the_venues() -> None:
    shape = Shape(820)
    each = markets(shape)
    deltas = [market.deltas() for market in each]
    kinds: Counter[str] = Counter()
    recent: deque[str] = deque()
    held: Counter[str] = Counter()
    touched = bytes_ = 0
    for index in range(shape.cycle):
        for market, cycle in zip(each, deltas, strict=True):
            bids, asks = cycle[index]
            if market.symbol < "X0100":
                before, after = market.book(index), market.book(index + 1)
                kinds["seen"] += 1
                touched += before[0][0] != after[0][0] or before[1][0] != after[1][0]
            for _, size in bids + asks:
                kinds["levels"] += 1
                if size == GONE:
                    kinds["gone"] += 1
                    continue
                kinds["whole"] += "." not in size
                kinds["again"] += held[size] > 0
                held[size] += 1
                recent.append(size)
                if len(recent) > 16_000:
                    held[recent.popleft()] -= 1
    for market in each[:100]:
        bytes_ += sum(len(head) + len(body) + 61 for head, body in render(market, 50)) // shape.cycle
    sizes = kinds["levels"] - kinds["gone"]
    assert 0.20 < kinds["gone"] / kinds["levels"] < 0.26
    assert 0.15 < kinds["whole"] / sizes < 0.25
    assert 0.4 < kinds["again"] / sizes < 0.6
    assert 0.06 < touched / kinds["seen"] < 0.10
    assert 200 < bytes_ / 100 < 260
