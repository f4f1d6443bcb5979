from pathlib import Path
from typing import Any

import pytest

from feeder.errors import FeederError
from feeder.simulator.script import KINDS, Disconnect, Gap, HalfOpen, Rest, Script, load_script, parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig

BOOK = {"category": "linear", "symbol": "BTCUSDT"}


def _file(folder: Path, text: str) -> Path:
    path = folder / "faults.yaml"
    path.write_text(text, "utf-8")
    return path


def test_a_script_is_a_list_of_faults_with_their_times(tmp_path: Path) -> None:
    text = """
        - {at: 5.5, fault: gap, category: linear, symbol: BTCUSDT}
        - {fault: rest, how: 429, times: 2}
        - {at: 1, fault: half_open}
    """
    assert load_script(_file(tmp_path, text)) == [
        Gap(at=5.5, category="linear", symbol="BTCUSDT"),
        Rest(how=429, times=2),
        HalfOpen(at=1.0),
    ]


def test_json_is_a_script_as_well(tmp_path: Path) -> None:
    assert load_script(_file(tmp_path, '[{"at": 2, "fault": "disconnect", "count": 1}]')) == [Disconnect(at=2, count=1)]


def test_faults_come_due_by_their_times_and_those_without_one_before_anybody_subscribed() -> None:
    first, early, late = Rest(how="hang", times=1), Gap(at=1, **BOOK), Gap(at=4, **BOOK)
    script = Script([late, first, early])
    assert script.due(None) == [first]
    assert (script.due(None), script.next_at()) == ([], 1)
    assert script.due(0.5) == []
    assert script.due(10.0) == [early, late]
    assert (script.due(20.0), script.next_at()) == ([], None)


def test_every_wrong_entry_is_named_with_its_key_and_what_the_fault_takes(tmp_path: Path) -> None:
    text = """
        - {at: 1, fault: gap, category: linear, symbol: BTCUSDT}
        - {at: 1, fault: gapp}
        - {at: 1, fault: gap, category: linear}
        - {at: 1, fault: rest, how: 418, times: 1}
    """
    with pytest.raises(FeederError) as caught:
        load_script(_file(tmp_path, text))
    told = str(caught.value).splitlines()
    assert len(told) == 4
    assert "faults.yaml" in told[0]
    assert "entry 2" in told[1]
    assert "gapp" in told[1]
    assert "half_open" in told[1]
    assert "entry 3: gap: " in told[2]
    assert "`symbol`" in told[2]
    assert "entry 4: rest: `how`" in told[3]
    assert "[how] (403|404|429|" in told[3]
    assert "[method] (GET|POST)" in told[3]


