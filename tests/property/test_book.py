"""The book against a naive one: a list of levels, searched through and sorted anew for every answer."""

from hypothesis import given
from hypothesis import strategies as st

from feeder.book.order_book import OrderBook
from feeder.market.update import Levels

Level = tuple[int, int]


class NaiveBook:
    def __init__(self, depth: int) -> None:
        self.depth = depth
        self.bids: list[Level] = []
        self.asks: list[Level] = []

    def snapshot(self, bids: list[Level], asks: list[Level]) -> None:
        self.bids, self.asks = [], []
        self.delta([level for level in bids if level[1] > 0], [level for level in asks if level[1] > 0])

    def delta(self, bids: list[Level], asks: list[Level]) -> tuple[list[int], list[int]]:
        """The prices that left the window, each side's worst first."""
        self.bids, gone_bids = self._changed(self.bids, bids, sign=-1)
        self.asks, gone_asks = self._changed(self.asks, asks, sign=1)
        return gone_bids, gone_asks

    def _changed(self, old: list[Level], changes: list[Level], sign: int) -> tuple[list[Level], list[int]]:
        for price, quantity in changes:
            old = [level for level in old if level[0] != price]
            if quantity > 0:
                old.append((price, quantity))
        old.sort(key=lambda level: sign * level[0])
        return old[: self.depth], [price for price, _ in reversed(old[self.depth :])]

    def checksum_bytes(self) -> bytes:
        return b"".join(number.to_bytes(8, "little") for level in self.bids + self.asks for number in level)


prices = st.integers(1, 12)
side = st.lists(st.tuples(prices, st.integers(0, 3)), max_size=8)
once = st.lists(st.tuples(prices, st.integers(0, 3)), max_size=8, unique_by=lambda level: level[0])
operation = st.one_of(st.tuples(st.just("snapshot"), once, once), st.tuples(st.just("delta"), side, side))


def flat(levels: list[Level]) -> list[int]:
    return [number for level in levels for number in level]


@given(depth=st.integers(1, 8), operations=st.lists(operation, max_size=25))
def test_the_book_equals_a_naive_one_after_every_operation(depth: int, operations):
    book, naive = OrderBook(depth), NaiveBook(depth)
    for kind, bids, asks in operations:
        if kind == "snapshot":
            book.apply_snapshot(flat(bids), flat(asks))
            naive.snapshot(bids, asks)
        else:
            trimmed = book.apply_delta(flat(bids), flat(asks)) or Levels()
            gone_bids, gone_asks = naive.delta(bids, asks)
            assert trimmed == Levels(flat([(p, 0) for p in gone_bids]), flat([(p, 0) for p in gone_asks]))
        assert book.levels() == Levels(flat(naive.bids), flat(naive.asks))
        assert book.top(3) == Levels(flat(naive.bids[:3]), flat(naive.asks[:3]))
        assert book.best_bid() == (naive.bids[0] if naive.bids else None)
        assert book.best_ask() == (naive.asks[0] if naive.asks else None)
        crossed = any(bid >= ask for bid, _ in naive.bids for ask, _ in naive.asks)
        assert book.is_crossed() is crossed
        assert book.checksum() == crc32_bit_by_bit(naive.checksum_bytes())


@given(first=st.tuples(once, once), second=st.tuples(once, once))
def test_the_difference_between_two_snapshots_leads_from_one_to_the_other(first, second):
    book, wanted = OrderBook(20), OrderBook(20)
    book.apply_snapshot(flat(first[0]), flat(first[1]))
    wanted.apply_snapshot(flat(second[0]), flat(second[1]))
    difference = book.difference(flat(second[0]), flat(second[1]))
    book.apply_delta(difference.bids, difference.asks)
    assert book.levels() == wanted.levels()
    assert book.absent_deletes == 0


def crc32_bit_by_bit(data: bytes) -> int:
    """CRC-32 (IEEE 802.3) by its definition, as a consumer in another language would write it."""
    remainder = 0xFFFFFFFF
    for byte in data:
        remainder ^= byte
        for _ in range(8):
            remainder = (remainder >> 1) ^ (0xEDB88320 if remainder & 1 else 0)
    return remainder ^ 0xFFFFFFFF
