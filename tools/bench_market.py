"""What the bench's venue sends: books and changes invented once, from a seed, and rendered before anything is timed.

A symbol's messages form a cycle. Its first half is a random walk, its second half takes every step back, so after a
cycle the book is where it began and the book after any number of messages can be told from that number alone.

The texts are as the venue's: prices padded to the tick, sizes trimmed, "0" for a level that is gone. A quarter of the
changed levels is inserted, a quarter deleted, the rest get another size; about 8 % of the messages touch the best bid
or offer; half of the sizes were seen among the last 16,000. Every price lies in a slot on its side of a middle that
stays, so no book ever crosses, and none ever has more than `depth` levels a side.
"""

from bisect import bisect_left, insort
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

FIRST_UPDATE = 10_000_000  # eight digits for as long as a bench lasts: rendered messages have a fixed width
_MESSAGES = 52_000  # in all cycles together, so that sizes repeat as rarely with few symbols as with many
_SHORTEST_CYCLE = 64
_SLACK = 10  # levels that a side may lack
_TOUCHES = 0.08  # of all messages
_NEARNESS = 10.0  # mean distance of a change from the top, in levels
_POPULAR = 2_000  # sizes that come again and again
_POPULARITY = 0.2  # how often one of them is taken
_WHOLE = 0.2  # of all sizes have no decimal point
_QUANTITY_DECIMALS = 3
GONE = "0"

Level = tuple[str, str]  # price, size
Sides = tuple[list[Level], list[Level]]  # bids from the highest, asks from the lowest
Step = tuple[bool, int, str, str]  # whether a bid, slot, size before, size after


