"""What `feeder.bybit` exports, and what it costs those who want something else of it."""

import subprocess
import sys

import pytest

import feeder.bybit
from feeder.bybit import rest, streams, system
from feeder.errors import RestError, StreamError


def test_every_name_is_there_and_in_the_list_of_names() -> None:
    for name in feeder.bybit.__all__:
        exported = getattr(feeder.bybit, name)
        assert all(getattr(package, name, exported) is exported for package in (rest, streams, system))
        assert name in dir(feeder.bybit)
        assert vars(feeder.bybit)[name] is exported, "it is looked up once"
    assert {*rest.__all__, *streams.__all__, *system.__all__} < set(feeder.bybit.__all__)


def test_every_error_of_a_request_or_a_stream_is_exported() -> None:
    def kinds(error: type[Exception]) -> set[str]:
        return {error.__name__}.union(*map(kinds, error.__subclasses__()))

    found = kinds(RestError) | kinds(StreamError)
    others = {
        "ConfigError",
        "InstrumentError",
        "VenueError",
        "FeederError",
    }  # of settings, of the market, and above all
    wanted = {name for name in found if not name.startswith("_")} | others
    assert {name for name in feeder.bybit.__all__ if name.endswith("Error")} == wanted


def test_a_name_that_is_none_is_told_as_in_any_module() -> None:
    with pytest.raises(ImportError, match="cannot import name 'BybitClent'"):
        exec("from feeder.bybit import BybitClent", {})
    with pytest.raises(AttributeError, match=r"module 'feeder.bybit' has no attribute 'Clock'"):
        _ = feeder.bybit.Clock  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["feeder.config", "feeder.telemetry.metrics", "feeder.telemetry.exporter"])
def test_who_wants_a_constant_of_the_venue_loads_no_http(module: str) -> None:
    code = f"import sys, {module}; print(*sorted({{'aiohttp', 'feeder.bybit.rest'}} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
