"""The table of endpoints: what every row must be, what an unknown endpoint is told, and what other libraries know."""

import importlib
import json
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.endpoint import Endpoint, Limit, get, post
from feeder.bybit.rest.endpoints import ENDPOINTS, find, table
from feeder.bybit.rest.endpoints.bots import BOTS
from feeder.bybit.rest.endpoints.typed import TICKERS, TYPED
from feeder.errors import UnknownEndpointError
from tests.helpers.require import require_peers

ROWS = list(ENDPOINTS.values())
PATH = re.compile(r"/v5(/[A-Za-z0-9_-]+)+")
CAMEL = re.compile(r"[a-z][A-Za-z0-9]*")
SNAKE = re.compile(r"[a-z]+(_[a-z]+)*")
CATEGORIES = {"spot", "linear", "inverse", "option"}

# The last part of a path that moves money, trades, or makes something.
MOVES = re.compile(
    r"(?!.*-(list|price)$)(create|place|buy|sell|stake|redeem|purchase|borrow|repay|supply|loan|fixedborrow|claim"
    r"|execute|send|pay|finish|add|remove|transfer|subscribe|invest|distribute|withdraw|move)(-.*)?"
    r"|.*-(transfer|execute|repay|repayment|award|positions|money|quote|apply|profit)"
)


def told(method: str, path: str) -> str:
    with pytest.raises(UnknownEndpointError) as caught:
        find(method, path)
    assert not caught.value.retriable
    assert not caught.value.unknown_outcome
    return str(caught.value)


# What every row must be


def test_each_row_stands_under_its_own_method_and_path():
    assert [(row.method, row.path) for row in ROWS] == list(ENDPOINTS)


def test_paths_are_spelled_like_paths_of_v5_and_methods_are_the_two_that_it_has():
    assert [row for row in ROWS if not PATH.fullmatch(row.path)] == []
    assert {row.method for row in ROWS} == {"GET", "POST"}


def test_required_parameters_have_the_venues_spelling_and_are_named_once():
    for row in ROWS:
        spelling = SNAKE if row in BOTS and not row.path.startswith("/v5/strategy/") else CAMEL
        names = [name for group in row.required for name in group.split("|")]
        assert all(spelling.fullmatch(name) for name in names), row
        assert len(names) == len(set(names)), row


def test_limits_are_so_many_in_a_second_or_a_minute():
    for row in ROWS:
        for limit in (row.limit, *row.by_category.values()):
            assert limit.requests >= 1, row
            assert limit.seconds in (1, 60), row
        assert row.by_category.keys() <= CATEGORIES, row


def test_every_get_may_be_repeated():
    assert [row for row in ROWS if row.method == "GET" and not row.repeatable] == []


def test_nothing_that_moves_money_or_trades_is_repeated():
    movers = [row for row in ROWS if row.method == "POST" and MOVES.fullmatch(row.path.rpartition("/")[2])]
    assert len(movers) > 80
    assert [row for row in movers if row.repeatable] == []


@pytest.mark.parametrize(
    "path",
    [
        "/v5/order/amend",
        "/v5/order/amend-batch",
        "/v5/order/cancel-all",
        "/v5/position/trading-stop",
        "/v5/position/confirm-pending-mmr",
        "/v5/account/mmp-reset",
        "/v5/asset/withdraw/cancel",
        "/v5/earn/flexible-saving/auto-savings",
        "/v5/user/delete-api",
        "/v5/p2p/item/update",
        "/v5/rfq/cancel-all-quotes",
        "/v5/event/cancel",
    ],
)
def test_what_is_not_the_same_twice_though_it_moves_nothing_is_not_repeated(path: str):
    assert not find("POST", path).repeatable


def test_a_post_without_a_key_only_asks():
    assert [repr(row) for row in ROWS if row.method == "POST" and not row.signed] == ["POST /v5/grid/validate-input"]


@pytest.mark.parametrize("path", ["/v5/account/mmp-modify", "/v5/broker/award/distribute-award"])
def test_a_reply_without_a_result_is_a_reply_where_the_venue_documents_none(path: str):
    reply = find("POST", path).decode(b'{"retCode": 0, "retMsg": "success"}')
    assert (reply.code, reply.message, reply.result, reply.time) == (0, "success", None, 0)


def test_a_typed_endpoint_needs_its_result():
    for row in TYPED:
        if row.result is not Any:
            with pytest.raises(msgspec.ValidationError, match="result"):
                row.decode(b'{"retCode": 0, "retMsg": "success"}')


def test_results_without_a_type_are_plain_python():
    assert {row.result for row in ROWS if row not in TYPED} == {Any}


