"""The configuration of `feeder run`: flags over environment over file, every mistake named by its key's path.

The file is YAML. `FEEDER_SECTION__KEY=value` overrides one key (`FEEDER_MULTICAST__PORT=21000`), and `--set
section.key=value` overrides that; values are read as YAML. Lists are given whole (`FEEDER_SUBSCRIPTIONS='[{...}]'`).
"""

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec
import yaml

from feeder.bybit.freshness import MAX_LAG_SECONDS
from feeder.bybit.pacing import Timing
from feeder.bybit.topics import DEPTHS
from feeder.errors import ConfigError
from feeder.market.instrument import InstrumentKey, instrument_id, is_symbol
from feeder.multicast.plan import DEFAULT_LINES, DEFAULT_PARTITIONS, DEFAULT_PORT, ChannelPlan, Line

_ENVIRONMENTS = {
    "mainnet": ("wss://stream.bybit.com", "https://api.bybit.com"),
    "testnet": ("wss://stream-testnet.bybit.com", "https://api-testnet.bybit.com"),
    "demo": ("wss://stream.bybit.com", "https://api.bybit.com"),  # demo trading has no public data of its own
}
_PREFIX = "FEEDER_"
_LARGEST_FILE = 1 << 18  # bytes; all symbols of the exchange, one a line, take 50 kB
_LONGEST_SOCKET = 107  # bytes of a Unix socket's path, as Linux has it
_LONGEST_TEXT = 1000  # characters of one key or value; paths may have more, but nobody's do
_CHOICES = {  # what a key with few values may be, for whoever gave another
    "category": "spot, linear, inverse or option",
    "symbols": "a list such as [BTCUSDT, ETHUSDT], or: all, or: {top: 50}",
    "environment": "mainnet, testnet or demo",
    "level": "debug, info, warning or error",
    "format": "auto, json or text",
}


class Section(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """A part of the configuration; unknown keys are mistakes."""


class Exchange(Section):
    """Where the exchange is: an environment, or both addresses, which stand over it."""

    environment: Literal["mainnet", "testnet", "demo"] | None = None
    websocket_url: str | None = None
    rest_url: str | None = None

    @property
    def addresses(self) -> tuple[str, str]:
        """(WebSocket, REST), without paths."""
        if self.websocket_url is not None and self.rest_url is not None:  # more particular than an environment
            return self.websocket_url, self.rest_url
        return _ENVIRONMENTS[self.environment or "mainnet"]


class Top(Section):
    """The symbols of a category with the most turnover of the last 24 hours."""

    top: int


class Subscribed(Section):
    """Books of one category at one depth: 50 if not said, 25 for options."""

    category: Literal["spot", "linear", "inverse", "option"]
    symbols: list[str] | Literal["all"] | Top
    depth: int = 0
    trades: bool = True

    def __post_init__(self) -> None:
        self.depth = self.depth or usual_depth(self.category)


class Universe(Section):
    """How often the exchange is asked what it lists and trades most; None: at start only."""

    refresh_seconds: float | None = 300.0


def usual_depth(category: str) -> int:
    """The levels a side of a book of which nobody says how many."""
    return 25 if category == "option" else 50


class Queue(Section):
    """Bounds on updates that wait for their book: of one symbol, and of all together."""

    capacity: int = 1000
    total: int = 50000


class Freshness(Section):
    """From when on a connection that lives is not to be believed."""

    max_lag_seconds: float | None = MAX_LAG_SECONDS
    silence_seconds: float = Timing().silence


class LineConfig(Section):
    """One line's base group and the interface it is sent on, by address or name."""

    group: str
    interface: str


class Multicast(Section):
    """Where the feed goes."""

    partitions: int = DEFAULT_PARTITIONS
    port: int = DEFAULT_PORT
    ttl: int = 1
    loop: bool = True
    end_of_session_seconds: float = 1.0
    lines: dict[str, LineConfig] = msgspec.field(
        default_factory=lambda: {
            line.name: LineConfig(group=line.group, interface=line.interface) for line in DEFAULT_LINES
        }
    )

    @property
    def plan(self) -> ChannelPlan:
        """The channels. Raises ConfigError for addresses that cannot work."""
        lines = [Line(name, line.group, line.interface) for name, line in self.lines.items()]
        return ChannelPlan(self.partitions, self.port, lines)


class State(Section):
    """What is kept between starts."""

    directory: str | None = "run/state"


class Log(Section):
    """How much is logged, and how it looks; auto is text on a terminal and JSON elsewhere."""

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "json", "text"] = "auto"


