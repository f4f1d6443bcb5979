import argparse
from pathlib import Path

import pytest

from feeder.errors import FeederError
from feeder.simulator.command import add_arguments, config_of
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.server import SimulatorConfig


def _config(*arguments: str) -> SimulatorConfig:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return config_of(parser.parse_args(arguments))


def test_without_arguments_it_is_a_small_linear_market_on_the_usual_ports() -> None:
    config = _config()
    assert (config.host, config.port, config.rest_port) == ("127.0.0.1", 9443, 9444)
    assert (config.symbols, config.seed, config.updates_per_second) == (20, 1, 400)
    assert config.categories == ("linear",)


def test_a_market_is_described_by_its_arguments() -> None:
    config = _config("--symbols", "800", "--updates-per-second", "5000", "--categories", "spot,option", "--seed", "9")
    assert (config.symbols, config.updates_per_second, config.seed) == (800, 5000, 9)
    assert config.categories == ("spot", "option")


def test_recordings_may_be_several_and_have_a_speed() -> None:
    config = _config("--replay", "linear=a=b.gz", "--replay", "spot=c", "--speed", "2.5")
    assert config.replays == (("linear", Path("a=b.gz")), ("spot", Path("c")))
    assert config.speed == 2.5
    assert _config("--replay", "spot=c", "--speed", "max").speed is None
    assert _config("--replay", "spot=c").speed == 1


def test_without_a_key_there_is_the_published_one_and_nobody_is_refused_for_asking_too_often() -> None:
    config = _config()
    assert (config.keys, config.rest_limits) == ((DEFAULT_KEY,), False)


def test_keys_given_have_an_account_each_and_replace_the_published_one() -> None:
    config = _config("--key", "first:secret:with:colons", "--key", "second:s", "--rest-limits")
    assert config.keys == (ApiKey("first", "secret:with:colons", account="1"), ApiKey("second", "s", account="2"))
    assert config.rest_limits


@pytest.mark.parametrize("text", ["s3cret", "s3cret:", ":s3cret"])
def test_a_key_that_is_none_is_a_usage_error_that_does_not_repeat_it(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        _config("--key", text)
    assert caught.value.code == 2
    told = capsys.readouterr().err
    assert "KEY:SECRET" in told
    assert "s3cret" not in told


def test_a_key_that_no_header_can_carry_is_refused_without_its_secret() -> None:
    with pytest.raises(FeederError, match="ASCII") as caught:
        _config("--key", "schlüssel:s3cret")
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--port", "70000"],
        ["--rest-port", "x"],
        ["--symbols", "0"],
        ["--symbols", "5001"],
        ["--symbols", "100000000"],
        ["--updates-per-second", "0"],
        ["--updates-per-second", "nan"],
        ["--categories", "futures"],
        ["--replay", "linear"],
        ["--replay", "futures=x"],
        ["--replay", "linear=x", "--speed", "-1"],
    ],
)
def test_a_bad_argument_is_a_usage_error(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        _config(*arguments)
    assert caught.value.code == 2
    assert arguments[-2] in capsys.readouterr().err


def test_the_most_symbols_there_may_be_are_named_when_more_are_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert _config("--symbols", "5000").symbols == 5000
    with pytest.raises(SystemExit):
        _config("--symbols", "5001")
    assert "between 1 and 5000" in capsys.readouterr().err


def test_two_markets_at_once_are_refused() -> None:
    with pytest.raises(FeederError, match="leave --symbols out"):
        _config("--replay", "linear=x", "--symbols", "3")
    with pytest.raises(FeederError, match="--speed is that of a replay"):
        _config("--speed", "2")
