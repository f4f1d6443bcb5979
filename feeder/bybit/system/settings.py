"""What a system is made of: a file and the environment over it, every mistake named by its key and no secret shown.

The file is YAML, or JSON where its name ends so. It has the client's keys (`feeder/bybit/rest/settings.py`: api_key,
api_secret or api_secret_file, environment, base_url, recv_window) and these, all of which may be left out:

    rate: {requests: 300}                                  # two processes share this address
    connection: {max_connections: 100}
    websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}
    watch:
      - {category: linear, symbols: [BTCUSDT, ETHUSDT], depth: 50}
    account: {categories: [linear, spot]}
    cache: {ticker_seconds: 2}
    logging: {level: warning}
    features: {order_entry: false}
    health: {interval_seconds: 10}

`BYBIT_SECTION__KEY=value` overrides one key (`BYBIT_RATE__REQUESTS=300`), `BYBIT_SECTION=value` a whole section; values
are read as YAML. The client's keys are BYBIT_API_KEY and so on, as ever.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from feeder.bybit.rest.settings import KEYS, Settings, keys_of, settings_of
from feeder.bybit.rest.settings_file import mapping, read, shown
from feeder.bybit.streams.hosts import is_address
from feeder.bybit.topics import DEPTHS
from feeder.errors import ConfigError
from feeder.market.instrument import InstrumentKey, is_symbol

from .settings_sections import (
    RANGES,
    SECTIONS,
    AccountSettings,
    CacheSettings,
    ConnectionSettings,
    FeatureSettings,
    HealthSettings,
    LoggingSettings,
    RateSettings,
    Watched,
    WebsocketSettings,
    remedy_of,
)
from .settings_values import overlay, section_of

APPLIED_AT_ONCE: dict[str, str | None] = {
    "rate.requests": None,
    "websocket.private_topics": "private",
    "websocket.public_topics": None,
    "watch": "market",
    "cache": "market",
    "logging.level": None,
    "health": "health",
}
"""Keys that take effect while a system runs, and what is below them; and the feature it needs for that."""


class Origin:
    """Where settings come from, to read them again. It has the environment in it, and shows nothing of that."""

    def __init__(self, path: Path | None, environ: Mapping[str, str], digest: bytes | None) -> None:
        self.path = path
        self.digest = digest  # of the file's bytes as they were read, None without a file
        self._environ = environ

    def read(self) -> "SystemSettings":
        """The settings as they are now. Raises ConfigError."""
        return SystemSettings.load(self.path, self._environ)


class SystemSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a system is made of. `client` is what a BybitClient is made of; `load` reads all of it."""

    client: Settings = Settings()
    rate: RateSettings = RateSettings()
    connection: ConnectionSettings = ConnectionSettings()
    websocket: WebsocketSettings = WebsocketSettings()
    watch: list[Watched] = []
    account: AccountSettings = AccountSettings()
    cache: CacheSettings = CacheSettings()
    logging: LoggingSettings = LoggingSettings()
    features: FeatureSettings = FeatureSettings()
    health: HealthSettings = HealthSettings()
    origin: Origin | None = None

    def __post_init__(self) -> None:
        for problem in _problems(self):
            raise problem

    def __repr__(self) -> str:
        on = ", ".join(name for name in FeatureSettings.__struct_fields__ if self.has(name))
        return f"SystemSettings({self.client!r}, {on or 'REST alone'})"

    @classmethod
    def load(cls, path: Path | str | None = None, environ: Mapping[str, str] | None = None) -> "SystemSettings":
        """Of a file, if one is named, and of `environ` (this process's environment) over it. Raises ConfigError."""
        environ = os.environ if environ is None else environ
        document: dict[str, Any] = {}
        given = {}
        digest = None
        if path is not None:
            file = read(Path(path), str(path), "name the file with the settings")
            document = mapping(file, [*KEYS, *SECTIONS])
            given = keys_of(file, document, environ)
            digest = file.digest
        client = settings_of(given, environ)
        sections = {name: document[name] for name in SECTIONS if document.get(name) is not None}
        variables = overlay(sections, environ)
        try:
            built = {name: section_of(name, value) for name, value in sections.items()}
            return cls(client=client, **built, origin=Origin(None if path is None else Path(path), environ, digest))
        except ConfigError as error:
            problem = ConfigError(variables.get(error.path, error.path), error.problem, error.remedy)
        raise problem

    def has(self, feature: str) -> bool:
        """Whether a feature is on."""
        wanted: bool | None = getattr(self.features, feature)
        if wanted is not None:
            return wanted
        return self.client.api_key is not None and not (feature == "order_entry" and self.client.environment == "demo")

    @property
    def watched(self) -> dict[InstrumentKey, Watched]:
        """What to follow, by category and symbol."""
        return {(each.category, symbol): each for each in self.watch for symbol in each.symbols}