@pytest.mark.parametrize(
    ("method", "path", "limit"),
    [
        ("GET", "/v5/order/spot-borrow-check", Limit(50)),
        ("GET", "/v5/account/transaction-log", Limit(25)),
        ("GET", "/v5/account/instruments-info", Limit(10)),
        ("POST", "/v5/account/borrow", Limit(1)),
        ("GET", "/v5/asset/transfer/query-inter-transfer-list", Limit(60, 60)),
        ("POST", "/v5/asset/transfer/universal-transfer", Limit(5)),
        ("GET", "/v5/asset/transfer/query-account-coin-balance", Limit(450)),
        ("POST", "/v5/asset/withdraw/create", Limit(5)),
        ("POST", "/v5/asset/withdraw/cancel", Limit(60, 60)),
        ("GET", "/v5/asset/withdraw/query-record", Limit(300, 60)),
        ("GET", "/v5/asset/deposit/query-record", Limit(100, 60)),
        ("GET", "/v5/asset/exchange/order-record", Limit(600, 60)),
        ("POST", "/v5/user/create-sub-api", Limit(1)),
        ("POST", "/v5/spot-margin-trade/set-leverage", Limit(5)),
        ("POST", "/v5/spread/order/create", Limit(20)),
        ("POST", "/v5/rfq/create-rfq", Limit(50)),
        ("GET", "/v5/ins-loan/loan-order", Limit(20)),
    ],
)
def test_a_limit_is_that_of_the_venues_table(method: str, path: str, limit: Limit):
    assert find(method, path).limit == limit


# Finding


def test_a_typed_endpoint_is_found_as_itself():
    assert find("GET", "/v5/market/tickers") is TICKERS
    assert {(row.method, row.path) for row in TYPED} <= ENDPOINTS.keys()


def test_one_path_with_two_methods_is_two_endpoints():
    path = "/v5/earn/flexible-saving/auto-savings"
    assert find("GET", path).required == ()
    assert find("POST", path).required == ("isSelected",)


def test_nobody_changes_the_table():
    with pytest.raises(TypeError):
        ENDPOINTS["GET", "/v5/x"] = TICKERS  # type: ignore[index]


def test_an_endpoint_that_is_there_twice_is_no_table():
    with pytest.raises(ValueError, match=r"GET /v5/a is in the table twice"):
        table((get("/v5/a"), post("/v5/a")), (get("/v5/a"),))


def test_the_wrong_method_is_told_the_right_one():
    assert told("GET", "/v5/order/create") == "GET '/v5/order/create': this path takes POST"
    assert "takes GET or POST" in told("PUT", "/v5/earn/flexible-saving/auto-savings")


def test_a_path_that_is_nearly_right_is_told_the_near_ones():
    assert "/v5/market/tickers" in told("GET", "/v5/market/ticker")
    assert "/v5/account/wallet-balance" in told("GET", "v5/account/walletbalance")


def test_a_path_like_none_is_told_what_paths_look_like():
    assert told("GET", "?") == (
        "GET '': no such endpoint in v5; paths are those of the venue's documents, as /v5/market/time"
    )


def test_parameters_in_the_path_are_told_where_they_belong_and_not_repeated():
    text = told("GET", "/v5/market/tickers?category=linear&sign=5ecret")
    assert text == "GET '/v5/market/tickers': parameters are given by name, not in the path"
    assert "5ecret" not in told("GET", "/v5/nothing?sign=5ecret")


def test_a_path_without_end_is_cut():
    assert len(told("GET", "/v5/" + "x" * 1_000_000)) < 400


# tools/endpoints.py


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(Path(__file__).parents[4] / "tools"))
    monkeypatch.delitem(sys.modules, "endpoints", raising=False)
    return importlib.import_module("endpoints")


LISTS = """
from enum import Enum

class Market(str, Enum):
    GET_TICKERS = "/v5/market/tickers"
    GET_OLD = (
        "/v5/market/old"
    )
    NEVER_CALLED = "/v5/market/time"

    def __str__(self) -> str:
        return self.value

class Stream(str, Enum):
    PUBLIC = "/v5/public"

class Other:
    PATH = "/v5/not/listed"
"""

CALLS = '''
from ._http import Manager
from .market import Market as Paths

class MarketHTTP(Manager):
    def get_tickers(self, **kwargs):
        """The tickers.

        Required args:
            category (string): Product type.
                linear, inverse (with a bracket)
            > symbol (string): inside an object
            baseCoin(string): Coin

        Returns:
            Request results (as dictionary).
        """
        return self._submit_request(
            method="GET", path=f"{self.endpoint}{Paths.GET_TICKERS}", query=kwargs, auth=True
        )

    def post_old(self, **kwargs):
        return self._submit_request(method="POST", path=f"{self.endpoint}{Paths.GET_OLD}", query=kwargs)

    def upload(self, **kwargs):
        """Required args:
            None
        """
        return self._submit_file_request(path=f"{self.endpoint}{Paths.GET_OLD}", query=kwargs, auth=True)
'''

