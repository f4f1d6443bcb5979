"""The scale of every symbol, from the venue's instruments-info, with the last good copy kept on disk.

Source: Bybit v5, market/instrument. GET /v5/market/instruments-info; spot is one page, options come per base coin.
A scale is a decimal exponent, that of the last digit the venue writes in a tick or step ("0.10" gives -2, as its prices
are padded likewise), never a multiple of the tick: old or odd prices off the tick grid must fit.
"""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from random import Random

import aiohttp
import msgspec

from feeder.clock import SECOND_NS, Clock
from feeder.errors import FeederError, InstrumentError, RestError
from feeder.log import logger
from feeder.market.fixed_point import FINEST_EXPONENT, parse_fixed, rescale
from feeder.market.instrument import Category, Instrument, InstrumentKey, TradingStatus, instrument_id

from .pacing import backoff_delay
from .topics import base_coin

OPTION_BASE_COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "MNT")

_PATH = "/v5/market/instruments-info"
_PAGE = 1000  # the most the venue gives at once
_MOST_PAGES = 100  # an end to a cursor that goes in circles
_REQUEST_SECONDS = 5.0
_ATTEMPTS = 4
_RETRY_FIRST = 0.25
_RETRY_CAP = 2.0
_RETRIABLE_CODES = frozenset({429, 10000, 10006, 10016, 10018})  # overload, timeout, rate limit, restarting

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


class _Page(msgspec.Struct):
    entries: list[msgspec.Raw] = msgspec.field(name="list", default_factory=list)
    nextPageCursor: str = ""  # noqa: N815 - the venue's key


class _Answer(msgspec.Struct):
    retCode: int  # noqa: N815 - the venue's key
    retMsg: str = ""  # noqa: N815 - the venue's key
    result: msgspec.Raw = msgspec.Raw(b"{}")


class _Copy(msgspec.Struct):
    """The file on disk: what was fetched, from where and when."""

    rest_url: str
    fetched_at_ns: int
    instruments: list[InstrumentInfo]


_decode_answer = msgspec.json.Decoder(_Answer).decode
_decode_page = msgspec.json.Decoder(_Page).decode
_decode_info = msgspec.json.Decoder(InstrumentInfo).decode
_decode_copy = msgspec.json.Decoder(_Copy).decode


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


def _written_exponent(text: str) -> int:
    """The exponent of the last digit written, zeros included, at the finest -18."""
    return max(-len(text.partition(".")[2]), FINEST_EXPONENT)