def changed_paths(old: SystemSettings, new: SystemSettings) -> list[str]:
    """The paths of the keys that differ; a list is one key, and so is what is by category."""
    return [path for path in _differences(old, new, "") if path != "origin"]


def applied(old: SystemSettings, new: SystemSettings) -> SystemSettings:
    """What a system that runs with `old` and is told `new` runs with: what needs a restart is as it was."""
    for path, feature in APPLIED_AT_ONCE.items():
        if feature is None or old.has(feature):
            name, _, key = path.partition(".")
            section = getattr(new, name)
            if key:
                section = msgspec.structs.replace(getattr(old, name), **{key: getattr(section, key)})
            old = msgspec.structs.replace(old, **{name: section})
    return old


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, msgspec.Struct):
        for name in old.__struct_fields__:
            here = "" if name == "client" else name  # whose keys stand at the top
            dotted = f"{path}.{here}" if path and here else path or here
            yield from _differences(getattr(old, name), getattr(new, name), dotted)
    elif old != new:
        yield path


def _problems(settings: SystemSettings) -> Iterator[ConfigError]:
    """Every mistake of settings of the right types."""
    for path, (least, most, _) in RANGES.items():
        section, _, key = path.partition(".")
        value = getattr(getattr(settings, section), key)
        if value is not None and not least <= value <= most:  # nor is it nan
            yield ConfigError(path, "is no such number", remedy_of(path))
    websocket = settings.websocket
    if websocket.url is not None and not is_address(websocket.url):
        yield ConfigError("websocket.url", "is no address of a host", remedy_of("websocket.url"))
    if websocket.reconnect_first_seconds > websocket.reconnect_cap_seconds:
        remedy = "use at least as much as websocket.reconnect_first_seconds"
        yield ConfigError("websocket.reconnect_cap_seconds", "is less than the first delay", remedy)
    for category in websocket.public_topics:
        if category not in DEPTHS:
            yield ConfigError(f"websocket.public_topics.{shown(category)}", "no category", remedy_of("watch.category"))
    yield from _watch_problems(settings.watch)
    if not settings.account.categories:
        yield ConfigError("account.categories", "is empty", remedy_of("account.categories"))
    if "linear" in settings.account.categories and not settings.account.settle_coins:
        yield ConfigError("account.settle_coins", "is empty", remedy_of("account.settle_coins"))
    for index, coin in enumerate(settings.account.settle_coins):
        if not is_symbol(coin):
            yield ConfigError(f"account.settle_coins[{index}]", "is no coin", remedy_of("account.settle_coins"))
    has_key = settings.client.api_key is not None
    for feature in ("private", "order_entry"):
        if settings.has(feature) and not has_key:
            yield ConfigError(f"features.{feature}", "needs a key", "give api_key and api_secret, or leave it out")
    if settings.has("order_entry") and settings.client.environment == "demo":
        yield ConfigError("features.order_entry", "is not offered by demo trading", "leave it out, and order over REST")
    if settings.watch and not settings.features.market:
        yield ConfigError("watch", "needs features.market, which is off", "switch it on, or watch nothing")


def _watch_problems(watch: list[Watched]) -> Iterator[ConfigError]:
    seen: dict[InstrumentKey, str] = {}
    for index, watched in enumerate(watch):
        depths = DEPTHS.get(watched.category)
        if depths is None:
            yield ConfigError(f"watch[{index}].category", "is none that there is", remedy_of("watch.category"))
            continue
        if watched.depth and watched.depth not in depths:
            yield ConfigError(f"watch[{index}].depth", "is none that there is", f"use {', '.join(map(str, depths))}")
        for number, symbol in enumerate(watched.symbols):
            here = f"watch[{index}].symbols[{number}]"
            if not is_symbol(symbol):
                yield ConfigError(here, "is no symbol", "write it as the venue does, such as BTCUSDT")
            elif seen.setdefault((watched.category, symbol), here) != here:
                first = seen[watched.category, symbol]
                yield ConfigError(here, f"{watched.category} {symbol} is in {first} too", "watch it once")
