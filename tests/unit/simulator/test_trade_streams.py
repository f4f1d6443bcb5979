"""Requests over the order-entry socket: what is carried out, told, and goes wrong; without sockets."""

import itertools
from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.private_faults import SocketFaults
from feeder.simulator.private_streams import PrivateStreams
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_gate import RestGate
from feeder.simulator.rest_reply import Answer, Refused
from feeder.simulator.script import parse_fault
from feeder.simulator.script_sockets import Auth, OrderEntry
from feeder.simulator.trade_session import PATHS
from feeder.simulator.trade_streams import ADDRESS_REQUESTS, TradeStreams
from tests.unit.simulator.private_clients import SignedClient, Teller

SECOND = ApiKey("second-key", "second-secret", account="1")
ORDER = {"category": "linear", "symbol": "BTCUSDT"}


class Engine(Teller):
    """A ledger that tells of each request it is asked to carry out, and refuses some."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[Caller] = []

    def carry_out(self, call: Caller) -> Answer:
        if call.parameters["symbol"] == "NOPE":
            raise Refused(10001, "params error: symbol invalid")
        self.calls.append(call)
        self.tell("1", "order", "linear", {"symbol": "BTCUSDT", "number": len(self.calls)})
        return Answer({"orderId": str(len(self.calls)), "orderLinkId": ""})


class Scene:
    def __init__(self, seed: int = 1, *, enforce_limits: bool = False) -> None:
        self.clock = ManualClock()
        self.engine = Engine()
        self.gate = RestGate((DEFAULT_KEY, SECOND), self.clock, enforce_limits=enforce_limits)
        self.faults = SocketFaults(self.clock)
        self.private = PrivateStreams(
            self.engine.listen,
            self.gate.authenticator,
            self.faults,
            lambda: None,
            seed,
            self.clock,
        )
        endpoints = {("POST", path): self.engine.carry_out for path in PATHS.values()}
        self.streams = TradeStreams(
            endpoints, self.gate, self.private, self.faults, seed, self.clock, enforce_limits=enforce_limits
        )
        self._ids = itertools.count()

    def client(self, key: ApiKey = DEFAULT_KEY, query: str = "") -> SignedClient:
        client = SignedClient(self.streams, self.clock, query)
        assert client.log_in(key)["retCode"] == 0
        return client

    def order(self, client: SignedClient, **request: Any) -> list[dict[str, Any]]:
        """What comes back at once."""
        header = {"X-BAPI-TIMESTAMP": str(self.clock.wall_ns() // 1_000_000)}
        return client.say(
            **{"op": "order.create", "reqId": str(next(self._ids)), "header": header, "args": [ORDER]} | request
        )

    def inject(self, **entry: Any) -> None:
        fault = parse_fault({"fault": "order_entry"} | entry)
        assert isinstance(fault, Auth | OrderEntry)
        self.faults.add(fault)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_request_is_what_rest_does_with_it_for_the_account_that_logged_in(scene: Scene) -> None:
    (answer,) = scene.order(scene.client(SECOND))
    assert answer["data"] == {"orderId": "1", "orderLinkId": ""}
    (call,) = scene.engine.calls
    assert (call.api_key, call.parameters) == (SECOND, ORDER)


def test_what_rest_refuses_is_refused_by_the_same_code(scene: Scene) -> None:
    (answer,) = scene.order(scene.client(), args=[ORDER | {"symbol": "NOPE"}])
    assert (answer["retCode"], answer["retMsg"]) == (10001, "params error: symbol invalid")
    assert answer["data"] == {}


def test_the_header_tells_the_limit_the_request_and_the_time(scene: Scene) -> None:
    client = scene.client()
    (first,), (second,) = scene.order(client), scene.order(client)
    now_ms = str(scene.clock.wall_ns() // 1_000_000)
    trace = first["header"].pop("Traceid")
    assert len(trace) == 32
    assert trace != second["header"]["Traceid"]
    assert first["header"] == {
        "X-Bapi-Limit": "10",
        "X-Bapi-Limit-Status": "9",
        "X-Bapi-Limit-Reset-Timestamp": now_ms,
        "Timenow": now_ms,
    }
    assert second["header"]["X-Bapi-Limit-Status"] == "8"


def test_the_limit_is_the_accounts_over_all_its_connections_and_rest() -> None:
    scene = Scene(enforce_limits=True)
    scene.gate.limits.visit("1", "/v5/order/create", "linear", 4)  # over REST
    first, second = scene.client(), scene.client(SECOND)
    answers = [scene.order(client)[0] for client in (first, second) * 4]
    assert [answer["retCode"] for answer in answers] == [0] * 6 + [10006] * 2
    assert answers[-1]["header"]["X-Bapi-Limit-Status"] == "0"
    assert int(answers[-1]["header"]["X-Bapi-Limit-Reset-Timestamp"]) > scene.clock.wall_ns() // 1_000_000
    assert len(scene.engine.calls) == 6


def test_of_a_batch_each_order_counts() -> None:
    scene = Scene(enforce_limits=True)
    batch = {"category": "linear", "symbol": "", "request": [ORDER] * 8}
    client = scene.client()
    scene.order(client, op="order.create-batch", args=[batch])
    scene.order(client, op="order.create-batch", args=[batch])
    assert [call.orders_allowed for call in scene.engine.calls] == [8, 2]


def test_an_address_asks_3000_times_a_second() -> None:
    scene = Scene(enforce_limits=True)
    client = scene.client()
    codes = [scene.order(client)[0]["retCode"] for _ in range(ADDRESS_REQUESTS + 1)]
    assert (codes[-2], codes[-1]) == (10006, 10403)
    scene.clock.advance(1)
    assert scene.order(client)[0]["retCode"] == 0


def _came_first(seed: int) -> str:
    scene, came = Scene(seed), []
    private, client = SignedClient(scene.private, scene.clock), scene.client()
    private.log_in()
    private.subscribe("order")
    private.hear(lambda: came.append("order"))
    client.hear(lambda: came.append("ack"))
    scene.order(client)
    assert sorted(came) == ["ack", "order"]
    return came[0]


def test_the_answer_comes_now_before_and_now_after_what_the_private_stream_tells() -> None:
    assert {_came_first(seed) for seed in range(10)} == {"ack", "order"}
    assert [_came_first(seed) for seed in range(10)] == [_came_first(seed) for seed in range(10)]


def test_a_lost_answer_is_of_a_request_that_was_carried_out(scene: Scene) -> None:
    client = scene.client()
    scene.inject(how="lost", times=1)
    assert scene.order(client) == []
    assert client.cut_because is not None
    assert len(scene.engine.calls) == 1


@pytest.mark.parametrize("how", ["unsent", "ignored"])
def test_an_unsent_or_ignored_request_is_not_carried_out(scene: Scene, how: str) -> None:
    client = scene.client()
    scene.inject(how=how, times=1)
    assert scene.order(client) == []
    assert (client.cut_because is not None) == (how == "unsent")
    assert scene.engine.calls == []


def test_a_late_answer_is_of_a_request_carried_out_at_once_and_may_be_overtaken(scene: Scene) -> None:
    client = scene.client()
    scene.inject(how="late", delay=3, times=1)
    assert scene.order(client, reqId="late") == []
    assert len(scene.engine.calls) == 1
    assert scene.order(client, reqId="next")[0]["reqId"] == "next"
    scene.clock.advance(2.9)
    scene.streams.advance()
    assert client.take() == []
    scene.clock.advance(0.1)
    scene.streams.advance()
    assert [answer["reqId"] for answer in client.take()] == ["late"]


def test_a_late_answer_goes_with_its_connection(scene: Scene) -> None:
    client = scene.client()
    scene.inject(how="late", delay=3, times=1)
    scene.order(client)
    client.guest.leave()
    scene.clock.advance(5)
    scene.streams.advance()
    assert client.take() == []


def test_requests_are_refused_by_a_fault_as_often_or_as_long_as_was_said_and_only_of_its_op(scene: Scene) -> None:
    client = scene.client()
    scene.inject(ret_code=10429, op="order.cancel", times=1)
    scene.inject(ret_code=10016, ret_msg="Restarting", op="order.create", seconds=5)
    assert scene.order(client)[0]["retMsg"] == "Restarting"
    assert scene.order(client, op="order.cancel")[0]["retCode"] == 10429
    assert scene.order(client, op="order.cancel")[0]["retCode"] == 0
    scene.clock.advance(5)
    assert scene.order(client)[0]["retCode"] == 0
    assert len(scene.engine.calls) == 2


def test_a_limit_that_a_fault_tells_says_until_when(scene: Scene) -> None:
    scene.inject(ret_code=10006, times=1)
    header = scene.order(scene.client())[0]["header"]
    assert header["X-Bapi-Limit-Status"] == "0"
    assert int(header["X-Bapi-Limit-Reset-Timestamp"]) == scene.clock.wall_ns() // 1_000_000 + 1000


def test_what_is_badly_written_uses_no_fault_up(scene: Scene) -> None:
    client = scene.client()
    scene.inject(how="lost", times=1)
    assert scene.order(client, args=[])[0]["retCode"] == 10001
    assert scene.order(client) == []


def test_log_ins_are_refused_here_by_a_fault_of_here(scene: Scene) -> None:
    scene.inject(fault="auth", ret_code=10003, times=1, category="private")
    scene.inject(fault="auth", ret_code=33004, times=1, category="trade")
    client = SignedClient(scene.streams, scene.clock)
    assert client.log_in()["retCode"] == 33004
    assert client.log_in()["retCode"] == 0


def test_a_silent_connection_is_cut(scene: Scene) -> None:
    client = scene.client(query="max_active_time=30s")
    scene.clock.advance(30)
    scene.streams.advance()
    assert client.cut_because == "no sign of life"


def test_connections_of_a_key_are_cut(scene: Scene) -> None:
    first, second = scene.client(), scene.client(SECOND)
    assert scene.streams.cut(SECOND.key) == [second.guest.name]
    assert first.cut_because is None