class Telemetry(Section):
    """Where metrics are served, and the file they are served from; `listen` None: nowhere, the file is there still."""

    listen: str | None = "127.0.0.1:9480"
    counters: str = "run/counters.dat"


class Control(Section):
    """Where `feeder ctl` finds the feeder; None: nowhere."""

    socket: str | None = "run/control.sock"


class Config(Section):
    """The whole."""

    exchange: Exchange = msgspec.field(default_factory=Exchange)
    subscriptions: list[Subscribed] = []
    universe: Universe = msgspec.field(default_factory=Universe)
    instrument_ids: dict[str, int] = {}
    queue: Queue = msgspec.field(default_factory=Queue)
    freshness: Freshness = msgspec.field(default_factory=Freshness)
    multicast: Multicast = msgspec.field(default_factory=Multicast)
    state: State = msgspec.field(default_factory=State)
    telemetry: Telemetry = msgspec.field(default_factory=Telemetry)
    control: Control = msgspec.field(default_factory=Control)
    log: Log = msgspec.field(default_factory=Log)

    @property
    def ids(self) -> dict[InstrumentKey, int]:
        """Overridden instrument ids by (category, symbol)."""
        return {(category, symbol): i for name, i in self.instrument_ids.items() for category, symbol in [_key(name)]}


@dataclass(frozen=True, slots=True)
class Shard:
    """One of `count` processes that share a feed: it serves the partitions p with p mod count = index."""

    index: int
    count: int

    @classmethod
    def parse(cls, text: str) -> "Shard":
        """Of `k/n`, such as 0/2. Raises ConfigError."""
        found = re.fullmatch("([0-9]{1,3})/([0-9]{1,3})", text)
        if found is None or not int(found[1]) < int(found[2]):
            raise ConfigError("--shard", f"{text!r}", "write k/n with k from 0 to n - 1, such as 0/2 and 1/2")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.index}/{self.count}"

    def partitions(self, count: int) -> list[int]:
        """Which of so many partitions are its own."""
        return list(range(self.index, count, self.count))

    def narrow(self, config: Config) -> Config:
        """The configuration of this process: where it is watched and controlled must be its own.

        telemetry.listen is `index` ports higher; counters and socket have `-index` in their names. Raises ConfigError
        when there is nothing for it to serve, or no such port.
        """
        if self.count > config.multicast.partitions:
            remedy = f"use at most {config.multicast.partitions} shards, or more partitions"
            raise ConfigError("multicast.partitions", f"fewer than the {self.count} shards", remedy)
        telemetry, control = config.telemetry, config.control
        listen = telemetry.listen
        if listen is not None:
            host, _, port = listen.rpartition(":")
            if int(port) + self.index > 65535:
                raise ConfigError("telemetry.listen", f"{listen} leaves no port for shard {self}", "use a lower port")
            listen = f"{host}:{int(port) + self.index if int(port) else 0}"
        counters = Path(telemetry.counters)
        socket = None if control.socket is None else Path(control.socket)
        return msgspec.structs.replace(
            config,
            telemetry=Telemetry(listen=listen, counters=str(self._own(counters))),
            control=Control(socket=None if socket is None else str(self._own(socket))),
        )

    def _own(self, path: Path) -> Path:
        return path.with_name(f"{path.stem}-{self.index}{path.suffix}")


def load(path: Path | str, environ: Mapping[str, str] | None = None, flags: Iterable[str] = ()) -> Config:
    """The configuration of a file, `FEEDER_*` variables and `section.key=value` flags. Raises ConfigError."""
    config = parse_file(path, environ or {}, flags)
    for problem in problems(config):
        raise problem
    return config


def parse_file(path: Path | str, environ: Mapping[str, str], flags: Iterable[str] = ()) -> Config:
    """As `load`, without asking what the keys mean. Raises ConfigError."""
    document = _read(Path(path))
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise ConfigError(str(path), f"holds a {type(document).__name__}", "begin with a key such as `subscriptions:`")
    return parse(document, environ, flags)


