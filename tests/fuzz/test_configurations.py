"""What the kept configurations are: which of them are mistakes, and of which key."""

import pytest

from feeder.config import load
from feeder.errors import ConfigError
from tests.fuzz.corpus import DATA


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("date-that-is-none", "feeder.yaml"),
        ("lone-surrogate", "feeder.yaml"),
        ("nul-in-path", "feeder.yaml"),
        ("number-of-5000-digits", "feeder.yaml"),
        ("port-in-other-digits", "telemetry.listen"),
        ("key-that-is-a-number", "(file)"),
        ("line-name-that-is-a-number", "multicast.lines"),
        ("host-that-is-none", "exchange.websocket_url"),
        ("password-in-an-address", "exchange.websocket_url"),
        ("merge-bomb", "feeder.yaml"),
        ("recursive-alias", "subscriptions[0]"),
    ],
)
def test_file_that_cannot_be_used_is_a_mistake_of_its_key(tmp_path, name, path):
    file = tmp_path / "feeder.yaml"
    file.write_bytes((DATA / "config" / name).read_bytes())
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert caught.value.path.removeprefix(f"{tmp_path}/") == path


def test_flags_are_read_as_strictly_as_the_file(tmp_path):
    file = tmp_path / "feeder.yaml"
    file.write_text("subscriptions: [{category: linear, symbols: [BTCUSDT]}]")
    with pytest.raises(ConfigError, match="queue: --set queue is not YAML"):
        load(file, {}, ["queue={total: 5, total: 60000}"])


def test_file_of_any_size_is_not_read_whole(tmp_path):
    file = tmp_path / "feeder.yaml"
    file.write_bytes(b"# comment\n" * 100_000)
    with pytest.raises(ConfigError, match="larger than"):
        load(file)
    with pytest.raises(ConfigError, match="larger than"):
        load("/dev/zero")
