"""Reading a running system's settings again: when it is asked for, and when their file has changed."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import msgspec

from feeder.errors import ConfigError, FeederError, RestError, StreamError, VenueError

from ..rest.settings_file import digest_of
from ..streams.private import USUAL_TOPICS
from .settings import SystemSettings, applied, changed_paths
from .settings_sections import Watched

if TYPE_CHECKING:
    from .market import Market
    from .system_streams import SystemStreams

SETTLE_SECONDS = 0.5
"""A file that has changed is read after so long, if it is still the same then: it may be half written."""

_log = logging.getLogger("feeder.bybit.system")


class Reloaded(msgspec.Struct, frozen=True):
    """What reading the settings again has done, by the keys' paths: `changed` took effect, `needs_restart` did not."""

    changed: list[str]
    needs_restart: list[str]


class SettingsReader:
    """Reads a system's settings again. `apply` makes the system's those that it is given, and cannot fail."""

    def __init__(
        self,
        settings: SystemSettings,
        streams: "SystemStreams",
        market: "Market | None",
        apply: Callable[[SystemSettings], None],
        *,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        self.needs_restart: list[str] = []
        self.error: str | None = None  # why the last reading was refused
        self._settings = settings
        self._streams = streams
        self._market = market
        self._apply = apply
        self._sleep = sleep
        self._reading = asyncio.Lock()
        self._digest = None if settings.origin is None else settings.origin.digest  # of the file as it was read last
        self._open = False

    def start(self) -> None:
        """From now on it may be asked for."""
        self._open = True

    def close(self) -> None:
        """What is being read has no effect any more."""
        self._open = False

    async def read(self) -> Reloaded:
        """Do what can be done at once; the rest keeps its old value and is named.

        Raises FeederError when the settings cannot be used, and then nothing has changed.
        """
        async with self._reading:
            seen = await self._look()  # before it is read: what comes after that is another change
            try:
                self._check_open()
                reloaded = await self._read()
            except (RestError, StreamError) as error:
                self.error = str(error)  # of the venue: `read_if_changed` tries again
                raise
            except ConfigError as error:
                self.error, self._digest = str(error), seen
                raise
            self.error, self._digest = None, seen
            return reloaded

    async def read_if_changed(self) -> Reloaded | None:
        """As `read`, when the file, or its mode, is another than when it was read, or it cannot be read any more."""
        seen = await self._look()
        if seen == self._digest:
            return None
        await self._sleep(SETTLE_SECONDS)
        return await self.read() if seen == await self._look() else None

    async def _read(self) -> Reloaded:
        old, origin = self._settings, self._settings.origin
        if origin is None:
            raise ConfigError("settings", "were made in the program", "use SystemSettings.load(path)")
        new = await asyncio.to_thread(origin.read)
        then = applied(old, new)
        try:
            await apply_topics(self._streams, self._market, old, then)
        finally:
            self._check_open()  # or was closed meanwhile: then that is why it failed
        self._settings = then
        reloaded = Reloaded(changed_paths(old, then), changed_paths(then, new))
        self._apply(then)
        if reloaded.changed:
            _log.info("settings read again: %s changed", ", ".join(reloaded.changed))
        if reloaded.needs_restart and reloaded.needs_restart != self.needs_restart:
            _log.warning("settings read again: restart needed for %s", ", ".join(reloaded.needs_restart))
        self.needs_restart = reloaded.needs_restart
        return reloaded

    def _check_open(self) -> None:
        if not self._open:
            raise FeederError("the system does not run; settings are read again only while it does")

    async def _look(self) -> bytes | None:
        """A digest of the file: not its text, in which a secret may stand. None: there is none to be read."""
        path = None if self._settings.origin is None else self._settings.origin.path
        return None if path is None else await asyncio.to_thread(digest_of, path)


async def watch_all(market: "Market", settings: SystemSettings) -> None:
    """Watch what the settings say. Raises ConfigError and RestError."""
    async with AsyncExitStack() as undo:
        await _begin_watching(market, SystemSettings(), settings, undo)
        undo.pop_all()


async def apply_topics(
    streams: "SystemStreams", market: "Market | None", old: SystemSettings, new: SystemSettings
) -> None:
    """Begin what `new` has and `old` has not, then end what only `old` has.

    Raises ConfigError for what cannot be, RestError when the venue could not be asked, and StreamError when all is
    being closed; then nothing has changed.
    """
    async with AsyncExitStack() as undo:
        if market is not None:
            await _begin_watching(market, old, new, undo)
        if new.has("private"):
            more = _without(new.websocket.private_topics, [*old.websocket.private_topics, *USUAL_TOPICS])
            streams.want_private(more)
            undo.callback(streams.private.unsubscribe, *more)
        for category, topics in new.websocket.public_topics.items():
            more = _without(topics, old.websocket.public_topics.get(category, []))
            if category not in streams.each_public:
                undo.push_async_callback(streams.drop, category)
            streams.want(category, more)
            undo.callback(streams.each_public[category].unsubscribe, *more)
        undo.pop_all()
    # Nothing of this can fail.
    for category in new.websocket.public_topics:
        await streams.each_public[category].start()
    if market is not None:
        for category, symbol in old.watched.keys() - new.watched.keys():
            await market.unwatch(category, symbol)
    if new.has("private"):
        # The account needs the usual ones, whoever names them besides.
        gone = _without(old.websocket.private_topics, [*new.websocket.private_topics, *USUAL_TOPICS])
        streams.private.unsubscribe(*gone)
    for category, topics in old.websocket.public_topics.items():
        gone = _without(topics, new.websocket.public_topics.get(category, []))
        streams.each_public[category].unsubscribe(*gone)


async def _begin_watching(market: "Market", old: SystemSettings, new: SystemSettings, undo: AsyncExitStack) -> None:
    before = old.watched
    for index, entry in enumerate(new.watch):
        for number, symbol in enumerate(entry.symbols):
            key = (entry.category, symbol)
            was = before.get(key)
            if was is not None and _wanted(was) == _wanted(entry):
                continue
            if was is not None and was.levels != entry.levels:
                await market.unwatch(entry.category, symbol)
            if was is not None or key not in market.watched:  # by the program itself
                # First of all what undoes it: watching may fail halfway.
                undo.push_async_callback(_restore, market, entry.category, symbol, was)
            try:
                await market.watch(entry.category, symbol, depth=entry.levels, ticker=entry.ticker, trades=entry.trades)
            except (RestError, StreamError):
                raise
            except VenueError as error:
                path = f"watch[{index}].symbols[{number}]"
                raise ConfigError(path, str(error), "leave it out, or write it as the venue does") from error


async def _restore(market: "Market", category: str, symbol: str, was: Watched | None) -> None:
    await market.unwatch(category, symbol)
    if was is not None:
        await market.watch(category, symbol, depth=was.levels, ticker=was.ticker, trades=was.trades)


def _wanted(watched: Watched) -> tuple[int, bool, bool]:
    return watched.levels, watched.ticker, watched.trades


def _without(names: list[str], others: list[str]) -> list[str]:
    return [name for name in names if name not in others]