API = """
class bybit:
    def describe(self):
        return {
            'api': {
                'public': {'get': {'v5/market/time': {'cost': 5}, 'spot/v3/public/symbols': 1}},
                'private': {'post': {'v5/order/create': {'cost': 2.5}}, 'get': {'v5/market/tickers': {}}},
            },
            'public': 'https://api.{hostname}',
        }
"""


@pytest.fixture
def pybit(tmp_path: Path) -> Path:
    (tmp_path / "market.py").write_text(LISTS)
    (tmp_path / "_v5_market.py").write_text(CALLS)
    return tmp_path


def test_pybits_lists_and_calls_are_read_without_importing_them(tool: ModuleType, pybit: Path):
    paths, calls = tool.read_pybit(pybit)
    assert paths == {"/v5/market/tickers", "/v5/market/old", "/v5/market/time"}
    assert calls == [
        tool.Call("GET", "/v5/market/tickers", True, frozenset({"category", "baseCoin"})),
        tool.Call("POST", "/v5/market/old", False, None),
        tool.Call("POST", "/v5/market/old", True, frozenset()),
    ]


def test_ccxts_table_is_read_without_importing_it(tool: ModuleType, tmp_path: Path):
    (tmp_path / "bybit.py").write_text(API)
    assert tool.read_ccxt(tmp_path / "bybit.py") == [
        tool.Call("GET", "/v5/market/time", False),
        tool.Call("POST", "/v5/order/create", True),
        tool.Call("GET", "/v5/market/tickers", True),
    ]


def rows(*endpoints: Endpoint[Any]) -> dict[tuple[str, str], Endpoint[Any]]:
    return dict(table(endpoints))


def test_a_comparison_tells_what_is_missing_what_differs_and_what_is_beyond(tool: ModuleType, pybit: Path):
    paths, calls = tool.read_pybit(pybit)
    here = rows(
        get("/v5/market/tickers", "category|symbol", "interval", signed=False), get("/v5/market/old"), get("/v5/more")
    )
    found = tool.compare(paths, calls, here)
    assert (found.listed, found.covered) == (3, 1)
    assert found.percent == pytest.approx(100 / 3)
    assert found.missing == ["never called /v5/market/time"]
    assert found.other_method == ["/v5/market/old: POST there, GET here"]
    assert found.other_signature == ["GET /v5/market/tickers: signed there, not here"]
    assert found.other_required == ["GET /v5/market/tickers: baseCoin only there, interval only here"]
    assert found.beyond == ["GET /v5/more"]


def test_of_several_calls_of_one_path_one_that_agrees_is_enough(tool: ModuleType, pybit: Path):
    paths, calls = tool.read_pybit(pybit)
    found = tool.compare(paths, calls, rows(post("/v5/market/old", "orderId", signed=False)))
    assert [entry for entry in found.other_signature if "old" in entry] == []
    assert [entry for entry in found.other_required if "old" in entry] == ["POST /v5/market/old: orderId only here"]


def test_the_tool_ends_with_one_below_95_percent(tool: ModuleType, pybit: Path, capsys: pytest.CaptureFixture[str]):
    assert tool.main(["--pybit", str(pybit), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["pybit"]["percent"] == 66.67


def test_the_tool_says_what_to_do_where_a_library_is_not(
    tool: ModuleType, pybit: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    assert tool.main(["--pybit", str(tmp_path / "nowhere")]) == 2
    assert "`make peers`" in capsys.readouterr().err
    assert tool.main(["--pybit", str(pybit), "--ccxt", str(tmp_path / "nowhere.py")]) == 2
    assert "`make peers`" in capsys.readouterr().err


def test_the_table_covers_what_the_installed_pybit_and_ccxt_know_and_the_documents_decide_the_rest(
    tool: ModuleType, capsys: pytest.CaptureFixture[str]
):
    require_peers()
    assert tool.main(["--ccxt", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pybit"]["listed"] > 300
    assert found["pybit"]["percent"] >= 99
    assert found["ccxt"]["percent"] >= 95
    differences = [
        entry
        for library in found.values()
        for kind in ("missing", "other_method", "other_signature")
        for entry in library[kind]
    ]
    judged = [
        entry for entry in differences if any(path in entry and page in entry for path, page in tool.JUDGED.items())
    ]
    assert differences == judged
