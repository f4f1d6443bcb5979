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
import re
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

import msgspec

from feeder.bybit.pacing import Timing
from feeder.bybit.rest.pool import REQUESTS, Timeouts
from feeder.bybit.rest.settings import KEYS, VARIABLES, Settings, keys_of, settings_of
from feeder.bybit.rest.settings_file import check_keys, mapping, read, shown, value_of
from feeder.bybit.topics import DEPTHS
from feeder.errors import ConfigError
from feeder.market.instrument import InstrumentKey, is_symbol

from . import market_cache

_PREFIX = "BYBIT_"
_CACHE = market_cache.CacheSettings()
_ADDRESS = re.compile(r"wss?://([A-Za-z0-9_.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?/?")


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the settings."""


class RateSettings(Section, frozen=True):
    """How fast REST may be asked: `requests` in any 5 s from this address by this process."""

    requests: int = REQUESTS
    wait_seconds: float = Timeouts().turn  # what would have to wait longer for its turn fails at once


class ConnectionSettings(Section, frozen=True):
    """REST's connections, and how long each step may take."""

    max_connections: int = 100
    connect_seconds: float = Timeouts().connect
    answer_seconds: float = Timeouts().answer
    ready_seconds: float = 10.0  # each part of the system may take so long to be there when it starts


class WebsocketSettings(Section, frozen=True):
    """The streams. `url` has no path and is needed where base_url is not one of the venue's own."""

    url: str | None = None
    ping_seconds: float = Timing().ping_interval
    pong_seconds: float = Timing().pong_deadline
    reconnect_first_seconds: float = Timing().reconnect_first
    reconnect_cap_seconds: float = Timing().reconnect_cap
    private_topics: list[str] = []  # beside order, execution, position and wallet, such as greeks
    public_topics: dict[str, list[str]] = {}  # by category, beside what `watch` needs, such as kline.1.BTCUSDT

    @property
    def timing(self) -> Timing:
        """As the streams have it."""
        return Timing(
            ping_interval=self.ping_seconds,
            pong_deadline=self.pong_seconds,
            reconnect_first=self.reconnect_first_seconds,
            reconnect_cap=self.reconnect_cap_seconds,
        )


class Watched(Section, frozen=True):
    """Symbols that the market follows from the start; `depth` 0 is the usual one."""

    category: Literal["spot", "linear", "inverse", "option"]
    symbols: list[str]
    depth: int = 0
    ticker: bool = True
    trades: bool = True

    @property
    def levels(self) -> int:
        """Of the book, a side."""
        return self.depth or (25 if self.category == "option" else 50)


class AccountSettings(Section, frozen=True):
    """What the account trades: REST lists by category, and linear contracts by the coin that they settle in."""

    categories: list[Literal["linear", "inverse", "spot", "option"]] = msgspec.field(
        default_factory=lambda: ["linear", "inverse", "spot", "option"]
    )
    settle_coins: list[str] = msgspec.field(default_factory=lambda: ["USDT", "USDC"])


class CacheSettings(Section, frozen=True):
    """How long the market keeps what REST said, in seconds, and how much of it; `history_pages` are of 1000 bars."""

    instrument_seconds: float = _CACHE.instrument_seconds
    ticker_seconds: float = _CACHE.ticker_seconds
    book_seconds: float = _CACHE.book_seconds
    trades_seconds: float = _CACHE.trades_seconds
    fee_rate_seconds: float = _CACHE.fee_rate_seconds
    entries: int = _CACHE.entries  # at most, of each kind
    history_pages: int = _CACHE.history_pages

    @property
    def of_market(self) -> market_cache.CacheSettings:
        """As the market has it."""
        return market_cache.CacheSettings(**msgspec.structs.asdict(self))


class LoggingSettings(Section, frozen=True):
    """How much the library logs; None leaves it as the program has it."""

    level: Literal["debug", "info", "warning", "error"] | None = None


class FeatureSettings(Section, frozen=True):
    """What a system has. None: if there is a key (and for order entry, if the environment offers it)."""

    private: bool | None = None  # the account's stream, and the account kept by it
    order_entry: bool | None = None
    market: bool = True
    health: bool = True  # the loop: health_check, reconciliation, reload
    reload: bool = True  # the loop looks whether the file has changed


class HealthSettings(Section, frozen=True):
    """How often a system looks at itself, and from when on something is a finding."""

    interval_seconds: float = 10.0
    reconcile_seconds: float | None = 300.0  # the account is compared with REST's as often; None: after cuts only
    stale_seconds: float = 30.0  # nothing came on a connection for so long
    clock_offset_seconds: float = 1.0  # this machine's clock is so far from the venue's
    quality: float = 50.0  # of a symbol's data, 0 to 100


_SECTIONS: dict[str, Any] = {
    "rate": RateSettings,
    "connection": ConnectionSettings,
    "websocket": WebsocketSettings,
    "watch": list[Watched],
    "account": AccountSettings,
    "cache": CacheSettings,
    "logging": LoggingSettings,
    "features": FeatureSettings,
    "health": HealthSettings,
}