@pytest.mark.parametrize(
    ("entry", "key"),
    [
        (5, "mapping"),
        ({}, "fault"),
        ({"fault": []}, "fault"),
        ({"fault": "gap", **BOOK, "at": -1}, "`at`"),
        ({"fault": "gap", **BOOK, "at": "soon"}, "`at`"),
        ({"fault": "gap", **BOOK, "at": float("nan")}, "`at`"),
        ({"fault": "gap", **BOOK, "category": "futures"}, "`category`"),
        ({"fault": "gap", **BOOK, "depth": 50}, "`depth`"),
        ({"fault": "disconnect", "count": 0}, "`count`"),
        ({"fault": "half_open", "seconds": 0}, "`seconds`"),
        ({"fault": "slow", "category": "linear", "seconds": 3}, "`delay`"),
        ({"fault": "tick_change", **BOOK}, "`tick`"),
        ({"fault": "tick_change", **BOOK, "tick": "1e-3"}, "1e-3"),
        ({"fault": "tick_change", **BOOK, "step": "0.0"}, "0.0"),
        ({"fault": "turnover", **BOOK, "turnover": "1e6"}, "1e6"),
        ({"fault": "turnover", **BOOK, "turnover": "-1"}, "-1"),
        ({"fault": "turnover", **BOOK, "turnover": 5}, "`turnover`"),
        ({"fault": "list", "category": "linear", "symbol": "new usdt"}, "`symbol`"),
        ({"fault": "list", **BOOK, "tick": "0"}, "`tick`"),
        ({"fault": "list", **BOOK, "step": "0.000000001"}, "0.000000001"),
        ({"fault": "list", **BOOK, "price": "0.19"}, "`price`"),
        ({"fault": "raw", "category": "linear", "text": "\ud800"}, "`text`"),
        ({"fault": "surge", "seconds": 1, "times": 1}, "`times`"),
        ({"fault": "rest", "how": 403}, "`seconds`"),
        ({"fault": "rest", "how": 403, "times": 1, "seconds": 1}, "`seconds`"),
        ({"fault": "rest", "how": 403, "times": 1, "path": "/simulator/books"}, "`path`"),
        ({"fault": "rest", "times": 1}, "`ret_code`"),
        ({"fault": "rest", "how": 403, "ret_code": 10016, "times": 1}, "`ret_code`"),
        ({"fault": "rest", "ret_code": 0, "times": 1}, "`ret_code`"),
        ({"fault": "rest", "ret_code": "10016", "times": 1}, "`ret_code`"),
        ({"fault": "rest", "how": "lost", "ret_msg": "no", "times": 1}, "`ret_msg`"),
        ({"fault": "rest", "how": "late", "times": 1}, "`delay`"),
        ({"fault": "rest", "how": "lost", "delay": 1, "times": 1}, "`delay`"),
        ({"fault": "rest", "how": 403, "times": 1, "method": "get"}, "`method`"),
        ({"fault": "rest_limit", "requests": 0}, "`requests`"),
        ({"fault": "rest_limit", "requests": 1, "window": 0}, "`window`"),
        ({"fault": "rest_limit", "requests": 1, "path": "/"}, "`path`"),
        ({"fault": "rest_skew"}, "`by`"),
        ({"fault": "rest_skew", "by": float("inf")}, "`by`"),
        ({"fault": "disconnect", "category": "private "}, "`category`"),
        ({"fault": "gap", **BOOK, "category": "private"}, "`category`"),
        ({"fault": "old_data", "category": "trade", "seconds": 1, "age": 1}, "`category`"),
        ({"fault": "auth", "times": 1}, "`ret_code`"),
        ({"fault": "auth", "ret_code": 0, "times": 1}, "`ret_code`"),
        ({"fault": "auth", "ret_code": 10004}, "`seconds`"),
        ({"fault": "auth", "ret_code": 10004, "times": 1, "seconds": 1}, "`seconds`"),
        ({"fault": "auth", "ret_code": 10004, "times": 1, "category": "linear"}, "`category`"),
        ({"fault": "revoke", "ret_code": 10004}, "`ret_code`"),
        ({"fault": "order_entry", "times": 1}, "`ret_code`"),
        ({"fault": "order_entry", "how": "lost", "ret_code": 10016, "times": 1}, "`ret_code`"),
        ({"fault": "order_entry", "ret_code": 0, "times": 1}, "`ret_code`"),
        ({"fault": "order_entry", "how": "lost", "ret_msg": "no", "times": 1}, "`ret_msg`"),
        ({"fault": "order_entry", "how": "late", "times": 1}, "`delay`"),
        ({"fault": "order_entry", "how": "unsent", "delay": 1, "times": 1}, "`delay`"),
        ({"fault": "order_entry", "how": "lost"}, "`times`"),
        ({"fault": "order_entry", "how": "lost", "op": "create", "times": 1}, "`op`"),
        ({"fault": "private", "topic": "order"}, "`how`"),
        ({"fault": "private", "topic": "order.linear", "how": "lost"}, "`topic`"),
        ({"fault": "private", "topic": "order", "how": "late"}, "`how`"),
    ],
)
def test_a_wrong_entry_is_told_by_its_key(entry: Any, key: str) -> None:
    with pytest.raises(FeederError) as caught:
        parse_fault(entry)
    assert key in str(caught.value)
    assert ";" in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "5",
        "fault: gap",
        "\x00",
        "- {at: 2024-13-45, fault: gap}",
        "- !!int x",
        pytest.param("[" * 3000, id="deep"),
    ],
)
def test_what_is_no_list_is_refused_with_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(FeederError, match=r"faults\.yaml"):
        load_script(_file(tmp_path, text))


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeederError, match="--faults"):
        load_script(tmp_path / "nowhere.yaml")


def test_every_fault_says_what_it_does() -> None:
    for name, kind in KINDS.items():
        assert kind.__doc__, name


async def test_a_script_that_does_not_fit_the_market_stops_the_simulator_before_it_starts() -> None:
    gap = {"at": 1, "fault": "gap", "category": "linear"}
    faults = [parse_fault({**gap, "symbol": symbol}) for symbol in ("BTCUSDT", "NOPE")]
    with pytest.raises(FeederError, match=r"entry 2: gap: `symbol`: no linear NOPE"):
        Simulator(SimulatorConfig(symbols=2, faults=faults))
    coarse = parse_fault({"fault": "tick_change", **BOOK, "tick": "0.3"})
    with pytest.raises(FeederError, match=r"entry 1: tick_change: .* multiples of 0\.10"):
        Simulator(SimulatorConfig(symbols=2, faults=[coarse]))


async def test_a_key_that_there_is_not_cannot_be_revoked() -> None:
    with pytest.raises(FeederError, match="entry 1: revoke: `key`: this simulator has no such API key"):
        Simulator(SimulatorConfig(symbols=2, faults=[parse_fault({"fault": "revoke", "key": "nobody"})]))
    Simulator(SimulatorConfig(symbols=2, faults=[parse_fault({"fault": "revoke", "key": "sim-key"})]))


async def test_a_script_may_name_a_symbol_that_it_lists_itself() -> None:
    new = {"category": "linear", "symbol": "NEWUSDT"}
    faults = [parse_fault({"at": at, **fault, **new}) for at, fault in enumerate(({"fault": "list"}, {"fault": "gap"}))]
    Simulator(SimulatorConfig(symbols=2, faults=faults))


@pytest.mark.parametrize(
    "entry",
    [
        {"fault": "gap", **BOOK},
        {"fault": "restart", **BOOK},
        {"fault": "disconnect"},
        {"fault": "half_open", "count": 1},
    ],
)
async def test_an_entry_that_would_come_before_anybody_it_could_happen_to_is_a_mistake(entry: Any) -> None:
    with pytest.raises(FeederError, match=r"entry 1: .* `at` is missing"):
        Simulator(SimulatorConfig(symbols=2, faults=[parse_fault(entry)]))
    Simulator(SimulatorConfig(symbols=2, faults=[parse_fault({**entry, "at": 0})]))
