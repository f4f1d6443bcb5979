"""GET /v5/market/instruments-info and tickers as the feeder reads them: entry by entry, so that one that is odd costs
itself alone.

Source: Bybit v5, market/instrument, market/tickers and market/time; spot is one page, options come per base coin.
"""

import re
from collections.abc import Iterable, Sequence
from decimal import Context, Decimal
from typing import Any

import msgspec

from feeder.errors import InstrumentError, InvalidRequestError, RestError
from feeder.log import logger
from feeder.market.fixed_point import FINEST_EXPONENT, parse_fixed
from feeder.market.instrument import Category, Instrument, TradingStatus

from .messages import DECODE_ERRORS
from .rest.client import BybitClient
from .rest.endpoint import Endpoint
from .rest.reply import Page
from .venue_time import TimeSample

_RAW: dict[str, Any] = {
    "required": ("category",),
    "signed": False,
    "result": Page[msgspec.Raw],
    "empty_is_none": False,
}
_INSTRUMENTS: Endpoint[Page[msgspec.Raw]] = Endpoint("GET", "/v5/market/instruments-info", **_RAW)
_TICKERS: Endpoint[Page[msgspec.Raw]] = Endpoint("GET", "/v5/market/tickers", **_RAW)
_TIME_SAMPLES = 5  # the first pays for the connection
_PAGE = 1000  # the most the venue gives at once
_MOST_PAGES = 30  # of 1000 instruments each; the venue has some thousands in all
_LOGGED = 10  # entries named in one log line of those that make no sense
_LONGEST_ERROR = 500  # characters of a cause in a log line

_log = logger("bybit.instruments")

_STATUSES = {
    "PreLaunch": TradingStatus.PRELAUNCH,
    "Trading": TradingStatus.TRADING,
    "Delivering": TradingStatus.DELIVERING,
    "Closed": TradingStatus.CLOSED,
}


class PriceFilter(msgspec.Struct):
    """`priceFilter` of an instrument."""

    tickSize: str  # noqa: N815 - the venue's key


class LotSizeFilter(msgspec.Struct):
    """`lotSizeFilter` of an instrument: spot says basePrecision where the others say qtyStep."""

    qtyStep: str = ""  # noqa: N815 - the venue's key
    basePrecision: str = ""  # noqa: N815 - the venue's key


class InstrumentInfo(msgspec.Struct):
    """One entry of instruments-info, and of the copy on disk."""

    symbol: str
    status: str
    priceFilter: PriceFilter  # noqa: N815 - the venue's key
    lotSizeFilter: LotSizeFilter  # noqa: N815 - the venue's key


class Ticker(msgspec.Struct):
    """What feeder reads of one entry of tickers, all decimal texts."""

    symbol: str
    turnover24h: str
    volume24h: str = ""
    usdIndexPrice: str = ""  # noqa: N815 - the venue's key; of the base coin, on spot alone, and not of each


_decode_info = msgspec.json.Decoder(InstrumentInfo).decode
_decode_ticker = msgspec.json.Decoder(Ticker).decode
_AMOUNT = re.compile(r"[0-9]{1,30}(\.[0-9]{0,30})?")
_multiply = Context(prec=128).multiply  # exact for any two of them


def parse_instrument(category: str, info: InstrumentInfo, identity: int) -> Instrument:
    """An Instrument of what the venue says. Raises FixedPointError or InstrumentError when that makes no sense."""
    status = _STATUSES.get(info.status)
    if status is None:
        raise InstrumentError(f"{category} {info.symbol}: unknown status {info.status[:40]!r}")
    step = info.lotSizeFilter.basePrecision if category == Category.SPOT else info.lotSizeFilter.qtyStep
    price_exponent, quantity_exponent = _written_exponent(info.priceFilter.tickSize), _written_exponent(step)
    return Instrument(
        category=category,
        symbol=info.symbol,
        id=identity,
        price_exponent=price_exponent,
        quantity_exponent=quantity_exponent,
        tick_size=parse_fixed(info.priceFilter.tickSize, price_exponent),
        quantity_step=parse_fixed(step, quantity_exponent),
        status=status,
    )


def is_trading(info: InstrumentInfo) -> bool:
    """Whether the venue trades it, as it says."""
    return _STATUSES.get(info.status) is TradingStatus.TRADING


def _written_exponent(text: str) -> int:
    """The exponent of the last digit written, zeros included, at the finest -18."""
    return max(-len(text.partition(".")[2]), FINEST_EXPONENT)


