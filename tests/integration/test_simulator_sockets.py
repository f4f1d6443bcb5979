"""The simulator's private and order-entry WebSocket on real sockets, as their clients meet them."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.unit.simulator.signer import login, signed

DEADLINE = 10.0
OTHER = ApiKey("other-key", "other-secret", account="2")
MARKET = SimulatorConfig(symbols=2, updates_per_second=80.0, keys=(DEFAULT_KEY, OTHER))
BUY = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "0.01"}

Socket = aiohttp.ClientWebSocketResponse


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(MARKET) as simulator:
        yield simulator


async def _receive(socket: Socket) -> dict[str, Any]:
    async with asyncio.timeout(DEADLINE):
        message: dict[str, Any] = json.loads(await socket.receive_str())
        return message


async def _is_cut(socket: Socket) -> bool:
    """Whether it ends, and without a close frame; messages before that are let go."""
    async with asyncio.timeout(DEADLINE):
        while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
            pass
    return message.type in (aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)


async def _logged_in(http: aiohttp.ClientSession, simulator: Simulator, path: str, key: ApiKey = DEFAULT_KEY) -> Socket:
    socket = await http.ws_connect(f"{simulator.websocket_url}{path}")
    await socket.send_json({"op": "auth", "args": login(key)})
    answer = await _receive(socket)
    assert answer.get("success") or answer["retCode"] == 0
    return socket


async def _private(
    http: aiohttp.ClientSession, simulator: Simulator, *topics: str, key: ApiKey = DEFAULT_KEY
) -> Socket:
    socket = await _logged_in(http, simulator, "/v5/private", key)
    await socket.send_json({"op": "subscribe", "args": list(topics)})
    assert (await _receive(socket))["success"]
    return socket


async def _send_order(socket: Socket, req_id: str = "1", **parameters: Any) -> None:
    header = {"X-BAPI-TIMESTAMP": str(time.time_ns() // 1_000_000)}
    await socket.send_json({"reqId": req_id, "header": header, "op": "order.create", "args": [BUY | parameters]})


async def _rest(http: aiohttp.ClientSession, simulator: Simulator, path: str, body: dict[str, Any]) -> dict[str, Any]:
    text = json.dumps(body)
    async with http.post(simulator.rest_url + path, data=text, headers=signed(text)) as response:
        answer: dict[str, Any] = await response.json()
        return answer


def _inject(simulator: Simulator, **entry: Any) -> list[str]:
    return simulator.inject(parse_fault(entry)).touched


async def test_an_order_over_the_socket_is_told_to_its_account_alone(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    mine = await _private(http, simulator, "order", "execution", "execution.fast", "position", "wallet")
    other = await _private(http, simulator, "order", "wallet", key=OTHER)
    trade = await _logged_in(http, simulator, "/v5/trade")
    await _send_order(trade)
    answer = await _receive(trade)
    assert answer["retCode"] == 0
    order_id = answer["data"]["orderId"]
    told: dict[str, list[dict[str, Any]]] = {}
    while told.keys() != {"order", "execution", "execution.fast", "position", "wallet"} or (
        told["order"][-1]["orderStatus"] != "Filled"
    ):
        message = await _receive(mine)
        told.setdefault(message["topic"], []).extend(message["data"])
    assert {row["orderId"] for kind in ("order", "execution", "execution.fast") for row in told[kind]} == {order_id}
    executed = [row["execId"] for row in told["execution"]]
    assert executed == [row["execId"] for row in told["execution.fast"]]
    assert told["position"][-1]["size"] == "0.01"
    await _send_order(await _logged_in(http, simulator, "/v5/trade", OTHER), symbol="ETHUSDT", qty="0.1")
    assert (await _receive(other))["data"][0]["symbol"] == "ETHUSDT"


async def test_an_order_over_rest_is_told_as_well(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    private = await _private(http, simulator, "order.linear")
    order_id = (await _rest(http, simulator, "/v5/order/create", BUY))["result"]["orderId"]
    message = await _receive(private)
    assert message["topic"] == "order.linear"
    assert message["data"][0]["orderId"] == order_id


async def test_the_market_of_an_ordered_symbol_moves_without_a_subscription(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    before = simulator.exchange.source.touch("linear", "BTCUSDT")
    trade = await _logged_in(http, simulator, "/v5/trade")
    await _send_order(trade)
    assert (await _receive(trade))["retCode"] == 0
    assert before is not None
    async with asyncio.timeout(DEADLINE):
        while True:
            await asyncio.sleep(0.01)
            now = simulator.exchange.source.touch("linear", "BTCUSDT")
            if now is not None and now.seq > before.seq:
                break


async def test_who_is_not_let_in_is_told_why_on_both_sockets(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    private = await http.ws_connect(f"{simulator.websocket_url}/v5/private?max_active_time=1m")
    trade = await http.ws_connect(f"{simulator.websocket_url}/v5/trade")
    key, until, _ = login()
    for args, code, text in (
        ([key, until, "0" * 64], 10004, "Error sign, please check your signature generation algorithm."),
        (["nobody", until, "0" * 64], 10003, "API key is invalid."),
        (login(expires=time.time_ns() // 1_000_000 - 1), 10001, "Params Error"),
    ):
        for socket in (private, trade):
            await socket.send_json({"op": "auth", "args": args})
        assert (await _receive(private))["ret_msg"] == text
        answer = await _receive(trade)
        assert (answer["retCode"], answer["retMsg"]) == (code, text)


async def test_a_revoked_key_loses_its_connections_and_is_let_in_nowhere(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    private = await _private(http, simulator, "order")
    trade = await _logged_in(http, simulator, "/v5/trade")
    other = await _private(http, simulator, "order", key=OTHER)
    assert len(_inject(simulator, fault="revoke", key="sim-key", ret_code=33004)) == 2
    assert await _is_cut(private)
    assert await _is_cut(trade)
    again = await http.ws_connect(f"{simulator.websocket_url}/v5/private")
    await again.send_json({"op": "auth", "args": login()})
    assert (await _receive(again))["ret_msg"] == "Your api key has expired."
    assert (await _rest(http, simulator, "/v5/order/create", BUY))["retCode"] == 33004
    await other.send_json({"op": "ping"})
    assert (await _receive(other))["op"] == "pong"


async def test_a_lost_answer_is_of_an_order_that_the_private_stream_tells(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    private = await _private(http, simulator, "order")
    trade = await _logged_in(http, simulator, "/v5/trade")
    assert _inject(simulator, fault="order_entry", how="lost", times=1) == ["/v5/trade"]
    await _send_order(trade, orderLinkId="lost-1")
    assert await _is_cut(trade)
    assert (await _receive(private))["data"][0]["orderLinkId"] == "lost-1"


async def test_what_was_sent_behind_a_request_that_ended_the_connection_is_not_carried_out(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    trade = await _logged_in(http, simulator, "/v5/trade")
    _inject(simulator, fault="order_entry", how="unsent", times=1)
    for number in range(3):  # they arrive together
        await _send_order(trade, str(number))
    assert await _is_cut(trade)
    assert not simulator.ledger.account(DEFAULT_KEY.account).orders


async def test_an_answer_that_is_late_comes(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    trade = await _logged_in(http, simulator, "/v5/trade")
    _inject(simulator, fault="order_entry", how="late", delay=0.2, times=1)
    await _send_order(trade, "late")
    await _send_order(trade, "next")
    assert [(await _receive(trade))["reqId"] for _ in range(2)] == ["next", "late"]


async def test_connections_are_cut_and_told_lies_by_their_kind(
    http: aiohttp.ClientSession, simulator: Simulator
) -> None:
    private = await _private(http, simulator, "order")
    trade = await _logged_in(http, simulator, "/v5/trade")
    public = await http.ws_connect(f"{simulator.websocket_url}/v5/public/linear")
    assert len(_inject(simulator, fault="raw", category="private", text='{"topic":"order","data":')) == 1
    assert (await private.receive_str()).endswith('"data":')
    assert len(_inject(simulator, fault="slow", category="private", seconds=30, delay=0.2)) == 1
    await private.send_json({"op": "ping"})
    await trade.send_json({"op": "ping"})
    assert (await _receive(trade))["op"] == "pong"
    assert (await _receive(private))["op"] == "pong"
    assert len(_inject(simulator, fault="disconnect", category="trade")) == 1
    assert await _is_cut(trade)
    assert len(_inject(simulator, fault="half_open", category="private")) == 1
    assert len(_inject(simulator, fault="disconnect", category="private")) == 1
    assert await _is_cut(private)
    await public.send_json({"op": "ping"})
    assert (await _receive(public))["ret_msg"] == "pong"


async def test_a_fault_comes_by_the_control_as_well(http: aiohttp.ClientSession, simulator: Simulator) -> None:
    private = await _private(http, simulator, "order")
    fault = {"fault": "private", "topic": "order", "how": "duplicated"}
    async with http.post(f"{simulator.rest_url}/simulator/faults", json=fault) as response:
        assert (await response.json())["touched"] == ["order"]
    await _rest(http, simulator, "/v5/order/create", BUY)
    assert await _receive(private) == await _receive(private)
