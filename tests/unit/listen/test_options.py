import pytest

from feeder.errors import ConfigError
from feeder.listen import options
from feeder.listen.stats import column_meanings
from feeder.multicast.plan import DEFAULT_LINES, Line


def test_nothing_given_is_everything_at_the_default_addresses():
    asked = options.parse([])
    assert asked.instruments == ()
    assert (asked.plan.lines, asked.plan.port, asked.plan.partitions) == (DEFAULT_LINES, 20000, 4)
    assert (asked.as_json, asked.once, asked.stats) == (False, False, False)


def test_a_symbol_alone_is_linear_and_case_does_not_matter():
    asked = options.parse(["btcusdt", "Spot:ETHUSDT", "linear:BTCUSDT", "option:BTC-26SEP25-100000-C"])
    assert asked.instruments == (
        ("linear", "BTCUSDT"),
        ("spot", "ETHUSDT"),
        ("option", "BTC-26SEP25-100000-C"),
    )


def test_lines_port_and_partitions_are_the_feeders():
    arguments = ["--line", "A=239.1.0.0@lo", "--line", "B=239.2.0.0@10.0.0.7", "--port", "31000", "--partitions", "8"]
    plan = options.parse(arguments).plan
    assert plan.lines == (Line("A", "239.1.0.0", "lo"), Line("B", "239.2.0.0", "10.0.0.7"))
    assert (plan.port, plan.partitions) == (31000, 8)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["swap:BTCUSDT"], "no category 'swap'"),
        (["linear:"], "no symbol"),
        (["linear:БTC"], "no symbol"),
        (["--line", "239.77.0.0"], "is not NAME=GROUP@INTERFACE"),
        (["--line", "A=10.0.0.1@lo"], "10.0.0.1 is not multicast"),
        (["--partitions", "0"], "0 partitions"),
        (["--port", "80"], "choose a port"),
        (["--levels", "0"], "1 or more"),
        (["--timeout", "-1"], "seconds above 0"),
        (["--timeout", "nan"], "seconds above 0"),
        (["--json", "--timeout", "5"], "--timeout is how long --once waits"),
        (["--line", "A=239.1.0.0@lo", "--line", "A=239.2.0.0@lo"], "--line A is given 2 times"),
        (["--config", "x.yaml", "--port", "31000"], "--config says lines"),
    ],
)
def test_wrong_usage_is_named_and_ends_with_2(arguments, problem, capsys):
    with pytest.raises(SystemExit) as ended:
        options.parse(arguments)
    assert ended.value.code == 2
    assert problem in capsys.readouterr().err


def test_a_configuration_file_says_where_the_feed_is_and_which_ids_are_overridden(tmp_path):
    path = tmp_path / "feeder.yaml"
    path.write_text(
        """
subscriptions: [{category: linear, symbols: [BTCUSDT]}]
instrument_ids: {"linear:BTCUSDT": 7}
multicast: {partitions: 2, port: 31000, lines: {A: {group: 239.9.0.0, interface: 127.0.0.1}}}
"""
    )
    asked = options.parse(["--config", str(path)])
    assert (asked.plan.partitions, asked.plan.port, asked.plan.lines) == (
        2, 31000, (Line("A", "239.9.0.0", "127.0.0.1"),),
    )  # fmt: skip
    assert asked.instrument_ids == {("linear", "BTCUSDT"): 7}


def test_a_configuration_file_that_cannot_be_used_is_a_bad_configuration(tmp_path):
    path = tmp_path / "feeder.yaml"
    path.write_text("multicast: {lines: {A: {group: 10.0.0.1, interface: lo}}}")
    with pytest.raises(ConfigError, match=r"multicast.lines.A.group"):
        options.parse(["--config", str(path)])


def test_help_shows_examples_keys_and_the_schema(capsys):
    with pytest.raises(SystemExit) as ended:
        options.parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for part in ("feeder-listen linear:BTCUSDT", "keys of the screens", "instrument_sequence", "exit codes", "2^53"):
        assert part in text
    together = " ".join(text.split())
    for name, meaning in column_meanings():
        assert f"{name} {meaning}" in together
