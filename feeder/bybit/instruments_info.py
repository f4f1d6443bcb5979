"""GET /v5/market/instruments-info: its pages, its entries, and when to leave the venue alone; also tickers and time.

Source: Bybit v5, market/instrument, market/tickers and market/time; spot is one page, options come per base coin.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Context, Decimal
from random import Random
from typing import Annotated, TypeVar

import aiohttp
import msgspec

from feeder.clock import Clock
from feeder.errors import InstrumentError, RestError
from feeder.log import logger
from feeder.market.fixed_point import FINEST_EXPONENT, parse_fixed
from feeder.market.instrument import Category, Instrument, TradingStatus

from .messages import DECODE_ERRORS
from .pacing import backoff_delay
from .venue_time import TimeSample

_PATH = "/v5/market/instruments-info"
_TICKERS_PATH = "/v5/market/tickers"
_TIME_PATH = "/v5/market/time"
_TIME_SAMPLES = 5  # the first pays for the connection
_PAGE = 1000  # the most the venue gives at once
_MOST_PAGES = 30  # of 1000 instruments each; the venue has some thousands in all
_LARGEST_BODY = 16 << 20  # bytes, after decompression; a page of 1000 instruments has about one million
_LOGGED = 10  # entries named in one log line of those that make no sense
_LONGEST_ERROR = 500  # characters of an address or a cause in an error
_REQUEST_SECONDS = 5.0
_ATTEMPTS = 4
_RETRY_FIRST = 0.25
_RETRY_CAP = 2.0
_SILENCE_SECONDS = 600.0  # after HTTP 403 the venue wants no request at all for at least 10 minutes
_NO_SUCH_SYMBOL = 10001  # a wrong parameter; which one, only the text says
_RETRIABLE_CODES = frozenset({429, 10000, 10006, 10016, 10018})  # overload, timeout, rate limit, restarting


_log = logger("bybit.instruments")
_Result = TypeVar("_Result")

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


class _Page(msgspec.Struct):
    entries: list[msgspec.Raw] = msgspec.field(name="list", default_factory=list)
    nextPageCursor: str = ""  # noqa: N815 - the venue's key


class _Time(msgspec.Struct):
    timeNano: Annotated[str, msgspec.Meta(pattern="^[0-9]{18,19}$")]  # noqa: N815 - the venue's key


class _Answer(msgspec.Struct):
    retCode: Annotated[int, msgspec.Meta(ge=-(1 << 31), lt=1 << 31)]  # noqa: N815 - the venue's key
    retMsg: str = ""  # noqa: N815 - the venue's key
    result: msgspec.Raw = msgspec.Raw(b"{}")


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_page = msgspec.json.Decoder(_Page).decode
_decode_time = msgspec.json.Decoder(_Time).decode
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
    """The endpoint. `rest_url` has no path.

    After HTTP 403 (the venue's limit on requests of one address) nothing is sent for 10 minutes, whoever asks: a
    RestError says at once for how long yet, in `retry_after_seconds`.
    """

    def __init__(self, rest_url: str, *, clock: Clock, random: Random) -> None:
        self.rest_url = rest_url.rstrip("/")
        self._clock = clock
        self._random = random
        self._silent_until = clock.monotonic()

    def session(self) -> aiohttp.ClientSession:
        """A session for some fetches, to be closed by the caller."""
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS))

    async def fetch(
        self, http: aiohttp.ClientSession, category: str, coin: str | None = None, *, symbol: str | None = None
    ) -> list[msgspec.Raw]:
        """The entries on all pages of one category, base coin or symbol. Raises RestError.

        The last page has no cursor, or one that was there before.
        """
        parameters = {"category": category}
        if symbol is not None:
            parameters["symbol"] = symbol
        elif category != Category.SPOT:  # spot knows no pages
            parameters["limit"] = str(_PAGE)
        if coin is not None:
            parameters["baseCoin"] = coin
        entries: list[msgspec.Raw] = []
        cursors = {""}
        for _ in range(_MOST_PAGES):
            page = await self._get(http, _PATH, parameters)
            entries += page.entries
            if page.nextPageCursor in cursors:
                return entries
            cursors.add(page.nextPageCursor)
            parameters["cursor"] = page.nextPageCursor
        raise RestError(f"GET {self.rest_url}{_PATH}: {category} has no last of {_MOST_PAGES} pages", retriable=False)

    async def tickers(self, http: aiohttp.ClientSession, category: str, coin: str | None = None) -> list[msgspec.Raw]:
        """The entries of tickers of one category or, for options, base coin, which have no pages. Raises RestError."""
        parameters = {"category": category}
        if coin is not None:
            parameters["baseCoin"] = coin
        return (await self._get(http, _TICKERS_PATH, parameters)).entries

    async def times(self, http: aiohttp.ClientSession) -> list[TimeSample]:
        """The venue's time, asked for several times and never again on failure. Raises RestError."""
        samples: list[TimeSample] = []
        for _ in range(_TIME_SAMPLES):
            sent = self._clock.monotonic()
            answer = await self._ask(http, _TIME_PATH, {}, _decode_time)
            samples.append(TimeSample(sent, int(answer.timeNano), self._clock.monotonic()))
        return samples

    async def _get(self, http: aiohttp.ClientSession, path: str, parameters: Mapping[str, str]) -> _Page:
        """One page, asked for again while that may help."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._ask(http, path, parameters, _decode_page)
            except RestError as error:
                if not error.retriable or error.retry_after_seconds or attempt == _ATTEMPTS:
                    raise
                delay = backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, self._random)
                _log.debug("asked again", error=str(error), attempt=attempt, delay_seconds=delay)
            await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    async def _ask(
        self,
        http: aiohttp.ClientSession,
        path: str,
        parameters: Mapping[str, str],
        decode: Callable[[msgspec.Raw], _Result],
    ) -> _Result:
        """The result in the venue's envelope."""
        address = f"{self.rest_url}{path}"
        silent = self._silent_until - self._clock.monotonic()
        if silent > 0:
            raise RestError(
                f"GET {address}: not sent, as the venue answered HTTP 403 and is left alone for {silent:.0f} s yet",
                retriable=True,
                retry_after_seconds=silent,
            )
        try:
            # The exchange does not redirect; whoever does is not the exchange.
            async with http.get(address, params=parameters, allow_redirects=False) as response:
                body = await _body(response)
        except (aiohttp.ClientError, TimeoutError) as error:
            cause = f"{type(error).__name__} {error}"[:_LONGEST_ERROR]
            raise RestError(f"GET {address}: {cause}", retriable=True) from error
        address = str(response.url)[:_LONGEST_ERROR]
        if response.status == 403:
            self._silent_until = self._clock.monotonic() + _SILENCE_SECONDS
            raise RestError(
                f"GET {address}: HTTP 403, too many requests from this address or a country the venue bars;"
                f" nothing is sent for {_SILENCE_SECONDS:g} s",
                retriable=True,
                retry_after_seconds=_SILENCE_SECONDS,
            )
        if response.status != 200:
            retriable = response.status == 429 or response.status >= 500
            raise RestError(f"GET {address}: HTTP {response.status}", retriable=retriable)
        try:
            answer = _decode_answer(body)
            if answer.retCode == _NO_SUCH_SYMBOL and "symbol" in parameters and "symbol" in answer.retMsg.lower():
                return decode(msgspec.Raw(b"{}"))  # another way to say that the list is empty
            if answer.retCode != 0:
                raise RestError(
                    f"GET {address}: retCode {answer.retCode} {answer.retMsg[:200]}",
                    retriable=answer.retCode in _RETRIABLE_CODES,
                )
            return decode(answer.result)
        except DECODE_ERRORS as error:
            raise RestError(f"GET {address}: not the JSON expected: {error}", retriable=False) from error


async def _body(response: aiohttp.ClientResponse) -> bytes:
    """The whole body. Raises RestError for one that no true reply has, before all of it is in memory."""
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > _LARGEST_BODY:
            raise RestError(f"GET {str(response.url)[:_LONGEST_ERROR]}: over {_LARGEST_BODY} bytes", retriable=False)
    return bytes(body)