def understood(category: str, entries: Iterable[msgspec.Raw]) -> list[InstrumentInfo]:
    """The entries that are of the shape expected; the others are logged, all in one line."""
    infos: list[InstrumentInfo] = []
    errors: list[str] = []
    for entry in entries:
        try:
            infos.append(_decode_info(entry))
        except DECODE_ERRORS as error:
            errors.append(str(error))
    log_odd(category, errors)
    return infos


def turnovers(category: str, entries: Iterable[msgspec.Raw]) -> tuple[dict[str, Decimal], int]:
    """Turnover of the last 24 hours by symbol, comparable within a category; and how many made no sense.

    Those count as 0, and are logged, all in one line. The venue's `turnover24h` is in the coin that is paid with. That
    is right for linear and option (dollars); an inverse contract is worth a dollar and paid with its base coin, so that
    `volume24h` counts; on spot it may be any coin, so that volume at the base coin's price in dollars counts, where the
    venue tells that.
    """
    found: dict[str, Decimal] = {}
    errors: list[str] = []
    for entry in entries:
        try:
            ticker = _decode_ticker(entry)
        except DECODE_ERRORS as error:
            errors.append(str(error))
            continue
        try:
            found[ticker.symbol] = _turnover(category, ticker)
        except InstrumentError as error:
            found[ticker.symbol] = Decimal(0)
            errors.append(f"{ticker.symbol[:40]}: {error}")
    if errors:
        some = [error[:_LONGEST_ERROR] for error in errors[:_LOGGED]]
        _log.warning("turnover not understood", category=category, count=len(errors), errors=some)
    return found, len(errors)


def _turnover(category: str, ticker: Ticker) -> Decimal:
    if category == Category.INVERSE and ticker.volume24h:
        return _amount(ticker.volume24h)
    if category == Category.SPOT and ticker.usdIndexPrice and ticker.volume24h:
        price = _amount(ticker.usdIndexPrice)
        if price:
            return _multiply(_amount(ticker.volume24h), price)
    return _amount(ticker.turnover24h)


def _amount(text: str) -> Decimal:
    if not _AMOUNT.fullmatch(text):
        raise InstrumentError(f"{text[:60]!r} is not a plain decimal number")
    return Decimal(text)


def log_odd(category: str, errors: Sequence[str]) -> None:
    """One line of log for all the instruments of a reply that make no sense."""
    if errors:
        some = [error[:_LONGEST_ERROR] for error in errors[:_LOGGED]]
        _log.warning("instruments not understood", category=category, count=len(errors), errors=some)


class InstrumentsInfo:
    """The endpoints, asked by `client`, which asks again where that helps and leaves the venue alone after HTTP 403."""

    def __init__(self, client: BybitClient) -> None:
        self.rest_url = client.base_url
        self._client = client

    async def fetch(self, category: str, coin: str | None = None, *, symbol: str | None = None) -> list[msgspec.Raw]:
        """The entries on all pages of one category, base coin or symbol. Raises RestError.

        The last page has no cursor, or one that was there before.
        """
        asked: dict[str, Any] = {"category": category, "symbol": symbol, "baseCoin": coin}
        if symbol is None and category != Category.SPOT:  # spot knows no pages
            asked["limit"] = _PAGE
        entries: list[msgspec.Raw] = []
        cursors: set[str | None] = {None, ""}
        for _ in range(_MOST_PAGES):
            try:
                page = (await self._client.send(_INSTRUMENTS, asked)).result
            except InvalidRequestError as error:
                if symbol is not None and "symbol" in error.ret_message.lower():
                    return []  # another way to say that the list is empty
                raise
            entries += page.entries
            if page.next_page_cursor in cursors:
                return entries
            cursors.add(page.next_page_cursor)
            asked["cursor"] = page.next_page_cursor
        where = f"{self.rest_url}{_INSTRUMENTS.path}"
        raise RestError(f"GET {where}: {category} has no last of {_MOST_PAGES} pages", retriable=False)

    async def tickers(self, category: str, coin: str | None = None) -> list[msgspec.Raw]:
        """The entries of tickers of one category or, for options, base coin, which have no pages. Raises RestError."""
        return (await self._client.send(_TICKERS, {"category": category, "baseCoin": coin})).result.entries

    async def times(self) -> list[TimeSample]:
        """The venue's time, asked for several times and never again on failure. Raises RestError."""
        return await self._client.time_samples(_TIME_SAMPLES)
