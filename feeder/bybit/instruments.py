"""The scale of every symbol, from the venue's instruments-info, with the last good copy kept on disk.

A scale is a decimal exponent, that of the last digit the venue writes in a tick or step ("0.10" gives -2, as its prices
are padded likewise), never a multiple of the tick: old or odd prices off the tick grid must fit.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import msgspec

from feeder.clock import SECOND_NS, Clock
from feeder.errors import FeederError, FixedPointError, InstrumentError, RestError, VenueError
from feeder.log import logger
from feeder.market.fixed_point import FINER_DIGITS, rescale
from feeder.market.instrument import Category, Instrument, InstrumentKey, TradingStatus, instrument_id, is_symbol

from .instrument_copies import InstrumentCopies
from .instruments_info import (
    InstrumentInfo,
    InstrumentsInfo,
    is_trading,
    log_odd,
    parse_instrument,
    turnovers,
    understood,
)
from .pacing import TokenBucket
from .rest.client import BybitClient
from .topics import base_coin, last_day
from .venue_time import TimeSample

OPTION_BASE_COINS = ("BTC", "ETH", "SOL", "XRP", "DOGE", "MNT")

_REFRESH_BURST = 20.0  # questions about single instruments: all books may have one at once, and the venue's limit
_REFRESHES_PER_SECOND = 20.0  # is 600 requests per 5 s and address
_LOGGED = 40  # odd symbols named in one log line, and characters of each

_log = logger("bybit.instruments")


def gravest(failures: Iterable[RestError]) -> RestError:
    """The one that keeps us silent longest: none of the others may make its reader ask sooner."""
    return max(failures, key=lambda error: (error.retry_after_seconds, not error.retriable))


class InstrumentTable:
    """Every instrument of the categories loaded, by (category, symbol).

    `ids` overrides the computed instrument ids. `cache_directory` keeps the last good copy per category for a start
    without REST; None keeps none. Exponents only get finer while the table lives; definition_version counts changes.
    `skipped_symbols` counts entries whose symbol is none that feeder can publish, `odd_turnovers` those whose turnover
    is no number, `refused_tables` fresh tables too short to be believed. `share`: so many processes use this address.

    After HTTP 403 nothing is sent for 10 minutes, whoever asks: see SessionPool.
    """

    def __init__(
        self,
        client: BybitClient,
        *,
        clock: Clock,
        cache_directory: Path | None = None,
        ids: Mapping[InstrumentKey, int] | None = None,
        share: int = 1,
    ) -> None:
        self._info = InstrumentsInfo(client)
        self._clock = clock
        self._copies = InstrumentCopies(self._info.rest_url, cache_directory, clock)
        self._ids = dict(ids or {})
        self._refreshes = TokenBucket(
            max(1.0, _REFRESH_BURST / share), _REFRESHES_PER_SECOND / share, clock.monotonic()
        )
        self.skipped_symbols = 0
        self.odd_turnovers = 0
        self.refused_tables = 0
        self._told: set[str] = set()  # categories that REST has told us, as against those from a copy
        self._instruments: dict[InstrumentKey, Instrument] = {}
        self._said: dict[InstrumentKey, tuple[int, int]] = {}  # price and quantity exponents, as the venue's own last
        self._taken: dict[InstrumentKey, InstrumentInfo] = {}  # what the instrument was made of: most never change
        self._claimed: dict[int, InstrumentKey] = {}
        self._published: set[InstrumentKey] = set()  # claimed at some time

    async def load(self, wanted: Mapping[str, Iterable[str] | None]) -> dict[str, RestError]:
        """Fetch the table of each category in `wanted`, whose value is the symbols wanted, or None for all.

        The symbols matter for options alone, which the venue lists per base coin. When REST fails, the copy on disk
        serves. Returns what failed, by category, when there is neither; the others are loaded all the same.
        """
        return await self._each(wanted, self._load)

    async def reload(self, wanted: Mapping[str, Iterable[str] | None]) -> dict[str, RestError]:
        """Fetch tables anew while they are in use; returns what failed, by category, of which nothing changes.

        What the venue lists no longer is CLOSED: of what is published only once it is asked for alone as well, as a
        listing may be missing in a table for a moment. A table in which fewer than half of those trade that did so, but
        for options on their last day, is a failure.
        """
        return await self._each(wanted, self._reload)

    async def turnover(self, category: str, coins: Iterable[str] = OPTION_BASE_COINS) -> dict[str, Decimal]:
        """Turnover of the last 24 hours by symbol, comparable within the category; `coins` are those of options.

        What makes no sense counts as 0. Raises RestError, also when the venue tells of nothing at all.
        """
        entries: list[msgspec.Raw] = []
        for coin in coins if category == Category.OPTION else (None,):
            entries += await self._info.tickers(category, coin)
        found, odd = turnovers(category, entries)
        self.odd_turnovers += odd
        if not found:
            raise RestError(f"{self._info.rest_url} tells no turnover of {category}", retriable=True)
        return found

    async def _each(
        self,
        wanted: Mapping[str, Iterable[str] | None],
        fetch: Callable[[str, Sequence[str | None]], Awaitable[None]],
    ) -> dict[str, RestError]:
        """All categories at once; what failed."""
        fetches = (fetch(category, listed_by(category, symbols)) for category, symbols in wanted.items())
        results = await asyncio.gather(*fetches, return_exceptions=True)
        failures: dict[str, RestError] = {}
        for category, result in zip(wanted, results, strict=True):
            if isinstance(result, RestError):
                failures[category] = result
            elif result is not None:
                raise result
        return failures

    async def _load(self, category: str, coins: Sequence[str | None]) -> None:
        try:
            infos = await self._fetch(category, coins)
        except RestError as error:
            infos = self._copies.read(category, error)
        else:
            self._told.add(category)
            # The disk may be slow, and books of another category wait for this thread.
            await asyncio.to_thread(self._copies.write, category, infos)
        self._take(category, infos)
        _log.info("instruments loaded", category=category, count=len(infos))

    async def _reload(self, category: str, coins: Sequence[str | None]) -> None:
        infos = await self._fetch(category, coins)
        listed = {info.symbol for info in infos}
        known = [
            key for key in self._instruments if key[0] == category and (None in coins or base_coin(key[1]) in coins)
        ]
        gone = [key for key in known if key[1] not in listed]
        self._check_trading(category, known, infos)
        self._told.add(category)
        self._take(category, infos)
        await asyncio.to_thread(self._copies.write, category, infos)
        published = set(self._claimed.values())
        for key in gone:
            if key not in published:
                self._forget(key)
        await self._ask_alone([key for key in gone if key in published])

    def _check_trading(self, category: str, known: Iterable[InstrumentKey], infos: Iterable[InstrumentInfo]) -> None:
        """Raise RestError for a fresh table in which less than half trades of what the venue told us before."""
        today = datetime.fromtimestamp(self._clock.wall_ns() / SECOND_NS, UTC).date()
        trading = {
            symbol
            for of, symbol in known
            if self._instruments[of, symbol].status is TradingStatus.TRADING
            and (category != Category.OPTION or last_day(symbol) > today)  # otherwise it is to be expected
        }
        missing = len(trading.difference(info.symbol for info in infos if is_trading(info)))
        if category in self._told and missing * 2 > len(trading):
            self.refused_tables += 1
            raise RestError(
                f"{self._info.rest_url} lists {missing} of {len(trading)} {category} instruments no longer, or not as"
                " trading, which is not believed; the table stays as it is. If that is so, restart feeder",
                retriable=True,
            )

    async def _ask_alone(self, keys: Sequence[InstrumentKey]) -> None:
        """Bring the table up to date about these; when REST fails the rest waits for the next time."""
        for asked, key in enumerate(keys):
            try:
                if self.get(key).status is not TradingStatus.CLOSED:
                    await self.refresh(key)
            except VenueError as error:
                _log.warning("listings not confirmed", category=key[0], count=len(keys) - asked, error=str(error))
                return

    def _forget(self, key: InstrumentKey) -> None:
        """The venue lists it no longer and nobody publishes it.

        What was published keeps its scale and version, should it be listed again in this session. An option never is:
        its symbol has its last day in it, and every day brings others.
        """
        if key in self._published and key[0] != Category.OPTION:
            self._close(self._instruments[key])
        else:
            del self._instruments[key]
            self._said.pop(key, None)
            self._taken.pop(key, None)
            self._published.discard(key)

    async def _fetch(self, category: str, coins: Sequence[str | None]) -> list[InstrumentInfo]:
        """The instruments of these base coins, or of a whole category, which is never empty. Raises RestError."""
        infos: list[InstrumentInfo] = []
        for coin in coins:
            infos += understood(category, await self._info.fetch(category, coin))
        if not infos and None in coins:  # of a base coin there may be no options
            raise RestError(f"{self._info.rest_url} lists no {category} instruments", retriable=True)
        return infos

    async def refresh(self, key: InstrumentKey) -> Instrument:
        """Ask the venue about one instrument again; one that it lists no longer is CLOSED.

        Raises RestError, or InstrumentError when there never was such an instrument.
        """
        category, symbol = key
        while wait := self._refreshes.take(self._clock.monotonic()):  # noqa: ASYNC110 - nobody signals time
            await asyncio.sleep(wait)
        coin = base_coin(symbol) if category == Category.OPTION else None  # without it the venue tells of BTC alone
        entries = await self._info.fetch(category, coin, symbol=symbol)
        infos = understood(category, entries)
        self._take(category, infos)
        instrument = self.get(key)
        # An entry that makes no sense may be the one asked for: only what is surely absent is gone.
        if len(infos) == len(entries) and all(info.symbol != symbol for info in infos):
            return self._close(instrument)
        return instrument

    async def times(self) -> list[TimeSample]:
        """What the venue says of its time, some times over. Raises RestError."""
        return await self._info.times()

    def get(self, key: InstrumentKey) -> Instrument:
        """The instrument as known now. Raises InstrumentError when there is none."""
        instrument = self._instruments.get(key)
        if instrument is None:
            category, symbol = key
            raise InstrumentError(
                f"no {category} instrument {symbol!r} in the venue's table; correct the symbol or the category"
                " (symbols are upper case), or leave it out"
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
        self._published.add(key)
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
        """See to it that the instrument's exponents are at least as fine as these; return it as it is now.

        Raises FixedPointError when that is more than FINER_DIGITS finer than the venue's own, however it came about, or
        when its tick or step do not fit 64 bits any more.
        """
        old = self.get(key)
        self._check_finer(key, price_exponent, quantity_exponent)
        return self._replace(old, old, price_exponent, quantity_exponent)

    # Within

    def _check_finer(self, key: InstrumentKey, price_exponent: int, quantity_exponent: int) -> None:
        """Raise FixedPointError for exponents in which no one message or reply is believed: they would be for good."""
        for wanted, said in zip((price_exponent, quantity_exponent), self._said[key], strict=True):
            if wanted < said - FINER_DIGITS:
                raise FixedPointError(
                    f"{':'.join(key)}: 10^{wanted} is more than {FINER_DIGITS} digits finer than the venue's 10^{said}"
                )

    def _take(self, category: str, infos: Sequence[InstrumentInfo]) -> None:
        """Add or update instruments; an odd one costs nobody else their table."""
        odd = [info.symbol for info in infos if not is_symbol(info.symbol)]
        if odd:
            self.skipped_symbols += len(odd)
            named = [symbol[:_LOGGED] for symbol in odd[:_LOGGED]]
            _log.warning("symbols skipped", category=category, count=len(odd), symbols=named)
        errors: list[str] = []
        for info in infos:
            if is_symbol(info.symbol):
                self._take_one(category, info, errors)
        log_odd(category, errors)

    def _take_one(self, category: str, info: InstrumentInfo, errors: list[str]) -> None:
        """Add or update one instrument, or say in `errors` why not."""
        key = (category, info.symbol)
        if self._taken.get(key) == info:
            return
        try:
            identity = self._ids[key] if key in self._ids else instrument_id(category, info.symbol)
            new = parse_instrument(category, info, identity)
            old = self._instruments.get(key)
            if old is None:
                self._instruments[key] = new
            else:
                self._check_finer(key, new.price_exponent, new.quantity_exponent)
                self._replace(old, new, new.price_exponent, new.quantity_exponent)
        except FeederError as error:
            errors.append(f"{info.symbol}: {error}")
        else:
            self._said[key] = (new.price_exponent, new.quantity_exponent)
            self._taken[key] = info

    def _close(self, instrument: Instrument) -> Instrument:
        """The venue lists it no longer."""
        self._taken.pop(instrument.key, None)  # so that the same, told again, is news
        closed = replace(instrument, status=TradingStatus.CLOSED)
        return self._replace(instrument, closed, instrument.price_exponent, instrument.quantity_exponent)

    def _replace(self, old: Instrument, new: Instrument, price_exponent: int, quantity_exponent: int) -> Instrument:
        """Put `new` in the place of `old`, at exponents no coarser than before; a new version if anything differs.

        Raises FixedPointError, and changes nothing, when its tick or step do not fit 64 bits.
        """
        price_exponent = min(old.price_exponent, price_exponent)
        quantity_exponent = min(old.quantity_exponent, quantity_exponent)
        try:
            tick_size = rescale(new.tick_size, new.price_exponent, price_exponent)
            quantity_step = rescale(new.quantity_step, new.quantity_exponent, quantity_exponent)
        except FixedPointError as error:
            raise FixedPointError(f"{':'.join(old.key)}: its tick or step do not fit: {error}") from error
        merged = replace(
            new,
            price_exponent=price_exponent,
            quantity_exponent=quantity_exponent,
            tick_size=tick_size,
            quantity_step=quantity_step,
            definition_version=old.definition_version,
        )
        if merged != old:
            merged = replace(merged, definition_version=old.definition_version + 1)
            self._instruments[old.key] = merged
        return merged


def listed_by(category: str, symbols: Iterable[str] | None) -> Sequence[str | None]:
    """The base coins that options are listed by; of the other categories, which are listed whole, just None."""
    if category != Category.OPTION:
        return [None]
    return list(OPTION_BASE_COINS if symbols is None else sorted({base_coin(symbol) for symbol in symbols}))