class InstrumentTable:
    """Every instrument of the categories loaded, by (category, symbol).

    `ids` overrides the computed instrument ids. `cache_directory` keeps the last good copy per category for a start
    without REST; None keeps none. Exponents only get finer while the table lives; definition_version counts changes.
    """

    def __init__(
        self,
        rest_url: str,
        *,
        clock: Clock,
        random: Random,
        cache_directory: Path | None = None,
        ids: Mapping[InstrumentKey, int] | None = None,
    ) -> None:
        self._rest_url = rest_url.rstrip("/")
        self._clock = clock
        self._random = random
        self._cache_directory = cache_directory
        self._ids = dict(ids or {})
        self._instruments: dict[InstrumentKey, Instrument] = {}
        self._claimed: dict[int, InstrumentKey] = {}

    async def load(self, wanted: Mapping[str, Iterable[str] | None]) -> None:
        """Fetch the table of each category in `wanted`, whose value is the symbols wanted, or None for all.

        The symbols matter for options alone, which the venue lists per base coin. When REST fails, the copy on disk
        serves. Raises RestError when there is neither.
        """
        async with self._http() as http:
            await asyncio.gather(*(self._load(http, category, symbols) for category, symbols in wanted.items()))

    async def _load(self, http: aiohttp.ClientSession, category: str, symbols: Iterable[str] | None) -> None:
        coins: list[str | None] = [None]
        if category == Category.OPTION:
            coins = list(OPTION_BASE_COINS if symbols is None else sorted({base_coin(symbol) for symbol in symbols}))
        try:
            infos = [info for coin in coins for info in await self._fetch(http, category, coin=coin)]
        except RestError as error:
            infos = self._read_copy(category, error)
        else:
            self._write_copy(category, infos)
        for info in infos:
            self._take(category, info)
        _log.info("instruments loaded", category=category, count=len(infos))

    async def refresh(self, key: InstrumentKey) -> Instrument:
        """Ask the venue about one instrument again. Raises RestError, or InstrumentError when it is gone."""
        category, symbol = key
        async with self._http() as http:
            for info in await self._fetch(http, category, symbol=symbol):
                self._take(category, info)
        return self.get(key)

    def get(self, key: InstrumentKey) -> Instrument:
        """The instrument as known now. Raises InstrumentError when there is none."""
        instrument = self._instruments.get(key)
        if instrument is None:
            category, symbol = key
            raise InstrumentError(
                f"no {category} instrument {symbol!r} in the venue's table; correct the symbol or the category"
                " (symbols are upper case), or remove it from the subscriptions"
            )
        return instrument

    def claim(self, key: InstrumentKey) -> Instrument:
        """As `get`, for an instrument that is to be published. Raises InstrumentError when its id is taken."""
        instrument = self.get(key)
        other = self._claimed.setdefault(instrument.id, key)
        if other != key:
            raise InstrumentError(
                f"{':'.join(key)} and {':'.join(other)} have the same instrument id {instrument.id};"
                " give one of them another id in instrument_ids"
            )
        return instrument

    def release(self, key: InstrumentKey) -> None:
        """The instrument is published no longer: its id is free."""
        instrument = self._instruments.get(key)
        if instrument is not None and self._claimed.get(instrument.id) == key:
            del self._claimed[instrument.id]

    def symbols(self, category: str) -> list[str]:
        """The symbols the venue trades now, sorted: what `symbols: all` means."""
        return sorted(
            symbol
            for (its_category, symbol), instrument in self._instruments.items()
            if its_category == category and instrument.status is TradingStatus.TRADING
        )

    def make_finer(self, key: InstrumentKey, price_exponent: int, quantity_exponent: int) -> Instrument:
        """See to it that the instrument's exponents are at least as fine as these; return it as it is now."""
        old = self.get(key)
        return self._replace(old, old, price_exponent, quantity_exponent)

    # Within

    def _take(self, category: str, info: InstrumentInfo) -> None:
        """Add or update one instrument; an odd one costs nobody else their table."""
        key = (category, info.symbol)
        try:
            identity = self._ids[key] if key in self._ids else instrument_id(category, info.symbol)
            new = parse_instrument(category, info, identity)
        except (FeederError, UnicodeEncodeError) as error:
            _log.warning("instrument not understood", category=category, symbol=info.symbol[:60], error=str(error))
            return
        old = self._instruments.get(key)
        if old is None:
            self._instruments[key] = new
        else:
            self._replace(old, new, new.price_exponent, new.quantity_exponent)

    def _replace(self, old: Instrument, new: Instrument, price_exponent: int, quantity_exponent: int) -> Instrument:
        """Put `new` in the place of `old`, at exponents no coarser than before; a new version if anything differs."""
        price_exponent = min(old.price_exponent, price_exponent)
        quantity_exponent = min(old.quantity_exponent, quantity_exponent)
        merged = replace(
            new,
            price_exponent=price_exponent,
            quantity_exponent=quantity_exponent,
            tick_size=rescale(new.tick_size, new.price_exponent, price_exponent),
            quantity_step=rescale(new.quantity_step, new.quantity_exponent, quantity_exponent),
            definition_version=old.definition_version,
        )
        if merged != old:
            merged = replace(merged, definition_version=old.definition_version + 1)
            self._instruments[old.key] = merged
        return merged

    def _http(self) -> aiohttp.ClientSession:
        return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=_REQUEST_SECONDS))

    async def _fetch(
        self, http: aiohttp.ClientSession, category: str, *, coin: str | None = None, symbol: str | None = None
    ) -> list[InstrumentInfo]:
        """All pages of one category, base coin or symbol."""
        parameters = {"category": category}
        if symbol is not None:
            parameters["symbol"] = symbol
        elif category != Category.SPOT:  # spot knows no pages
            parameters["limit"] = str(_PAGE)
        if coin is not None:
            parameters["baseCoin"] = coin
        infos: list[InstrumentInfo] = []
        for _ in range(_MOST_PAGES):
            page = await self._get(http, parameters)
            for raw in page.entries:
                try:
                    infos.append(_decode_info(raw))
                except msgspec.DecodeError as error:
                    _log.warning("instrument not understood", category=category, error=str(error))
            if not page.nextPageCursor or parameters.get("cursor") == page.nextPageCursor:
                break
            parameters["cursor"] = page.nextPageCursor
        return infos

    async def _get(self, http: aiohttp.ClientSession, parameters: Mapping[str, str]) -> _Page:
        """One page, asked for again while that may help."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._get_once(http, parameters)
            except RestError as error:
                if not error.retriable or attempt == _ATTEMPTS:
                    raise
                delay = backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, self._random)
                _log.debug("instruments asked again", error=str(error), attempt=attempt, delay_seconds=delay)
            await asyncio.sleep(delay)
        raise AssertionError("the last attempt returns or raises")

    async def _get_once(self, http: aiohttp.ClientSession, parameters: Mapping[str, str]) -> _Page:
        address = f"{self._rest_url}{_PATH}"
        try:
            async with http.get(address, params=parameters) as response:
                body = await response.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            raise RestError(f"GET {address}: {type(error).__name__} {error}", retriable=True) from error
        if response.status != 200:
            # 403 is the address's rate limit or a barred country: asking again makes it worse.
            retriable = response.status == 429 or response.status >= 500
            raise RestError(f"GET {response.url}: HTTP {response.status}", retriable=retriable)
        try:
            answer = _decode_answer(body)
            if answer.retCode != 0:
                raise RestError(
                    f"GET {response.url}: retCode {answer.retCode} {answer.retMsg[:200]}",
                    retriable=answer.retCode in _RETRIABLE_CODES,
                )
            return _decode_page(answer.result)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RestError(f"GET {response.url}: not the JSON expected: {error}", retriable=False) from error

    def _copy_path(self, category: str) -> Path | None:
        return self._cache_directory / f"instruments-{category}.json" if self._cache_directory is not None else None

    def _write_copy(self, category: str, infos: list[InstrumentInfo]) -> None:
        """Keep a good copy; a disk that fails costs the copy, not the start."""
        path = self._copy_path(category)
        if path is None:
            return
        copy = _Copy(self._rest_url, self._clock.wall_ns(), infos)
        beside = path.with_suffix(".tmp")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(copy))
            beside.replace(path)
        except OSError as error:
            _log.warning("instruments not kept", category=category, error=str(error))

    def _read_copy(self, category: str, failure: RestError) -> list[InstrumentInfo]:
        """The last good copy, if it is of the same venue; otherwise the failure that made us look."""
        path = self._copy_path(category)
        remedy = "check exchange.rest_url and the network, or start once with REST reachable so that a copy is kept"
        if path is None or not path.exists():
            raise RestError(f"no instrument table for {category}: {failure}; {remedy}", retriable=True) from failure
        try:
            copy = _decode_copy(path.read_bytes())
        except (msgspec.DecodeError, UnicodeDecodeError, OSError) as error:
            raise RestError(
                f"no instrument table for {category}: {failure}; the copy {path} is unreadable: {error}; {remedy}",
                retriable=True,
            ) from failure
        if copy.rest_url != self._rest_url:
            raise RestError(
                f"no instrument table for {category}: {failure}; the copy {path} is of {copy.rest_url}; {remedy}",
                retriable=True,
            ) from failure
        age = (self._clock.wall_ns() - copy.fetched_at_ns) / SECOND_NS
        _log.warning("instruments from the copy on disk", category=category, age_seconds=round(age), error=str(failure))
        return copy.instruments