@dataclass(frozen=True)
class Shape:
    """What a load consists of; the same shape and seed give the same bytes."""

    symbols: int
    depth: int = 50
    levels: int = 3  # changed by a message
    seed: int = 1

    @property
    def cycle(self) -> int:
        """Messages of a symbol until its book is where it began: even, and long enough for sizes not to recur."""
        return max(_SHORTEST_CYCLE, -(-_MESSAGES // self.symbols) + 1 & ~1)


class Sizes:
    """Size texts that repeat about as the venue's do."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._popular = [self._fresh() for _ in range(_POPULAR)]

    def __call__(self, other_than: str = GONE) -> str:
        """A size that is another one than before: the venue sends changes only."""
        random = self._random
        while True:
            text = self._popular[random.randrange(_POPULAR)] if random.random() < _POPULARITY else self._fresh()
            if text != other_than:
                return text

    def _fresh(self) -> str:
        random = self._random
        value = 10 ** random.uniform(-0.5, 3.5)
        if random.random() < _WHOLE:
            return str(1 + int(value))
        decimals = random.randint(1, _QUANTITY_DECIMALS)
        thousandths = 1 + int(value * 10**decimals)
        if thousandths % 10 == 0:
            thousandths += 1  # its last digit is written
        return f"{thousandths // 10**decimals}.{thousandths % 10**decimals:0{decimals}d}"


class Side:
    """One side of a book: sizes by slot, slot 0 next to the middle."""

    def __init__(self, depth: int, random: Random, sizes: Sizes) -> None:
        self._depth = depth
        self.slots = sorted(random.sample(range(depth + 2 * _SLACK), depth - _SLACK // 2))
        self.sizes = {slot: sizes() for slot in self.slots}

    @property
    def full(self) -> bool:
        """Whether no level may be inserted."""
        return len(self.slots) >= self._depth

    @property
    def sparse(self) -> bool:
        """Whether no level may be deleted."""
        return len(self.slots) <= self._depth - _SLACK

    def put(self, slot: int, size: str) -> None:
        """Set or, with GONE, delete a level."""
        if size == GONE:
            del self.slots[bisect_left(self.slots, slot)], self.sizes[slot]
            return
        if slot not in self.sizes:
            insort(self.slots, slot)
        self.sizes[slot] = size

    def free_behind(self, slot: int) -> int:
        """The nearest slot farther from the middle that holds no level."""
        while slot in self.sizes:
            slot += 1
        return slot


class Market:
    """One symbol: its start and its cycle of steps, already begun somewhere within so that no two turn together."""

    def __init__(self, number: int, shape: Shape, random: Random, sizes: Sizes) -> None:
        self.symbol = f"X{number:04d}USDT"
        self.decimals = random.choice((1, 2, 2, 3, 4))
        self._middle = random.randrange(20_000, 9_000_000)
        bids, asks = Side(shape.depth, random, sizes), Side(shape.depth, random, sizes)
        self._start = dict(bids.sizes), dict(asks.sizes)
        walk = [_walk(bids, asks, shape.levels, random, sizes) for _ in range(shape.cycle // 2)]
        back = [[(bid, slot, new, old) for bid, slot, old, new in steps] for steps in reversed(walk)]
        self._cycle = walk + back
        self._begun = random.randrange(shape.cycle)

    @property
    def tick(self) -> str:
        """The price's step."""
        return f"0.{1:0{self.decimals}d}"

    def deltas(self) -> list[Sides]:
        """The levels of every message of a cycle, the first message first."""
        steps = self._cycle[self._begun :] + self._cycle[: self._begun]
        return [self._sides(each) for each in steps]

    def book(self, messages: int) -> Sides:
        """The book after so many messages."""
        position = (self._begun + messages) % len(self._cycle)
        bids, asks = dict(self._start[0]), dict(self._start[1])
        # The way back passes the same books: after 3 of 64 messages it is the book after 61 of them.
        for steps in self._cycle[: min(position, len(self._cycle) - position)]:
            for bid, slot, _, size in steps:
                side = bids if bid else asks
                if size == GONE:
                    del side[slot]
                else:
                    side[slot] = size
        return (
            [(self._price(True, slot), bids[slot]) for slot in sorted(bids)],
            [(self._price(False, slot), asks[slot]) for slot in sorted(asks)],
        )

    def _sides(self, steps: Sequence[Step]) -> Sides:
        bids = sorted((slot, size) for bid, slot, _, size in steps if bid)
        asks = sorted((slot, size) for bid, slot, _, size in steps if not bid)
        return [(self._price(True, slot), size) for slot, size in bids], [
            (self._price(False, slot), size) for slot, size in asks
        ]

    def _price(self, bid: bool, slot: int) -> str:
        ticks = self._middle - 1 - slot if bid else self._middle + 1 + slot
        unit = 10**self.decimals
        return f"{ticks // unit}.{ticks % unit:0{self.decimals}d}"


def markets(shape: Shape) -> list[Market]:
    """All symbols of a shape."""
    random = Random(shape.seed)
    sizes = Sizes(random)
    return [Market(number, shape, random, sizes) for number in range(shape.symbols)]


def _walk(bids: Side, asks: Side, levels: int, random: Random, sizes: Sizes) -> list[Step]:
    """The steps of one message, done to the sides."""
    touches = random.random() < _TOUCHES
    steps: list[Step] = []
    changed: set[tuple[bool, int]] = set()
    while len(steps) < levels:
        bid = random.random() < 0.5
        side = bids if bid else asks
        at_best = touches and not steps
        index = 0 if at_best else min(1 + int(random.expovariate(1 / _NEARNESS)), len(side.slots) - 1)
        slot, size = _change(side, index, random, sizes)
        if (bid, slot) not in changed:  # the venue says one thing of a price at a time
            changed.add((bid, slot))
            steps.append((bid, slot, side.sizes.get(slot, GONE), size))
            side.put(slot, size)
    return steps


def _change(side: Side, index: int, random: Random, sizes: Sizes) -> tuple[int, str]:
    """A slot and its new size: an insertion, a deletion or, half of the time, another size."""
    kind = random.random()
    slot = side.slots[index]
    if kind < 0.25 and not side.full:
        if index == 0:
            return (slot - 1, sizes()) if slot else (slot, sizes(side.sizes[slot]))
        return side.free_behind(slot), sizes()
    if 0.25 <= kind < 0.5 and not side.sparse:
        return slot, GONE
    return slot, sizes(side.sizes[slot])


# The bytes ------------------------------------------------------------------------------------------------------------

Rendered = tuple[bytes, bytes]  # WebSocket header and message up to the value of ts; from there to the value of u

_STAMPS = len(b"1790000000000") + len(b'10000000,"seq":50000000000},"cts":1790000000000}')


def frame_header(length: int) -> bytes:
    """The header of an unmasked text frame (RFC 6455, 5.2)."""
    if length < 126:
        return bytes((0x81, length))
    if length < 1 << 16:
        return b"\x81\x7e" + length.to_bytes(2, "big")
    return b"\x81\x7f" + length.to_bytes(8, "big")


def stamp_ts(ts: int) -> bytes:
    """The value of `ts`, ms; 13 digits."""
    return b"%d" % ts


def stamp_end(u: int, seq: int, cts: int) -> bytes:
    """From the value of `u` to the end; u has 8 digits, seq 11, cts 13."""
    return b'%d,"seq":%d},"cts":%d}' % (u, seq, cts)


def render(market: Market, depth: int) -> list[Rendered]:
    """A symbol's cycle; `head + stamp_ts + body + stamp_end` is a whole frame."""
    symbol = market.symbol
    beginning = f'{{"topic":"orderbook.{depth}.{symbol}","type":"delta","ts":'.encode()
    rendered = []
    for bids, asks in market.deltas():
        body = f',"data":{{"s":"{symbol}","b":[{_levels(bids)}],"a":[{_levels(asks)}],"u":'.encode()
        header = frame_header(len(beginning) + len(body) + _STAMPS)
        rendered.append((header + beginning, body))
    return rendered


def render_snapshot(market: Market, depth: int, messages: int, *, ts: int, seq: int) -> bytes:
    """The frame of a snapshot of the book after so many messages."""
    bids, asks = market.book(messages)
    text = (
        f'{{"topic":"orderbook.{depth}.{market.symbol}","type":"snapshot","ts":{ts},"data":{{"s":"{market.symbol}",'
        f'"b":[{_levels(bids)}],"a":[{_levels(asks)}],"u":{FIRST_UPDATE + messages},"seq":{seq}}},"cts":{ts}}}'
    )
    return frame_header(len(text)) + text.encode()


def _levels(levels: Sequence[Level]) -> str:
    return ",".join(f'["{price}","{size}"]' for price, size in levels)
