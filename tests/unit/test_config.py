"""Every mistake is named by its key's path, with a remedy; flags over environment over file."""

import pytest

from feeder.config import Config, load, parse, problems
from feeder.errors import ConfigError

GOOD = """
exchange: {websocket_url: "ws://127.0.0.1:9443", rest_url: "http://127.0.0.1:9444"}
subscriptions:
  - {category: linear, depth: 50, trades: true, symbols: [BTCUSDT, ETHUSDT]}
  - {category: spot, symbols: all}
  - {category: option, symbols: [BTC-25DEC26-100000-C]}
"""


def write(tmp_path, text):
    path = tmp_path / "feeder.yaml"
    path.write_text(text, "utf-8")
    return path


def test_the_documented_file_is_good_and_holds_the_defaults():
    config = load("config/feeder.yaml")
    assert config.exchange.addresses == ("wss://stream.bybit.com", "https://api.bybit.com")
    defaults = Config()
    for section in ("queue", "multicast", "state", "telemetry", "control", "log"):
        assert getattr(config, section) == getattr(defaults, section), section


def test_a_file_is_read_with_its_defaults(tmp_path):
    config = load(write(tmp_path, GOOD))
    assert config.exchange.addresses == ("ws://127.0.0.1:9443", "http://127.0.0.1:9444")
    assert [entry.depth for entry in config.subscriptions] == [50, 50, 25]
    assert (config.queue.capacity, config.queue.total, config.multicast.partitions) == (1000, 50000, 4)


def test_flags_beat_environment_beats_file(tmp_path):
    path = write(tmp_path, GOOD + "multicast: {port: 20100, ttl: 3}\n")
    environ = {"FEEDER_MULTICAST__PORT": "20200", "FEEDER_MULTICAST__LINES__A__GROUP": "239.99.0.0", "OTHER": "x"}
    assert load(path).multicast.port == 20100
    assert load(path, environ).multicast.port == 20200
    config = load(path, environ, ["multicast.port=20300", "multicast.lines.A.interface=lo"])
    assert (config.multicast.port, config.multicast.ttl) == (20300, 3)
    assert config.multicast.lines["A"].group == "239.99.0.0"


def test_one_key_of_a_line_leaves_the_other_keys_and_lines_at_their_defaults(tmp_path):
    for text in (GOOD, GOOD + "multicast:\n", GOOD + "multicast: {lines: }\n"):
        config = load(write(tmp_path, text), {"FEEDER_MULTICAST__LINES__A__GROUP": "239.99.0.0"})
        assert config.multicast.lines["A"].group == "239.99.0.0"
        assert config.multicast.lines["B"].group == "239.78.0.0"


def test_addresses_stand_over_an_environment(tmp_path):
    path = write(tmp_path, "subscriptions: [{category: spot, symbols: all}]\nexchange: {environment: testnet}\n")
    assert load(path).exchange.addresses[0] == "wss://stream-testnet.bybit.com"
    given = ["exchange.websocket_url=ws://127.0.0.1:1", "exchange.rest_url=http://127.0.0.1:2"]
    assert load(path, {}, given).exchange.addresses == ("ws://127.0.0.1:1", "http://127.0.0.1:2")


def test_what_a_key_may_be_is_said(tmp_path):
    with pytest.raises(ConfigError, match=r"symbols.*use a list such as \[BTCUSDT, ETHUSDT\], or: all"):
        load(write(tmp_path, "subscriptions: [{category: linear, symbols: BTCUSDT}]"))
    with pytest.raises(ConfigError, match=r"--set =3"):
        load(write(tmp_path, GOOD), {}, ["=3"])