_RANGES: dict[str, tuple[float, float, str]] = {  # of each number: least, most, unit
    "rate.requests": (5, REQUESTS, "requests in 5 s"),
    "rate.wait_seconds": (0, 300, "seconds"),
    "connection.max_connections": (1, 10_000, "connections"),
    "connection.connect_seconds": (0.1, 60, "seconds"),
    "connection.answer_seconds": (0.1, 300, "seconds"),
    "connection.ready_seconds": (0.1, 300, "seconds"),
    "websocket.ping_seconds": (0.1, 25, "seconds; the venue ends what is silent for 30 s or so"),
    "websocket.pong_seconds": (0.1, 60, "seconds"),
    "websocket.reconnect_first_seconds": (0.01, 60, "seconds"),
    "websocket.reconnect_cap_seconds": (0.01, 300, "seconds"),
    "cache.instrument_seconds": (0, 86_400, "seconds"),
    "cache.ticker_seconds": (0, 86_400, "seconds"),
    "cache.book_seconds": (0, 86_400, "seconds"),
    "cache.trades_seconds": (0, 86_400, "seconds"),
    "cache.fee_rate_seconds": (0, 86_400, "seconds"),
    "cache.entries": (1, 1_000_000, "answers of each kind"),
    "cache.history_pages": (1, 10_000, "pages of 0.75 MB each"),
    "health.interval_seconds": (0.05, 3600, "seconds"),
    "health.reconcile_seconds": (1, 86_400, "seconds, or null for after cuts only"),
    "health.stale_seconds": (1, 3600, "seconds"),
    "health.clock_offset_seconds": (0.01, 3600, "seconds"),
    "health.quality": (0, 100, "of 100"),
}

_REMEDIES = {  # of what is no number
    "websocket.url": "write wss://host, without user, password and path",
    "websocket.private_topics": "write a list such as [greeks]",
    "websocket.public_topics": "write lists by category, such as {linear: [kline.1.BTCUSDT]}",
    "watch": "write a list such as [{category: linear, symbols: [BTCUSDT]}]",
    "watch.category": "use spot, linear, inverse or option",
    "watch.symbols": "write a list such as [BTCUSDT, ETHUSDT]",
    "account.categories": "write some of [linear, inverse, spot, option]",
    "account.settle_coins": "write a list such as [USDT, USDC]",
    "logging.level": "use debug, info, warning or error",
}

_KINDS = {"int": "a whole number", "float": "a number", "str": "text", "bool": "true or false", "array": "a list"}
_KINDS |= {"object": "keys with values", "null": "nothing"}

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

    def __init__(self, path: Path | None, environ: Mapping[str, str]) -> None:
        self.path = path
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
        if path is not None:
            file = read(Path(path), str(path), "name the file with the settings")
            document = mapping(file, [*KEYS, *_SECTIONS])
            given = keys_of(file, document, environ)
        client = settings_of(given, environ)
        sections = {name: document[name] for name in _SECTIONS if document.get(name) is not None}
        variables = _overlay(sections, environ)
        try:
            built = {name: _section(name, value) for name, value in sections.items()}
            return cls(client=client, **built, origin=Origin(None if path is None else Path(path), environ))
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


# The environment