def parse(document: dict[str, Any], environ: Mapping[str, str], flags: Iterable[str] = ()) -> Config:
    """Merge and type-check; what each key means is `problems`' affair. Raises ConfigError."""
    for name, value in sorted(environ.items()):
        if name.startswith(_PREFIX) and ("__" in name or name.removeprefix(_PREFIX).lower() in _sections()):
            _set(document, _path_of(name), value, name)
    for flag in flags:
        dotted, equals, value = flag.partition("=")
        if not equals or not dotted:
            raise ConfigError(f"--set {flag}", "not a key and a value", "write --set section.key=value")
        _set(document, dotted.split("."), value, f"--set {dotted}")
    _check_lines(document)
    try:
        return msgspec.convert(document, Config)
    except msgspec.ValidationError as error:
        raise _config_error(error) from error


def problems(config: Config) -> Iterator[ConfigError]:
    """Every mistake of a well-typed configuration."""
    yield from _exchange_problems(config.exchange)
    yield from _subscription_problems(config.subscriptions)
    yield from _id_problems(config)
    if config.queue.capacity < 1:
        yield ConfigError("queue.capacity", f"{config.queue.capacity} updates", "use at least 1")
    if config.queue.total < config.queue.capacity:
        yield ConfigError("queue.total", "less than queue.capacity", f"use at least {config.queue.capacity}")
    lag, silence = config.freshness.max_lag_seconds, config.freshness.silence_seconds
    if lag is not None and not 4 <= lag <= 3600:
        remedy = "use 4 to 3600, or null for never: a first message of depth 1 may be 3 s old"
        yield ConfigError("freshness.max_lag_seconds", f"{lag:g}", remedy)
    if not 0.5 <= silence <= 60:
        yield ConfigError("freshness.silence_seconds", f"{silence:g}", "use 0.5 to 60")
    if not 0 <= config.multicast.ttl <= 255:
        yield ConfigError("multicast.ttl", f"{config.multicast.ttl}", "use 0 (this machine) to 255; 1 is the local net")
    if not 0 <= config.multicast.end_of_session_seconds <= 60:
        yield ConfigError("multicast.end_of_session_seconds", "out of range", "use 0 to 60")
    try:
        _ = config.multicast.plan
    except ConfigError as error:
        yield error
    refresh = config.universe.refresh_seconds
    if refresh is not None and not 10 <= refresh <= 86400:
        yield ConfigError("universe.refresh_seconds", f"{refresh:g}", "use 10 to 86400, or null for never")
    yield from _telemetry_problems(config.telemetry)
    socket = config.control.socket
    if socket is not None and not 1 <= len(os.fsencode(socket)) <= _LONGEST_SOCKET:
        remedy = f"name a path of at most {_LONGEST_SOCKET} bytes, or null for no control"
        yield ConfigError("control.socket", f"{len(os.fsencode(socket))} bytes long", remedy)


def _telemetry_problems(telemetry: Telemetry) -> Iterator[ConfigError]:
    if telemetry.listen is not None:
        host, _, port = telemetry.listen.rpartition(":")
        if not host or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
            yield ConfigError("telemetry.listen", f"{telemetry.listen!r}", "write address:port, or null for nowhere")
    if not Path(telemetry.counters).name:
        yield ConfigError("telemetry.counters", f"{telemetry.counters!r}", "name a file")


def _exchange_problems(exchange: Exchange) -> Iterator[ConfigError]:
    urls = {"websocket_url": ("ws", "wss"), "rest_url": ("http", "https")}
    given = [name for name in urls if getattr(exchange, name) is not None]
    if len(given) == 1:
        missing = next(name for name in urls if name not in given)
        yield ConfigError(f"exchange.{missing}", "missing", f"give it together with exchange.{given[0]}")
    for name in given:
        try:
            url = urlsplit(getattr(exchange, name))
            usable = url.scheme in urls[name] and _is_host(url.hostname or "") and url.port != 0
        except ValueError:  # brackets that do not close, a port that is none
            usable = False
        if "@" in getattr(exchange, name):  # a password, which must not be shown here, nor in any log later
            yield ConfigError(f"exchange.{name}", "has an @, as before a host", "leave user and password out")
        elif not usable:
            remedy = f"write {urls[name][0]}://host:port or {urls[name][1]}://host"
            yield ConfigError(f"exchange.{name}", f"{getattr(exchange, name)!r} is no such address", remedy)
        elif url.path not in {"", "/"} or url.query or url.fragment:
            yield ConfigError(f"exchange.{name}", f"has a path {url.path!r}", "leave it out; feeder appends its own")


