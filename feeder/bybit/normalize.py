"""Messages to market updates: decimal texts to exact integers, venue milliseconds to nanoseconds.

The hot path. A price text comes back again and again while the market moves around it (96 % of them in the recorded
linear stream), so each instrument remembers a bounded number of them; a quantity seldom does, except "0".
"""

from feeder.clock import MILLISECOND_NS
from feeder.errors import FixedPointError, MessageError
from feeder.market.fixed_point import FINER_DIGITS, exponent_of, parse_fixed
from feeder.market.update import BookUpdate, Side, TradeUpdate

from .messages import BookData, Message, TradeData

_REMEMBERED_PRICES = 512  # about 60 kB at most per instrument; forgetting them all takes some 20 us
_TRADE_ID_LENGTH = 40  # what a trade id may take downstream

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}


class Prices(dict[str, int]):
    """Price text to integer at one exponent; exact, as every entry comes from parse_fixed. Bounded."""

    __slots__ = ("exponent",)

    def __init__(self, exponent: int) -> None:
        super().__init__()
        self.exponent = exponent

    def __missing__(self, text: str) -> int:
        if len(self) >= _REMEMBERED_PRICES:
            self.clear()
        value = self[text] = parse_fixed(text, self.exponent)
        return value


class Scale:
    """The exponents of one instrument, in the form the hot path uses.

    `finer_digits` is how much finer a number may be and still ask for another scale instead of being malformed.
    """

    __slots__ = ("finer_digits", "price_exponent", "prices", "quantity_exponent")

    def __init__(self, price_exponent: int, quantity_exponent: int, finer_digits: int = FINER_DIGITS) -> None:
        self.price_exponent = price_exponent
        self.quantity_exponent = quantity_exponent
        self.finer_digits = finer_digits
        self.prices = Prices(price_exponent)

    @property
    def exponents(self) -> tuple[int, int]:
        """Of price and quantity."""
        return self.price_exponent, self.quantity_exponent


def book_update(message: Message, data: BookData, scale: Scale, receive_time_ns: int, generation: int) -> BookUpdate:
    """The update that a message of orderbook.* brings; `data` is its data.

    Raises FinerThanScale when a number needs a finer exponent, FixedPointError when it is no number feeder can hold
    exactly, MessageError when the message is neither snapshot nor delta.
    """
    kind = message.type
    if kind != "delta" and kind != "snapshot":
        raise MessageError(f"a book message of type {kind[:60]!r}")
    prices = scale.prices
    exponent = scale.quantity_exponent
    bids: list[int] = []
    append = bids.append
    for price, quantity in data.b:
        append(prices[price])
        append(0 if quantity == "0" else parse_fixed(quantity, exponent))
    asks: list[int] = []
    append = asks.append
    for price, quantity in data.a:
        append(prices[price])
        append(0 if quantity == "0" else parse_fixed(quantity, exponent))
    update_id = data.u
    send_time_ns = message.ts * MILLISECOND_NS
    match_time_ns = message.cts * MILLISECOND_NS or send_time_ns
    return BookUpdate(
        kind == "snapshot",
        bids,
        asks,
        update_id,
        update_id,
        data.seq,
        match_time_ns,
        send_time_ns,
        receive_time_ns,
        generation,
    )


def trade_update(trade: TradeData, send_time_ms: int, scale: Scale, receive_time_ns: int) -> TradeUpdate:
    """One trade of publicTrade.*; `send_time_ms` is the message's `ts`.

    Raises FinerThanScale and FixedPointError as `book_update`, MessageError for a side that is neither Buy nor Sell or
    an id that is not ASCII of at most 40 characters.
    """
    side = _SIDES.get(trade.S)
    if side is None:
        raise MessageError(f"a trade of {trade.s[:60]} with side {trade.S[:60]!r}")
    if len(trade.i) > _TRADE_ID_LENGTH or not trade.i.isascii():
        raise MessageError(f"a trade of {trade.s[:60]} with id {trade.i[:60]!r}")
    return TradeUpdate(
        scale.prices[trade.p],
        parse_fixed(trade.v, scale.quantity_exponent),
        side,
        trade.i,
        trade.seq,
        trade.T * MILLISECOND_NS,
        send_time_ms * MILLISECOND_NS,
        receive_time_ns,
    )


def needed_exponents(data: BookData | TradeData, scale: Scale) -> tuple[int, int]:
    """The coarsest (price, quantity) exponents, at most the scale's, that hold all numbers of a book message or trade.

    Raises FixedPointError when no exponent may: not a number, or more than the scale's `finer_digits` finer than it.
    """
    levels = [*data.b, *data.a] if isinstance(data, BookData) else [(data.p, data.v)]
    price_exponent, quantity_exponent = scale.price_exponent, scale.quantity_exponent
    for price, quantity in levels:
        price_exponent = min(price_exponent, _needed(price, scale.price_exponent, scale.finer_digits))
        quantity_exponent = min(quantity_exponent, _needed(quantity, scale.quantity_exponent, scale.finer_digits))
    return price_exponent, quantity_exponent


def _needed(text: str, exponent: int, finer_digits: int) -> int:
    needed = exponent_of(text)
    if needed < exponent - finer_digits:
        raise FixedPointError(f"{text[:60]!r} is more than {finer_digits} digits finer than 10^{exponent}")
    return needed
