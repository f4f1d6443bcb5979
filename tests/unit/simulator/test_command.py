import argparse
from pathlib import Path

import pytest

from feeder.errors import FeederError
from feeder.simulator.command import add_arguments, config_of
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
