"""What Bybit allows and how it speaks, per category: data, taken from the public documentation (v5, July 2026).

Source: "Orderbook", "Connect" and "Get Instruments Info" of the v5 documentation, and shapes seen on the wire.
"""

from dataclasses import dataclass

MAX_ARGS_CHARACTERS = 21_000
"""Characters of all topics of one connection together."""

LEVEL_ONE_REPEAT_SECONDS = 3.0
"""A level-1 topic that did not change for this long sends its snapshot again, with the same `u`."""


@dataclass(frozen=True, slots=True)
class Category:
    """One product category's rules.

    `depths` maps each book depth on offer to the milliseconds between two pushes; `default_depth` is the one a feeder
    most often asks for; `rest_book_depth` is the topic whose `u` the REST order book tells. None means no limit.
    """

    name: str
    depths: dict[int, int]
    default_depth: int
    rest_book_depth: int
    rest_book_default_limit: int
    max_args_per_request: int | None
    max_args_per_connection: int | None
    paginated: bool
    pads_prices: bool


_BOOK_DEPTHS = {1: 10, 50: 20, 200: 100, 1000: 200}

CATEGORIES: dict[str, Category] = {
    category.name: category
    for category in (
        Category(
            name="spot",
            depths=_BOOK_DEPTHS,
            default_depth=50,
            rest_book_depth=1000,
            rest_book_default_limit=1,
            max_args_per_request=10,
            max_args_per_connection=None,
            paginated=False,
            pads_prices=False,
        ),
        *(
            Category(
                name=name,
                depths=_BOOK_DEPTHS,
                default_depth=50,
                rest_book_depth=1000,
                rest_book_default_limit=25,
                max_args_per_request=None,
                max_args_per_connection=None,
                paginated=True,
                pads_prices=True,
            )
            for name in ("linear", "inverse")
        ),
        Category(
            name="option",
            depths={25: 20, 100: 100},
            default_depth=25,
            rest_book_depth=100,
            rest_book_default_limit=1,
            max_args_per_request=None,
            max_args_per_connection=2000,
            paginated=True,
            pads_prices=False,
        ),
    )
}


@dataclass(frozen=True, slots=True)
class BookTopic:
    """`orderbook.{depth}.{symbol}`."""

    depth: int
    symbol: str


@dataclass(frozen=True, slots=True)
class TradeTopic:
    """`publicTrade.{name}`: a symbol's trades, or on option those of a base coin."""

    name: str


@dataclass(frozen=True, slots=True)
class TickerTopic:
    """`tickers.{symbol}`."""

    symbol: str


@dataclass(frozen=True, slots=True)
class KlineTopic:
    """`kline.{interval}.{symbol}`."""

    interval: str
    symbol: str


@dataclass(frozen=True, slots=True)
class LiquidationTopic:
    """`allLiquidation.{symbol}`."""

    symbol: str


Topic = BookTopic | TradeTopic | TickerTopic | KlineTopic | LiquidationTopic


def is_number(text: str) -> bool:
    """Whether it is a whole number in plain digits, of a length that a client may reasonably send."""
    return text.isascii() and text.isdigit() and len(text) <= 18


def parse_topic(text: str) -> Topic | None:
    """What a topic asks for; None for one of another kind, or badly written."""
    parts = text.split(".")
    match parts:
        case ["orderbook", depth, symbol] if is_number(depth) and symbol:
            return BookTopic(int(depth), symbol)
        case ["publicTrade", name] if name:
            return TradeTopic(name)
        case ["tickers", symbol] if symbol:
            return TickerTopic(symbol)
        case ["kline", interval, symbol] if symbol:
            return KlineTopic(interval, symbol)
        case ["allLiquidation", symbol] if symbol:
            return LiquidationTopic(symbol)
    return None
