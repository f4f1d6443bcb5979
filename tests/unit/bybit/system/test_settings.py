"""Settings of a whole system: file, environment over it, and each mistake by its key, without the value of anything."""

import json
import traceback
from pathlib import Path

import msgspec
import pytest

from feeder.bybit.rest.settings import Settings
from feeder.bybit.system.settings import SystemSettings, applied, changed_paths
from feeder.bybit.system.settings_sections import FeatureSettings, HealthSettings, RateSettings, Watched
from feeder.errors import ConfigError
from tests.helpers.secrets import API_KEY, API_SECRET, left_behind, secret_file

ACCOUNT = f"api_key: {API_KEY}\napi_secret: {API_SECRET}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "bybit.yaml"


def load(file: Path, content: str, **environ: str) -> SystemSettings:
    return SystemSettings.load(secret_file(file, content), environ)


def refused(file: Path | None, content: str = "", **environ: str) -> ConfigError:
    """The error, in which no value stands: not even with all that is chained to it."""
    with pytest.raises(ConfigError) as raised:
        SystemSettings.load(None if file is None else secret_file(file, content), environ)
    error: BaseException | None = raised.value
    shown = "".join(traceback.format_exception(raised.value))
    while error is not None:
        shown += repr(error)
        error = error.__cause__ or error.__context__
    for value in (API_KEY, API_SECRET):
        assert value not in shown
        assert value[:12] not in shown
    left_behind(shown, "an error of the settings")
    return raised.value


# What there is


def test_nothing_given_is_the_public_market_of_mainnet() -> None:
    settings = SystemSettings.load(environ={})
    assert msgspec.structs.replace(settings, origin=None) == SystemSettings()
    assert [settings.has(feature) for feature in ("private", "order_entry", "market", "health")] == [0, 0, 1, 1]


def test_a_file_has_all_there_is(file: Path) -> None:
    settings = load(
        file,
        ACCOUNT
        + """
environment: testnet
rate: {requests: 300, wait_seconds: 5}
connection: {max_connections: 20, connect_seconds: 1, answer_seconds: 2.5, ready_seconds: 3}
websocket:
  url: ws://127.0.0.1:9443
  ping_seconds: 15
  pong_seconds: 5
  reconnect_first_seconds: 0.2
  reconnect_cap_seconds: 4
  private_topics: [greeks]
  public_topics: {linear: [kline.1.BTCUSDT]}
watch:
  - {category: linear, symbols: [BTCUSDT, ETHUSDT], depth: 200, trades: false}
  - {category: spot, symbols: [BTCUSDT]}
cache: {ticker_seconds: 1, entries: 10}
logging: {level: warning}
features: {order_entry: false}
health: {interval_seconds: 5, reconcile_seconds: null}
""",
    )
    assert settings.client.api_key == API_KEY
    assert settings.client.environment == "testnet"
    assert settings.rate == RateSettings(requests=300, wait_seconds=5)
    assert settings.connection.answer_seconds == 2.5
    assert settings.websocket.timing.ping_interval == 15
    assert settings.websocket.timing.reconnect_cap == 4
    assert settings.websocket.public_topics == {"linear": ["kline.1.BTCUSDT"]}
    assert list(settings.watched) == [("linear", "BTCUSDT"), ("linear", "ETHUSDT"), ("spot", "BTCUSDT")]
    assert settings.watched["linear", "ETHUSDT"].depth == 200
    assert settings.cache.ticker_seconds == 1
    assert settings.logging.level == "warning"
    assert settings.health == HealthSettings(interval_seconds=5, reconcile_seconds=None)
    assert settings.has("private")
    assert not settings.has("order_entry")


def test_json_says_the_same(file: Path, tmp_path: Path) -> None:
    document = {"rate": {"requests": 100}, "watch": [{"category": "linear", "symbols": ["BTCUSDT"]}]}
    as_json = tmp_path / "bybit.json"
    as_json.write_text(json.dumps(document))
    same = SystemSettings.load(as_json, {})
    assert not changed_paths(same, load(file, "rate: {requests: 100}\nwatch: [{category: linear, symbols: [BTCUSDT]}]"))


@pytest.mark.parametrize("content", ["", "rate:\n", "rate: {}\n", "rate: {requests: }\n", "watch: []\nhealth:\n"])
def test_what_has_no_value_is_as_if_it_were_not_there(file: Path, content: str) -> None:
    assert not changed_paths(load(file, content), SystemSettings())


def test_so_is_a_key_of_what_is_watched(file: Path) -> None:
    (watched,) = load(file, "watch: [{category: linear, symbols: [BTCUSDT], depth: , trades: }]\n").watch
    assert watched == Watched(category="linear", symbols=["BTCUSDT"])


