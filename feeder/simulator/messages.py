"""The bytes of the venue's data messages, in each category's own order of keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from feeder.simulator.decimals import Scale
from feeder.simulator.topic_book import price_of


@dataclass(frozen=True, slots=True)
class BookFacts:
    """The numbers of one book message besides its levels. Times in ms since the epoch."""

    u: int
    seq: int
    ts: int
    cts: int


@dataclass(frozen=True, slots=True)
class Trade:
    """One trade of the simulated market; price and size in whole units, `tick_direction` as futures say it."""

    symbol: str
    scale: Scale
    buy: bool
    price: int
    size: int
    id: str
    tick_direction: str
    seq: int
    time_ms: int


def book_message(
    category: str, topic: str, symbol: str, scale: Scale, *, snapshot: bool, changes: Sequence[int], facts: BookFacts
) -> bytes:
    """An orderbook message; `changes` is a flat list of level keys and sizes in order of key."""
    bids: list[str] = []
    asks: list[str] = []
    price, size = scale.price, scale.size
    for index in range(0, len(changes), 2):
        key = changes[index]
        level = f'["{price(price_of(key))}","{size(changes[index + 1])}"]'
        (bids if key < 0 else asks).append(level)
    kind = '"type":"snapshot"' if snapshot else '"type":"delta"'
    data = (
        f'"data":{{"s":"{symbol}","b":[{",".join(bids)}],"a":[{",".join(asks)}],"u":{facts.u},"seq":{facts.seq}}},'
        f'"cts":{facts.cts}'
    )
    if category == "option":
        head = f'{{"id":"{topic}-{facts.seq}-{facts.ts}","topic":"{topic}","ts":{facts.ts}'
        return f"{head},{data},{kind}}}".encode("ascii")
    if category == "spot" or topic.startswith("orderbook.1."):
        return f'{{"topic":"{topic}","ts":{facts.ts},{kind},{data}}}'.encode("ascii")
    return f'{{"topic":"{topic}",{kind},"ts":{facts.ts},{data}}}'.encode("ascii")


def levels_message(
    category: str, topic: str, symbol: str, scale: Scale, levels: Mapping[int, int], facts: BookFacts
) -> bytes:
    """A snapshot of whole levels."""
    changes = [number for key in sorted(levels) for number in (key, levels[key])]
    return book_message(category, topic, symbol, scale, snapshot=True, changes=changes, facts=facts)


def trade_message(category: str, topic: str, trades: Sequence[Trade], ts: int) -> bytes:
    """A publicTrade message of one or more trades, oldest first."""
    row = {"spot": _spot_row, "option": _option_row}.get(category, _futures_row)
    data = f'"data":[{",".join(map(row, trades))}]'
    if category == "option":
        head = f'{{"id":"{topic}-{trades[-1].seq}-{ts}","topic":"{topic}","ts":{ts}'
        return f'{head},{data},"type":"snapshot"}}'.encode("ascii")
    if category == "spot":
        return f'{{"topic":"{topic}","ts":{ts},"type":"snapshot",{data}}}'.encode("ascii")
    return f'{{"topic":"{topic}","type":"snapshot","ts":{ts},{data}}}'.encode("ascii")


def _side(trade: Trade) -> str:
    return "Buy" if trade.buy else "Sell"


def _futures_row(trade: Trade) -> str:
    scale = trade.scale
    return (
        f'{{"T":{trade.time_ms},"s":"{trade.symbol}","S":"{_side(trade)}","v":"{scale.size(trade.size)}",'
        f'"p":"{scale.price(trade.price)}","L":"{trade.tick_direction}","i":"{trade.id}","BT":false,"RPI":false,'
        f'"seq":{trade.seq}}}'
    )


def _spot_row(trade: Trade) -> str:
    scale = trade.scale
    return (
        f'{{"i":"{trade.id}","T":{trade.time_ms},"p":"{scale.price(trade.price)}","v":"{scale.size(trade.size)}",'
        f'"S":"{_side(trade)}","seq":{trade.seq},"s":"{trade.symbol}","BT":false,"RPI":false}}'
    )


def _option_row(trade: Trade) -> str:
    # Mark and index prices are not simulated: the last price and a flat volatility stand in for them.
    scale = trade.scale
    price = scale.price(trade.price)
    return (
        f'{{"p":"{price}","v":"{scale.size(trade.size)}","i":"{trade.id}","T":{trade.time_ms},"BT":false,'
        f'"s":"{trade.symbol}","S":"{_side(trade)}","mP":"{price}","iP":"{price}","mIv":"0.5","iv":"0.5",'
        f'"RPI":false,"seq":{trade.seq}}}'
    )
