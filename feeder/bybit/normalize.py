"""Messages to market updates: decimal texts to exact integers, venue milliseconds to nanoseconds.

The hot path. Remembering each instrument's price texts (96 % come back in the recorded linear stream) saves 0.1 us a
price with a few instruments and costs as much with hundreds, whose memories push each other out of the caches.
"""

from feeder.clock import MILLISECOND_NS
from feeder.errors import FixedPointError, MessageError
from feeder.market.fixed_point import FINER_DIGITS, exponent_of, parse_fixed
from feeder.market.update import BookUpdate, Side, TradeUpdate

from .messages import BookData, Message, TradeData

_TRADE_ID_LENGTH = 40  # what a trade id may take downstream
_SURE_DIGITS = 18  # a number of so many digits fits 64 bits
_POWERS = tuple(10**n for n in range(_SURE_DIGITS + 1))

_SIDES = {"Buy": Side.BUY, "Sell": Side.SELL}


class Scale:
    """The exponents of one instrument, in the form the hot path uses.

    `finer_digits` is how much finer a number may be and still ask for another scale instead of being malformed.
    """

    __slots__ = ("finer_digits", "price_digits", "price_exponent", "quantity_digits", "quantity_exponent")

    def __init__(self, price_exponent: int, quantity_exponent: int, finer_digits: int = FINER_DIGITS) -> None:
        self.price_exponent = price_exponent
        self.quantity_exponent = quantity_exponent
        self.quantity_digits = -quantity_exponent  # after the point
        self.finer_digits = finer_digits
        self.price_digits = -price_exponent

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
    price_digits, quantity_digits = scale.price_digits, scale.quantity_digits
    update_id = data.u
    send_time_ns = message.ts * MILLISECOND_NS
    match_time_ns = message.cts * MILLISECOND_NS or send_time_ns
    return BookUpdate(
        kind == "snapshot",
        _flat(data.b, price_digits, quantity_digits),
        _flat(data.a, price_digits, quantity_digits),
        update_id,
        update_id,
        data.seq,
        match_time_ns,
        send_time_ns,
        receive_time_ns,
        generation,
    )


def _flat(levels: list[tuple[str, str]], price_digits: int, quantity_digits: int) -> list[int]:
    """One side as a flat list. Usual numbers are read right here, as parse_fixed would, unusual ones there."""
    flat: list[int] = []
    append = flat.append
    point = ~price_digits  # where the point of a price stands that is padded to the tick
    for price, quantity in levels:
        number = price.replace(".", "", 1)
        usual = price_digits < len(number) <= _SURE_DIGITS and price[point] == "."
        if usual and number.isdecimal() and number.isascii():
            append(int(number))
        else:
            append(parse_fixed(price, -price_digits))
        if quantity == "0":
            append(0)
            continue
        whole, _, fraction = quantity.partition(".")
        number = whole + fraction
        shift = quantity_digits - len(fraction)
        if shift >= 0 and len(number) + shift <= _SURE_DIGITS and number.isdecimal() and number.isascii():
            append(int(number) * _POWERS[shift])
        else:
            append(parse_fixed(quantity, -quantity_digits))
    return flat


def trade_update(trade: TradeData, send_time_ms: int, scale: Scale, receive_time_ns: int) -> TradeUpdate:
    """One trade of publicTrade.*; `send_time_ms` is the message's `ts`.

    Raises FinerThanScale and FixedPointError as `book_update`, MessageError for a side that is neither Buy nor Sell or
    an id that is not printable ASCII of at most 40 characters.
    """
    side = _SIDES.get(trade.S)
    if side is None:
        raise MessageError(f"a trade of {trade.s[:60]} with side {trade.S[:60]!r}")
    if len(trade.i) > _TRADE_ID_LENGTH or not (trade.i.isascii() and trade.i.isprintable()):
        raise MessageError(f"a trade of {trade.s[:60]} with id {trade.i[:60]!r}")
    return TradeUpdate(
        parse_fixed(trade.p, scale.price_exponent),
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

    Raises FixedPointError when no exponent may: not a number, more than the scale's `finer_digits` finer than it, or
    over 64 bits at what the others need.
    """
    levels = [*data.b, *data.a] if isinstance(data, BookData) else [(data.p, data.v)]
    price_exponent, quantity_exponent = scale.price_exponent, scale.quantity_exponent
    for price, quantity in levels:
        price_exponent = min(price_exponent, _needed(price, scale.price_exponent, scale.finer_digits))
        quantity_exponent = min(quantity_exponent, _needed(quantity, scale.quantity_exponent, scale.finer_digits))
    for price, quantity in levels:
        parse_fixed(price, price_exponent)
        parse_fixed(quantity, quantity_exponent)
    return price_exponent, quantity_exponent


def _needed(text: str, exponent: int, finer_digits: int) -> int:
    needed = exponent_of(text)
    if needed < exponent - finer_digits:
        raise FixedPointError(f"{text[:60]!r} is more than {finer_digits} digits finer than 10^{exponent}")
    return needed