def test_variables_of_the_tests_and_of_others_are_not_configuration(tmp_path):
    load(write(tmp_path, GOOD), {"FEEDER_RECORDINGS": "/somewhere", "FEEDER_REQUIRE": "nft"})


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("[]", "feeder.yaml"),
        ("queue: {capacity: 5}\nqueue: {capacity: 6}", "feeder.yaml"),
        ("subscriptions: [", None),
        ("[" * 3000 + "]" * 3000, None),
        ("colour: red", "colour"),
        ("multicast: {foo: 1}", "multicast.foo"),
        ("multicast: {lines: {A: {group: 239.1.0.0, interface: lo, ttl: 1}}}", "multicast.lines.A.ttl"),
        ("multicast: {lines: {A: {group: 239.1.0.0}}}", "multicast.lines.A.interface"),
        ("multicast: {port: many}", "multicast.port"),
        ("subscriptions: [{category: linear, symbols: [BTCUSDT], depht: 50}]", "subscriptions[0].depht"),
        ("subscriptions: [{category: futures, symbols: all}]", "subscriptions[0].category"),
        ("queue: {capacity: 1.5}", "queue.capacity"),
    ],
)
def test_what_is_not_of_the_shape_is_named(tmp_path, text, path):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, text))
    assert path is None or caught.value.path.endswith(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ("subscriptions=[]", "subscriptions"),
        ("subscriptions=[{category: linear, depth: 500, symbols: [BTCUSDT]}]", "subscriptions[0].depth"),
        ("subscriptions=[{category: option, depth: 50, symbols: all}]", "subscriptions[0].depth"),
        ("subscriptions=[{category: linear, symbols: []}]", "subscriptions[0].symbols"),
        ("subscriptions=[{category: linear, symbols: [btcusdt]}]", "subscriptions[0].symbols[0]"),
        (
            "subscriptions=[{category: linear, symbols: [XUSDT]}, {category: linear, depth: 200, symbols: [XUSDT]}]",
            "subscriptions[1].symbols[0]",
        ),
        (
            "subscriptions=[{category: linear, symbols: all}, {category: linear, symbols: [BTCUSDT]}]",
            "subscriptions[1].symbols",
        ),
        ("exchange={websocket_url: 'ws://a'}", "exchange.rest_url"),
        ("exchange={websocket_url: 'http://a', rest_url: 'http://a'}", "exchange.websocket_url"),
        ("exchange={websocket_url: 'ws://a/v5/public/linear', rest_url: 'http://a'}", "exchange.websocket_url"),
        ("exchange={websocket_url: 'ws://[bad', rest_url: 'http://a'}", "exchange.websocket_url"),
        ("exchange={websocket_url: 'ws://a:99999', rest_url: 'http://a'}", "exchange.websocket_url"),
        ("exchange={websocket_url: 'ws://a', rest_url: 'http://a:x'}", "exchange.rest_url"),
        ("instrument_ids={'linear:A': 3683288332}", "instrument_ids.linear:A"),  # that of linear:BTCUSDT
        ("instrument_ids={BTCUSDT: 1}", "instrument_ids.BTCUSDT"),
        ("instrument_ids={'linear:A': 5, 'linear:B': 5}", "instrument_ids.linear:B"),
        ("instrument_ids={'linear:A': 4294967296}", "instrument_ids.linear:A"),
        ("queue.capacity=0", "queue.capacity"),
        ("queue.total=10", "queue.total"),
        ("multicast.ttl=256", "multicast.ttl"),
        ("multicast.partitions=0", "multicast.partitions"),
        ("multicast.port=65535", "multicast.port"),
        ("multicast.lines.A.group=10.0.0.1", "multicast.lines.A.group"),
        ("multicast.end_of_session_seconds=-1", "multicast.end_of_session_seconds"),
        ("telemetry.listen=9480", "telemetry.listen"),
        ("telemetry.listen=127.0.0.1:99999", "telemetry.listen"),
        ("telemetry.counters=''", "telemetry.counters"),
    ],
)
def test_what_cannot_work_is_named(tmp_path, change, path):
    with pytest.raises(ConfigError) as caught:
        load(write(tmp_path, GOOD), {}, [change])
    assert caught.value.path == path
    assert caught.value.remedy


def test_all_mistakes_are_found_at_once():
    config = parse({"subscriptions": [{"category": "linear", "depth": 7, "symbols": ["x"]}], "queue": {"total": 1}}, {})
    assert [p.path for p in problems(config)] == [
        "subscriptions[0].depth",
        "subscriptions[0].symbols[0]",
        "queue.total",
    ]