@pytest.mark.parametrize(
    ("content", "requests"), [("0x20", 32), ("1_00", 100), ("+50", 50), ("300 # in 5 s", 300), ("0b1000", 8)]
)
def test_numbers_of_yaml_that_are_what_they_look_like_count(file: Path, content: str, requests: int) -> None:
    assert load(file, f"rate: {{requests: {content}\n}}").rate.requests == requests


@pytest.mark.parametrize(("word", "is_on"), [("yes", True), ("no", False), ("on", True), ("Off", False)])
def test_switches_may_be_said_as_yaml_says_them(word: str, is_on: bool) -> None:
    assert SystemSettings.load(environ={"BYBIT_FEATURES__MARKET": word}).has("market") is is_on


def test_the_environment_stands_over_the_file_key_by_key(file: Path) -> None:
    settings = load(
        file,
        "rate: {requests: 100, wait_seconds: 1}\n",
        BYBIT_RATE__REQUESTS="200",
        BYBIT_WATCH="[{category: linear, symbols: [BTCUSDT]}]",
        BYBIT_FEATURES__MARKET="on",
        BYBIT_HEALTH="{interval_seconds: 3}",
        BYBIT_HEALTH__QUALITY="10",
        BYBIT_LOGGING__LEVEL="debug",
        BYBIT_API_KEY=API_KEY,
        BYBIT_API_SECRET=API_SECRET,
        BYBIT_OF_ANOTHER_PROGRAM="x",
    )
    assert settings.rate == RateSettings(requests=200, wait_seconds=1)
    assert settings.watch == [Watched(category="linear", symbols=["BTCUSDT"])]
    assert settings.health == HealthSettings(interval_seconds=3, quality=10)
    assert settings.logging.level == "debug"
    assert settings.client.api_key == API_KEY


def test_demo_has_no_order_entry_unless_it_is_asked_for_which_is_a_mistake(file: Path) -> None:
    settings = load(file, f"{ACCOUNT}environment: demo\n")
    assert (settings.has("private"), settings.has("order_entry")) == (True, False)
    error = refused(file, f"{ACCOUNT}environment: demo\nfeatures: {{order_entry: true}}\n")
    assert str(error) == "features.order_entry: is not offered by demo trading; leave it out, and order over REST"


def test_settings_show_no_key_and_no_secret(file: Path) -> None:
    settings = load(file, ACCOUNT, BYBIT_RATE__REQUESTS="100")
    assert repr(settings) == (
        "SystemSettings(Settings(mainnet, with a key), private, order_entry, market, health, reload)"
    )
    assert API_KEY not in repr(settings.origin)
    with pytest.raises(TypeError):
        msgspec.json.encode(settings)


