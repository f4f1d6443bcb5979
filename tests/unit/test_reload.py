from pathlib import Path

import pytest

from feeder.clock import ManualClock
from feeder.config import Shard
from feeder.errors import ConfigError
from feeder.reload import Settings

BEGIN = """\
subscriptions:
  - {category: linear, symbols: [BTCUSDT]}
multicast: {port: 21000}
log: {level: info}
"""


def settings(path: Path, text: str = BEGIN, *, environ: dict[str, str] | None = None) -> Settings:
    path.write_text(text)
    return Settings(path, environ or {}, [], None, ManualClock())


def test_what_needs_no_restart_is_in_use_at_once_and_counts_as_a_generation(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    used = settings(file)
    file.write_text(BEGIN.replace("[BTCUSDT]", "[BTCUSDT, ETHUSDT]").replace("info", "debug"))
    assert used.take(used.read()) == ["log.level", "subscriptions"]
    assert used.config.subscriptions[0].symbols == ["BTCUSDT", "ETHUSDT"]
    assert used.config.log.level == "debug"
    assert (used.generation, used.restart_needed) == (2, [])


def test_what_needs_a_restart_is_named_until_it_is_taken_back_and_not_in_use(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    used = settings(file)
    file.write_text(BEGIN.replace("21000", "22000") + "queue: {capacity: 7}\n")
    assert used.take(used.read()) == []
    assert used.restart_needed == ["multicast.port", "queue.capacity"]
    assert (used.config.multicast.port, used.config.queue.capacity, used.generation) == (21000, 1000, 1)
    file.write_text(BEGIN)
    assert used.take(used.read()) == []
    assert used.restart_needed == []


def test_what_needs_a_restart_is_as_it_was_although_something_else_is_applied_at_once(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    used = settings(file)
    file.write_text(BEGIN.replace("21000", "22000").replace("[BTCUSDT]", "[ETHUSDT]"))
    assert used.take(used.read()) == ["subscriptions"]
    assert used.config.multicast.port == 21000
    assert used.take(used.read()) == []
    assert used.restart_needed == ["multicast.port"]


def test_a_line_that_is_added_is_named_by_its_own_path(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    line = "  lines: {A: {group: 239.77.0.0, interface: 127.0.0.1}"
    used = settings(file, BEGIN.replace("multicast: {port: 21000}", f"multicast:\n{line}}}"))
    more = f"{line}, C: {{group: 239.79.0.0, interface: 127.0.0.1}}}}"
    file.write_text(BEGIN.replace("multicast: {port: 21000}", f"multicast:\n{more}"))
    used.take(used.read())
    assert used.restart_needed == ["multicast.lines.C"]


def test_the_environment_still_stands_over_the_file(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    used = settings(file, environ={"FEEDER_LOG__LEVEL": "error"})
    file.write_text(BEGIN.replace("info", "debug"))
    assert used.take(used.read()) == []
    assert used.config.log.level == "error"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (BEGIN + "quueue: {}\n", "quueue"),
        (BEGIN.replace("linear", "liner"), "subscriptions[0].category"),
        ("subscriptions: [", "feeder.yaml"),
        ("", "subscriptions"),
    ],
)
def test_a_file_that_cannot_be_used_changes_nothing_and_names_the_key(tmp_path: Path, text: str, path: str):
    file = tmp_path / "feeder.yaml"
    used = settings(file)
    before = used.config
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        used.read()
    assert caught.value.path.endswith(path)
    assert used.config is before


def test_a_shard_is_watched_and_controlled_at_places_of_its_own(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    file.write_text(BEGIN + "telemetry: {listen: '127.0.0.1:9480', counters: /run/feeder/counters.dat}\n")
    used = Settings(file, {}, [], Shard.parse("1/2"), ManualClock())
    assert used.config.telemetry.listen == "127.0.0.1:9481"
    assert used.config.telemetry.counters == "/run/feeder/counters-1.dat"
    assert used.config.control.socket == "run/control-1.sock"
    assert Shard(1, 2).partitions(5) == [1, 3]
    assert used.take(used.read()) == []  # its own places are no change


@pytest.mark.parametrize("text", ["2/2", "-1/2", "0", "0/0", "a/b", "0/2/3", "", "1000/1001"])
def test_a_shard_that_is_none_is_refused(text: str):
    with pytest.raises(ConfigError, match="--shard"):
        Shard.parse(text)


def test_more_shards_than_partitions_are_refused(tmp_path: Path):
    file = tmp_path / "feeder.yaml"
    file.write_text(BEGIN)
    with pytest.raises(ConfigError, match=r"multicast\.partitions"):
        Settings(file, {}, [], Shard.parse("4/5"), ManualClock())
