"""Making a running system's topics and watched symbols those of other settings: all of it, or nothing."""

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

from feeder.errors import ConfigError, InstrumentError

from .settings import SystemSettings
from .settings_sections import Watched

if TYPE_CHECKING:
    from .market import Market
    from .system_streams import SystemStreams


async def watch_all(market: "Market", settings: SystemSettings) -> None:
    """Watch what the settings say. Raises ConfigError and RestError."""
    async with AsyncExitStack() as undo:
        await _begin_watching(market, SystemSettings(), settings, undo)
        undo.pop_all()


async def apply_topics(
    streams: "SystemStreams", market: "Market | None", old: SystemSettings, new: SystemSettings
) -> None:
    """Begin what `new` has and `old` has not, then end what only `old` has.

    Raises ConfigError for what cannot be, and RestError when the venue could not be asked; then nothing has changed.
    """
    async with AsyncExitStack() as undo:
        if market is not None:
            await _begin_watching(market, old, new, undo)
        if new.has("private"):
            more = _without(new.websocket.private_topics, old.websocket.private_topics)
            streams.want_private(more)
            undo.callback(streams.private.unsubscribe, *more)
        for category, topics in new.websocket.public_topics.items():
            more = _without(topics, old.websocket.public_topics.get(category, []))
            streams.want(category, more)
            undo.callback(streams.each_public[category].unsubscribe, *more)
        undo.pop_all()
    # Nothing of this can fail.
    if market is not None:
        for category, symbol in old.watched.keys() - new.watched.keys():
            await market.unwatch(category, symbol)
    if new.has("private"):
        streams.private.unsubscribe(*_without(old.websocket.private_topics, new.websocket.private_topics))
    for category, topics in old.websocket.public_topics.items():
        gone = _without(topics, new.websocket.public_topics.get(category, []))
        streams.each_public[category].unsubscribe(*gone)


async def _begin_watching(market: "Market", old: SystemSettings, new: SystemSettings, undo: AsyncExitStack) -> None:
    before = old.watched
    for index, entry in enumerate(new.watch):
        for number, symbol in enumerate(entry.symbols):
            was = before.get((entry.category, symbol))
            if was is not None and _wanted(was) == _wanted(entry):
                continue
            if was is not None and was.levels != entry.levels:
                await market.unwatch(entry.category, symbol)
            # First of all what undoes it: watching may fail halfway.
            undo.push_async_callback(_restore, market, entry.category, symbol, was)
            try:
                await market.watch(entry.category, symbol, depth=entry.levels, ticker=entry.ticker, trades=entry.trades)
            except InstrumentError as error:
                path = f"watch[{index}].symbols[{number}]"
                raise ConfigError(path, str(error), "write it as the venue does, such as BTCUSDT") from error


async def _restore(market: "Market", category: str, symbol: str, was: Watched | None) -> None:
    await market.unwatch(category, symbol)
    if was is not None:
        await market.watch(category, symbol, depth=was.levels, ticker=was.ticker, trades=was.trades)


def _wanted(watched: Watched) -> tuple[int, bool, bool]:
    return watched.levels, watched.ticker, watched.trades


def _without(names: list[str], others: list[str]) -> list[str]:
    return [name for name in names if name not in others]