def _is_host(text: str) -> bool:
    """Whether this may be a host's name or address; names in other scripts are written in their ASCII form."""
    labels = text.removesuffix(".").split(".")
    return ":" in text or (len(text) <= 253 and all(re.fullmatch(r"[A-Za-z0-9_-]{1,63}", label) for label in labels))


def _subscription_problems(subscriptions: list[Subscribed]) -> Iterator[ConfigError]:
    if not subscriptions:
        yield ConfigError("subscriptions", "empty", "name what to follow: - {category: linear, symbols: [BTCUSDT]}")
    seen: dict[InstrumentKey, str] = {}
    whole: dict[str, str] = {}
    for index, subscribed in enumerate(subscriptions):
        path = f"subscriptions[{index}]"
        depths = DEPTHS[subscribed.category]
        if subscribed.depth not in depths:
            known = ", ".join(map(str, depths))
            yield ConfigError(f"{path}.depth", f"{subscribed.category} has no depth {subscribed.depth}", f"use {known}")
        if isinstance(subscribed.symbols, Top) and subscribed.symbols.top < 1:
            yield ConfigError(f"{path}.symbols.top", f"{subscribed.symbols.top}", "use at least 1")
        if not isinstance(subscribed.symbols, list):
            if subscribed.category in whole or any(category == subscribed.category for category, _ in seen):
                yield ConfigError(f"{path}.symbols", f"{subscribed.category} is listed elsewhere too", "list it once")
            whole[subscribed.category] = path
            continue
        if not subscribed.symbols:
            yield ConfigError(f"{path}.symbols", "empty", "name symbols such as [BTCUSDT], or write: symbols: all")
        if subscribed.category in whole:
            yield ConfigError(
                f"{path}.symbols", f"in {whole[subscribed.category]} too, by `all` or `top`", "list each once"
            )
        for number, symbol in enumerate(subscribed.symbols):
            here = f"{path}.symbols[{number}]"
            if not is_symbol(symbol):
                yield ConfigError(here, f"{symbol!r} is no symbol", "write it as the exchange does, such as BTCUSDT")
            other = seen.setdefault((subscribed.category, symbol), here)
            if other != here:
                yield ConfigError(here, f"{subscribed.category} {symbol} is in {other} too", "a book has one depth")


def _id_problems(config: Config) -> Iterator[ConfigError]:
    listed = {
        instrument_id(entry.category, symbol): f"{entry.category}:{symbol}"
        for entry in config.subscriptions
        if isinstance(entry.symbols, list)
        for symbol in entry.symbols
        if is_symbol(symbol) and f"{entry.category}:{symbol}" not in config.instrument_ids
    }
    taken: dict[int, str] = {}
    for name, number in config.instrument_ids.items():
        path = f"instrument_ids.{name}"
        category, _, symbol = name.partition(":")
        if category not in DEPTHS or not is_symbol(symbol):
            yield ConfigError(path, "names no instrument", "write category:SYMBOL, such as linear:BTCUSDT")
        if not 1 <= number <= 0xFFFF_FFFF:
            yield ConfigError(path, f"{number} does not fit", "use 1 to 4294967295")
        other = listed.get(number) or taken.setdefault(number, name)
        if other != name:
            yield ConfigError(path, f"{number} is that of {other}", "give each its own")


def _read(path: Path) -> object:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
    except OSError as error:
        raise ConfigError(str(path), f"cannot be read: {error.strerror}", "give --config FILE") from error
    if len(content) > _LARGEST_FILE:
        raise ConfigError(str(path), f"is larger than {_LARGEST_FILE} bytes", "give the feeder's configuration")
    try:
        return _values(content.decode("utf-8"))
    except _NOT_YAML as error:
        raise ConfigError(str(path), f"is not YAML: {_place(error)}", "mend that line") from error


_NOT_YAML = (yaml.YAMLError, UnicodeDecodeError, RecursionError)
"""What `_values` raises; RecursionError is nesting without end."""