def _overlay(sections: dict[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Put what the environment says over what the file does; the variables' names by the paths of their keys."""
    variables: dict[str, str] = {}
    # A section that is given whole comes before its keys.
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        section, inner, key = name.removeprefix(_PREFIX).lower().partition("__")
        if not name.startswith(_PREFIX) or name in VARIABLES:
            continue
        if not inner and section not in _SECTIONS:
            _check_underscores(name, section)
            continue  # another program's
        if section not in _SECTIONS or (inner and section == "watch"):
            near = get_close_matches(section, [each for each in _SECTIONS if each != "watch"], n=1)
            remedy = f"did you mean {_PREFIX}{near[0].upper()}__{shown(key).upper()}?" if near else _SECTIONS_REMEDY
            raise ConfigError(_variable(name), "no such variable", remedy)
        value = value_of(environ[name], name)
        if not inner:
            sections[section] = value
            variables[section] = name
            continue
        keys = _SECTIONS[section].__struct_fields__
        if key not in keys:
            near = get_close_matches(key, keys, n=1)
            remedy = f"did you mean {_PREFIX}{section.upper()}__{near[0].upper()}?" if near else _keys_remedy(keys)
            raise ConfigError(_variable(name), "no such variable", remedy)
        inside = sections.setdefault(section, {})
        if not isinstance(inside, dict):
            raise ConfigError(section, "is no keys with values, which this has", f"see {name}")
        sections[section] = {**inside, key: value}
        variables[f"{section}.{key}"] = name
    return variables


def _check_underscores(name: str, rest: str) -> None:
    """Nobody who wrote BYBIT_RATE_REQUESTS wants it to be left out."""
    for section, kind in _SECTIONS.items():
        key = rest.removeprefix(f"{section}_")
        if key != rest and section != "watch" and key in kind.__struct_fields__:
            raise ConfigError(name, "no such variable", f"did you mean {_PREFIX}{section.upper()}__{key.upper()}?")


_SECTIONS_REMEDY = f"the sections are {', '.join(name.upper() for name in _SECTIONS)}, as in BYBIT_RATE__REQUESTS"


def _keys_remedy(keys: tuple[str, ...]) -> str:
    return f"the keys are {', '.join(keys)}"


def _variable(name: str) -> str:
    """A variable's name, unless it may be something else."""
    return name if re.fullmatch("[A-Z_a-z]{1,60}", name) else f"a variable BYBIT_... of {len(name)} characters"


# Values. No error shows one: whatever stands in the wrong place may be the secret.


def _section(name: str, value: Any) -> Any:
    """A section of the right types. Raises ConfigError."""
    kind = _SECTIONS[name]
    if name == "watch":
        if isinstance(value, list):
            for index, each in enumerate(value):
                if isinstance(each, dict):
                    check_keys(each, Watched.__struct_fields__, f"watch[{index}].")
    elif isinstance(value, dict):
        check_keys(value, kind.__struct_fields__, f"{name}.")
        # A key without a value is as if it were not there, unless nothing is a value.
        fields = {field.name: field for field in msgspec.structs.fields(kind)}
        value = {key: inner for key, inner in value.items() if inner is not None or _may_be_none(fields[key].type)}
    problem = ""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        problem = str(error)
    raise _type_error(name, problem)


def _may_be_none(kind: Any) -> bool:
    return type(None) in getattr(kind, "__args__", ())


def _type_error(section: str, said: str) -> ConfigError:
    """msgspec says "Expected `int`, got `str` - at `$.x`", or quotes the value; we say it with the path, without."""
    message, _, where = said.partition(" - at `")
    path = section if where.startswith("key` in `") else f"{section}{where.rstrip('`').removeprefix('$')}"
    path = path.replace("[...]", "")
    missing = re.search("required field `([a-z_]+)`", message)
    if missing:
        path = f"{path}.{missing[1]}"
        return ConfigError(path, "missing", _remedy(path))
    kinds = re.fullmatch("Expected `([^`]*)`, got `([^`]*)`", message)
    if kinds is None:
        return ConfigError(path, "is none that there is", _remedy(path))
    wanted = " or ".join(_KINDS.get(kind, kind) for kind in kinds[1].split(" | "))
    return ConfigError(path, f"is read as {_KINDS.get(kinds[2], kinds[2])}, not as {wanted}", _remedy(path))


def _remedy(path: str) -> str:
    key = re.sub(r"\[[0-9]*\]", "", path)
    if key in _RANGES:
        least, most, unit = _RANGES[key]
        return f"use {least:g} to {most:g} {unit}"
    return _REMEDIES.get(key, "write true or false" if key.startswith(("features.", "watch.")) else "mend it")


def _problems(settings: SystemSettings) -> Iterator[ConfigError]:
    """Every mistake of settings of the right types."""
    for path, (least, most, _) in _RANGES.items():
        section, _, key = path.partition(".")
        value = getattr(getattr(settings, section), key)
        if value is not None and not least <= value <= most:  # nor is it nan
            yield ConfigError(path, "is no such number", _remedy(path))
    websocket = settings.websocket
    if websocket.url is not None and not _ADDRESS.fullmatch(websocket.url):
        yield ConfigError("websocket.url", "is no address of a host", _remedy("websocket.url"))
    if websocket.reconnect_first_seconds > websocket.reconnect_cap_seconds:
        remedy = "use at least as much as websocket.reconnect_first_seconds"
        yield ConfigError("websocket.reconnect_cap_seconds", "is less than the first delay", remedy)
    for category in websocket.public_topics:
        if category not in DEPTHS:
            yield ConfigError(f"websocket.public_topics.{shown(category)}", "no category", _remedy("watch.category"))
    yield from _watch_problems(settings.watch)
    if not settings.account.categories:
        yield ConfigError("account.categories", "is empty", _remedy("account.categories"))
    if "linear" in settings.account.categories and not settings.account.settle_coins:
        yield ConfigError("account.settle_coins", "is empty", _remedy("account.settle_coins"))
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
        depths = DEPTHS[watched.category]
        if watched.depth and watched.depth not in depths:
            yield ConfigError(f"watch[{index}].depth", "is none that there is", f"use {', '.join(map(str, depths))}")
        for number, symbol in enumerate(watched.symbols):
            here = f"watch[{index}].symbols[{number}]"
            if not is_symbol(symbol):
                yield ConfigError(here, "is no symbol", "write it as the venue does, such as BTCUSDT")
            elif seen.setdefault((watched.category, symbol), here) != here:
                first = seen[watched.category, symbol]
                yield ConfigError(here, f"{watched.category} {symbol} is in {first} too", "watch it once")