# Mistakes


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("rat: {}", "rat: no such key; did you mean rate?"),
        ("api_kye: x", "api_kye: no such key; did you mean api_key?"),
        ("rate: {request: 1}", "rate.request: no such key; did you mean rate.requests?"),
        ("rate: {zzz: 1}", "rate.zzz: no such key; the keys are requests, wait_seconds"),
        ("rate: 5", "rate: is read as a whole number, not as keys with values; write its keys with their values: req"),
        ("rate: {requests: x}", "rate.requests: is read as text, not as a whole number; use 5 to 600 requests in 5 s"),
        ("rate: {requests: 1.5}", "rate.requests: is read as a number, not as a whole number"),
        ("rate: {requests: true}", "rate.requests: is read as true or false, not as a whole number"),
        ("rate: {requests: 4}", "rate.requests: is no such number; use 5 to 600 requests in 5 s"),
        ("rate: {wait_seconds: .nan}", "rate.wait_seconds: is no such number; use 0 to 300 seconds"),
        ("rate: {requests: 0100}", "rate.requests: is read as text, not as a whole number"),  # YAML has it as 64
        ("health: {interval_seconds: 1:30}", "health.interval_seconds: is read as text, not as a number"),
        ("health: {interval_seconds: 1:30.5}", "health.interval_seconds: is read as text, not as a number"),
        ("rate: {requests: 1e2}", "rate.requests: is read as text, not as a whole number"),
        (f"rate: {{requests: 1{'0' * 400}}}", "rate.requests: is no"),
        ("connection: {max_connections: 0}", "connection.max_connections: is no such number"),
        ("health: {interval_seconds: 0}", "health.interval_seconds: is no such number; use 0.05 to 3600 seconds"),
        ("health: {reconcile_seconds: x}", "health.reconcile_seconds: is read as text, not as a number or nothing"),
        ("health: {quality: 101}", "health.quality: is no such number; use 0 to 100 of 100"),
        ("websocket: {url: stream.bybit.com}", "websocket.url: is no address of a host; write wss://host"),
        (f"websocket: {{url: 'wss://u:{API_SECRET}@h'}}", "websocket.url: is no address of a host"),
        ("websocket: {url: 'wss://h/v5'}", "websocket.url: is no address of a host"),
        ("websocket: {url: 'wss://h:65536'}", "websocket.url: is no address of a host"),
        ("websocket: {private_topics: greeks}", "websocket.private_topics: is read as text, not as a list"),
        ("websocket: {public_topics: {linaer: []}}", "websocket.public_topics.linaer: no category; use spot, linear"),
        ("websocket: {reconnect_first_seconds: 9}", "websocket.reconnect_cap_seconds: is less than the first delay"),
        ("logging: {level: loud}", "logging.level: is none that there is; use debug, info, warning or error"),
        (f"logging: {{level: {API_SECRET}}}", "logging.level: is none that there is"),
        (f"{API_SECRET}: 1", "a key of 36 characters: no such key"),
        (f"rate: {{{API_SECRET}: 1}}", "rate.a key of 36 characters: no such key"),
        ("features: {market: 5}", "features.market: is read as a whole number, not as true or false; write true or"),
        ("features: {market: 'no'}", "features.market: is read as text, not as true or false; write true or false"),
        ("account: {categories: []}", "account.categories: is empty; write some of [linear, inverse, spot, option]"),
        ("account: {categories: [swap]}", "account.categories[0]: is none that there is; write some of [linear"),
        ("account: {settle_coins: []}", "account.settle_coins: is empty; write a list such as [USDT, USDC]"),
        ("account: {settle_coins: [USDT, usdc]}", "account.settle_coins[1]: is no coin; write a list such as [USDT"),
        ("features: {private: true}", "features.private: needs a key; give api_key and api_secret, or leave it out"),
        ("watch: linear", "watch: is read as text, not as a list; write a list such as [{category: linear"),
        ("watch: [5]", "watch[0]: is read as a whole number, not as keys with values"),
        ("watch: [{category: linear}]", "watch[0].symbols: missing; write a list such as [BTCUSDT, ETHUSDT]"),
        ("watch: [{category: lin, symbols: []}]", "watch[0].category: is none that there is; use spot, linear"),
        ("watch: [{category: linear, symbols: [btc]}]", "watch[0].symbols[0]: is no symbol; write it as the venue"),
        ("watch: [{category: linear, symbols: [5]}]", "watch[0].symbols[0]: is read as a whole number, not as text"),
        ("watch: [{category: linear, symbols: [A, A]}]", "watch[0].symbols[1]: linear A is in watch[0].symbols[0] too"),
        ("watch: [{category: linear, symbols: [A], depth: 7}]", "watch[0].depth: is none that there is; use 1, 50"),
        (
            "watch: [{category: linear, symbols: [A], depth: x}]",
            "watch[0].depth: is read as text, not as a whole number; ",
        ),
        ("watch: [{category: linear, symbols: [A], depth: x}]", "write a number of levels such as 50, or leave it out"),
        ("watch: [{category: linear, symbols: [A], ticker: 1}]", "watch[0].ticker: is read as a whole number, not as"),
        ("watch: [{category: linear, symbol: [A]}]", "watch[0].symbol: no such key; did you mean watch[0].symbols?"),
        ("features: {market: false}\nwatch: [{category: linear, symbols: [A]}]", "watch: needs features.market"),
        ("rate: {requests: 9, requests: 9}", "requests: stands twice in"),
        ("rate: {1: 2}", "rate.a key of 1 characters: no such key"),
        ("rate: [1", "is not YAML: see line 1"),
    ],
)
def test_a_mistake_in_the_file_is_named_by_its_path(file: Path, content: str, told: str) -> None:
    assert told in str(refused(file, content))


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("BYBIT_RATES__REQUESTS", "1", "no such variable; did you mean BYBIT_RATE__REQUESTS?"),
        ("BYBIT_RATE__REQUEST", "1", "no such variable; did you mean BYBIT_RATE__REQUESTS?"),
        ("BYBIT_RATE_REQUESTS", "1", "no such variable; did you mean BYBIT_RATE__REQUESTS?"),
        ("BYBIT_RATE_REQUEST", "1", "no such variable; did you mean BYBIT_RATE__REQUESTS?"),
        ("BYBIT_LOG_LEVEL", "debug", "no such variable; did you mean BYBIT_LOGGING__LEVEL?"),
        ("BYBIT_WEBSOCKET_URLS", "ws://h", "no such variable; did you mean BYBIT_WEBSOCKET__URL?"),
        ("BYBIT_RATES", "{requests: 9}", "no such variable; did you mean BYBIT_RATE? or else unset it"),
        ("BYBIT_FEATURE", "{}", "no such variable; did you mean BYBIT_FEATURES?"),
        ("BYBIT_RATE__REQUESTS", " ", "is empty; give it a value, or unset it"),
        ("BYBIT_RATE", "", "is empty; give it a value, or unset it"),
        ("BYBIT_LOGGING__LEVEL", "off", "is read as true or false, not as text"),
        ("BYBIT_ZZZ__X", "1", "no such variable; the sections are RATE, CONNECTION"),
        ("BYBIT_RATE__ZZZ", "1", "no such variable; the keys are requests, wait_seconds"),
        ("BYBIT_WATCH__SYMBOLS", "1", "no such variable; "),
        ("BYBIT_RATE__REQUESTS", "many", "is read as text, not as a whole number"),
        ("BYBIT_RATE__REQUESTS", "0", "is no such number"),
        ("BYBIT_RATE__REQUESTS", f"[{API_SECRET}", "is not YAML: see line 1, column"),
        ("BYBIT_RATE", "5", "is read as a whole number, not as keys with values"),
        ("BYBIT_ENV", "testnet", "no such variable; did you mean BYBIT_ENVIRONMENT?"),
    ],
)
def test_a_mistake_in_the_environment_is_named_by_its_variable(name: str, value: str, told: str) -> None:
    error = refused(None, **{name: value})
    assert error.path == name
    assert told in str(error)