def _place(error: Exception) -> str:
    """What is wrong with a YAML text and where, without showing the text: a password may stand in it."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        mark = error.problem_mark
        return f"{str(error.problem)[:200]} in line {mark.line + 1}, column {mark.column + 1}"
    return " ".join(str(error).split())


def _values(text: str) -> Any:
    return yaml.load(text, _Loader)  # noqa: S506 - a SafeLoader


class _Loader(yaml.SafeLoader):
    """YAML whose mappings name each key once: of two, one would silently not count.

    PyYAML's own constructors raise what they happen to on `2001-99-99`, `0x_` or `!!bool maybe`: here all of it is
    YAML's error, with its place. So are integers over 64 bits and text that no name, path or address can hold.
    """

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        problem: Exception | None = None
        usable = True
        try:
            value = super().construct_object(node, deep)
            if isinstance(value, str):
                usable = len(value) <= _LONGEST_TEXT and "\0" not in value
                value.encode()  # raises UnicodeEncodeError, a ValueError
            elif isinstance(value, int):
                usable = abs(value) < 1 << 63
        except (ValueError, AttributeError, LookupError) as error:
            problem = error
        if problem is not None or not usable:
            what = node.tag.rpartition(":")[2]
            raise yaml.constructor.ConstructorError(
                None, None, f"a value that cannot be used as {what}", node.start_mark
            ) from problem
        return value

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str):
                if key in seen:
                    raise yaml.constructor.ConstructorError(None, None, f"key {key!r} twice", key_node.start_mark)
                seen.add(key)
        return super().construct_mapping(node, deep)


def _sections() -> set[str]:
    return set(Config.__struct_fields__)


def _path_of(variable: str) -> list[str]:
    """FEEDER_MULTICAST__LINES__A__GROUP names multicast.lines.A.group; only names that we chose are lower case."""
    parts = variable.removeprefix(_PREFIX).split("__")
    lines = len(parts) > 2 and [part.lower() for part in parts[:2]] == ["multicast", "lines"]
    return [part if lines and index == 2 else part.lower() for index, part in enumerate(parts)]


def _set(document: dict[str, Any], path: list[str], text: str, source: str) -> None:
    """Put a value at a path, making the sections on the way."""
    if not all(part.isascii() for part in path):  # also what is not even text, as the environment may hold
        raise ConfigError(ascii(".".join(path)), "no such key", "see config/feeder.yaml for the keys there are")
    try:
        value = _values(text)
    except _NOT_YAML as error:
        raise ConfigError(".".join(path), f"{source} is not YAML", "quote it") from error
    place = document
    if path[:2] == ["multicast", "lines"] and len(path) > 2:
        section = document.get("multicast") or {}
        if isinstance(section, dict) and not section.get("lines"):
            # One key of a line that the file leaves to the defaults: the other keys, and the other lines, stay.
            _set(document, path[:2], msgspec.json.encode(Multicast().lines).decode(), source)
    for part in path[:-1]:
        inner = place.get(part)
        if inner is None:
            inner = place[part] = {}
        if not isinstance(inner, dict):
            raise ConfigError(".".join(path), f"{source}: {part} is not a section", "see config/feeder.yaml")
        place = inner
    place[path[-1]] = value


def _check_lines(document: dict[str, Any]) -> None:
    """Type-check each line by itself: an error in a mapping of free names would not say which name."""
    section = document.get("multicast")
    lines = section.get("lines") if isinstance(section, dict) else None
    for name, line in lines.items() if isinstance(lines, dict) else ():
        try:
            msgspec.convert(line, LineConfig)
        except msgspec.ValidationError as error:
            raise _config_error(error, f"multicast.lines.{name}") from error


def _config_error(error: msgspec.ValidationError, base: str = "") -> ConfigError:
    """msgspec says "Object contains unknown field `x` - at `$.multicast`"; we say it with the key's path."""
    message, _, where = str(error).partition(" - at `")
    key = where.startswith("key` in `")
    where = where.removeprefix("key` in `")
    path = (base + where.rstrip("`").removeprefix("$").removesuffix("[...]")).removeprefix(".")
    unknown = re.search(r"unknown field `(.*)`", message)
    if unknown:
        path = f"{path}.{unknown[1]}" if path else unknown[1]
        return ConfigError(path or "(empty)", "no such key", "see config/feeder.yaml for the keys there are")
    missing = re.search(r"missing required field `(.*)`", message)
    if missing:
        return ConfigError(f"{path}.{missing[1]}" if path else missing[1], "missing", "see config/feeder.yaml")
    if key:
        return ConfigError(
            path or "(file)", "a key here is not text", "quote it, or see config/feeder.yaml for the keys"
        )
    choices = _CHOICES.get(path.rpartition(".")[2])
    remedy = f"use {choices}" if choices else "see config/feeder.yaml for what it may be"
    return ConfigError(path or "(file)", message[0].lower() + message[1:], remedy)


def _key(name: str) -> InstrumentKey:
    category, _, symbol = name.partition(":")
    return category, symbol