def test_a_variable_that_may_be_a_secret_is_not_shown() -> None:
    assert "a variable BYBIT_... of " in str(refused(None, **{f"BYBIT_{API_SECRET}__X": "1"}))


def test_a_key_over_a_section_that_is_none_names_the_section(file: Path) -> None:
    error = refused(file, "rate: 5", BYBIT_RATE__REQUESTS="100")
    assert str(error) == "rate: is no keys with values, which this has; see BYBIT_RATE__REQUESTS"


def test_a_file_with_a_secret_that_others_may_read_is_refused(file: Path) -> None:
    secret_file(file, ACCOUNT, 0o644)
    with pytest.raises(ConfigError, match="with mode 0644 others may read it; chmod 600"):
        SystemSettings.load(file, {})


def test_settings_made_by_hand_are_no_less_careful() -> None:
    with pytest.raises(ConfigError, match=r"rate\.requests: is no such number"):
        SystemSettings(rate=RateSettings(requests=0))
    with pytest.raises(ConfigError, match=r"features\.private: needs a key"):
        SystemSettings(features=FeatureSettings(private=True))
    with pytest.raises(ConfigError, match=r"watch\[0\]\.category: is none that there is; use spot"):
        SystemSettings(watch=[Watched(category="swap", symbols=["BTCUSDT"])])  # type: ignore[arg-type]


# Another time


def test_what_changes_is_named_and_what_is_safe_is_taken(file: Path) -> None:
    old = load(file, "recv_window: 5000\nrate: {requests: 100, wait_seconds: 1}\nhealth: {quality: 10}\n")
    new = load(
        file,
        "recv_window: 6000\nrate: {requests: 200, wait_seconds: 2}\nhealth: {quality: 20}\n"
        "watch: [{category: linear, symbols: [BTCUSDT]}]\nfeatures: {reload: false}\nlogging: {level: info}\n"
        "websocket: {public_topics: {linear: [tickers.BTCUSDT]}, ping_seconds: 10}\ncache: {entries: 5}\n",
    )
    changed = changed_paths(old, new)
    assert changed == [
        "recv_window",
        "rate.requests",
        "rate.wait_seconds",
        "websocket.ping_seconds",
        "websocket.public_topics",
        "watch",
        "cache.entries",
        "logging.level",
        "features.reload",
        "health.quality",
    ]
    both = applied(old, new)
    at_once = ["rate.requests", "websocket.public_topics", "watch", "cache.entries", "logging.level", "health.quality"]
    assert changed_paths(old, both) == at_once
    assert changed_paths(both, new) == [path for path in changed if path not in at_once]


def test_what_needs_a_feature_that_is_off_is_not_taken(file: Path) -> None:
    old = load(file, "features: {market: false, health: false}\n")
    watch = "watch: [{category: linear, symbols: [BTCUSDT]}]\n"
    new = load(file, f"{watch}websocket: {{private_topics: [greeks]}}\ncache: {{entries: 5}}\nhealth: {{quality: 3}}\n")
    assert not changed_paths(old, applied(old, new))


def test_another_secret_is_a_change_that_shows_neither(file: Path) -> None:
    old = load(file, ACCOUNT)
    new = msgspec.structs.replace(old, client=Settings.load(environ={}))
    assert changed_paths(old, new) == ["api_key", "api_secret"]
    assert not changed_paths(old, load(file, ACCOUNT))


def test_settings_remember_where_they_are_from(file: Path) -> None:
    environ = {"BYBIT_RATE__REQUESTS": "77"}
    settings = load(file, "", **environ)
    file.write_text("health: {quality: 1}\n")
    assert settings.origin is not None
    again = settings.origin.read()
    assert (again.rate.requests, again.health.quality) == (77, 1)
