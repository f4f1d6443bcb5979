"""Faults of the simulator on real sockets, scripted and on request, as a client of the exchange meets them."""

import asyncio
import itertools
import json
import time
import zlib
from collections.abc import AsyncIterator
from decimal import Decimal
from typing import Any

import aiohttp
import pytest

from feeder.simulator.script import Gap, Rest, parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.processes import simulator as simulator_process
from tests.unit.simulator.clients import NaiveBook

DEADLINE = 10.0
BOOK = "orderbook.50.BTCUSDT"
INFO = "/v5/market/instruments-info?category=linear"
MARKET = SimulatorConfig(symbols=2, updates_per_second=80.0)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


async def _subscribed(
    http: aiohttp.ClientSession, simulator: Simulator, *topics: str
) -> aiohttp.ClientWebSocketResponse:
    socket = await http.ws_connect(f"{simulator.websocket_url}/v5/public/linear")
    await socket.send_json({"op": "subscribe", "args": list(topics or [BOOK])})
    return socket


async def _message(socket: aiohttp.ClientWebSocketResponse) -> dict[str, Any]:
    """The next data message."""
    async with asyncio.timeout(DEADLINE):
        while True:
            message = json.loads(await socket.receive_str())
            if "topic" in message:
                assert isinstance(message, dict)
                return message


async def _is_silent(socket: aiohttp.ClientWebSocketResponse, seconds: float) -> bool:
    try:
        await socket.receive(timeout=seconds)
    except TimeoutError:
        return True
    return False


def _inject(simulator: Simulator, **entry: Any) -> list[str]:
    return simulator.inject(parse_fault(entry)).touched


async def test_a_half_open_connection_neither_sends_nor_answers_until_its_time_is_over(
    http: aiohttp.ClientSession,
) -> None:
    async with Simulator(MARKET) as simulator:
        dead = await _subscribed(http, simulator)
        await _message(dead)
        assert len(_inject(simulator, fault="half_open", seconds=1.5)) == 1
        while not await _is_silent(dead, 0.5):
            pass  # what was on its way already
        await dead.send_json({"op": "ping", "req_id": "probe"})
        other = await _subscribed(http, simulator)
        await _message(other)
        async with asyncio.timeout(DEADLINE):
            while True:  # it wakes up, answers, and has missed updates
                message = json.loads(await dead.receive_str())
                if message.get("req_id") == "probe":
                    break
        assert message["ret_msg"] == "pong"
        assert not dead.closed
        await _message(dead)


async def test_a_half_open_connection_may_stay_so_and_does_not_keep_the_simulator_up(
    http: aiohttp.ClientSession,
) -> None:
    async with Simulator(MARKET) as simulator:
        first, second = await _subscribed(http, simulator), await _subscribed(http, simulator)
        await _message(first)
        await _message(second)
        assert len(_inject(simulator, fault="half_open", category="linear", count=1)) == 1
        while not await _is_silent(first, 0.5):
            pass
        await _message(second)
        assert await _is_silent(first, 1.0)


@pytest.mark.parametrize("fault", ["half_open", "disconnect"])
async def test_a_fault_of_one_connection_leaves_out_those_that_are_dead_already(
    http: aiohttp.ClientSession, fault: str
) -> None:
    async with Simulator(MARKET) as simulator:
        await _message(await _subscribed(http, simulator))
        (dead,) = _inject(simulator, fault="half_open", count=1)
        # As a client does that has found it out: another connection.
        second = await _subscribed(http, simulator)
        await _message(second)
        (touched,) = _inject(simulator, fault=fault, count=1)
        assert touched != dead
        assert dead in _inject(simulator, fault="disconnect")


async def test_on_a_slow_line_messages_are_old_but_complete(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        socket = await _subscribed(http, simulator)
        book = NaiveBook()
        book.apply(await _message(socket))
        _inject(simulator, fault="slow", category="linear", delay=1.0, seconds=2.0)
        ages = []
        end = time.monotonic() + 4
        while time.monotonic() < end:
            message = await _message(socket)
            book.apply(message)  # asserts that no update is missing
            ages.append(time.time() - message["ts"] / 1000)
        assert max(ages) > 0.9
        assert ages[-1] < 0.9


async def test_a_burst_is_everything_at_once_after_a_silence(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        socket = await _subscribed(http, simulator)
        book = NaiveBook()
        book.apply(await _message(socket))
        _inject(simulator, fault="bursty", category="linear", seconds=1.5)
        arrivals = [time.monotonic()]
        end = time.monotonic() + 3
        while time.monotonic() < end:
            book.apply(await _message(socket))
            arrivals.append(time.monotonic())
        gaps = [later - earlier for earlier, later in itertools.pairwise(arrivals)]
        assert max(gaps) > 0.7
        after = arrivals[gaps.index(max(gaps)) + 1]
        assert sum(after <= arrival < after + 0.3 for arrival in arrivals) > 15


@pytest.mark.parametrize("count", [1, None])
async def test_connections_are_cut_one_or_all(http: aiohttp.ClientSession, count: int | None) -> None:
    async with Simulator(MARKET) as simulator:
        sockets = [await _subscribed(http, simulator) for _ in range(2)]
        for socket in sockets:
            await _message(socket)
        entry = {"fault": "disconnect", "category": "linear"} | ({"count": count} if count else {})
        assert len(_inject(simulator, **entry)) == (count or 2)
        async with asyncio.timeout(DEADLINE):
            while (await sockets[0].receive()).type is aiohttp.WSMsgType.TEXT:
                pass
        if count:
            await _message(sockets[1])
        assert _inject(simulator, fault="disconnect", category="spot") == []


@pytest.mark.parametrize("how", [403, 404, 429, 500, 502, 503])
async def test_rest_fails_as_often_as_scripted_with_this_status(http: aiohttp.ClientSession, how: Any) -> None:
    async with Simulator(SimulatorConfig(symbols=2, faults=[Rest(how=how, times=2)])) as simulator:
        statuses = []
        for _ in range(3):
            async with http.get(simulator.rest_url + INFO) as reply:
                statuses.append(reply.status)
        assert statuses == [how, how, 200]


async def test_rest_answers_nonsense_or_half_or_nothing(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        url = simulator.rest_url + INFO
        _inject(simulator, fault="rest", how="html", times=1)
        async with http.get(url) as reply:
            assert (await reply.text()).startswith("<html>")
        _inject(simulator, fault="rest", how="wrong_json", times=1)
        async with http.get(url) as reply:
            assert isinstance((await reply.json())["result"], list)
        _inject(simulator, fault="rest", how="truncated", times=1)
        with pytest.raises(aiohttp.ClientPayloadError):
            async with http.get(url) as reply:
                await reply.read()
        _inject(simulator, fault="rest", how="hang", times=1)
        with pytest.raises(TimeoutError):
            async with http.get(url, timeout=aiohttp.ClientTimeout(total=0.5)):
                pass
        _inject(simulator, fault="rest", how=500, times=1, path="/v5/market/time")
        async with http.get(url) as reply:
            assert len((await reply.json())["result"]["list"]) == 2
        _inject(simulator, fault="rest", how=503, seconds=2)
        statuses = [503]
        while statuses[-1] == 503:
            async with http.get(url) as reply:
                statuses.append(reply.status)
            await asyncio.sleep(0.02)
        assert statuses[1] == 503
        assert statuses[-1] == 200
        async with http.get(simulator.rest_url + "/v5/market/time") as reply:
            assert reply.status == 500  # the other is still waiting for its path


async def test_a_request_that_hangs_ends_with_the_simulator(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        _inject(simulator, fault="rest", how="hang", times=1)
        asking = asyncio.ensure_future(http.get(simulator.rest_url + INFO))
        await asyncio.sleep(0.2)
    with pytest.raises(aiohttp.ClientError):
        await asking


@pytest.mark.parametrize(("status", "listed"), [("Closed", True), ("Delivering", True), ("gone", False)])
async def test_rest_tells_of_a_delisting(http: aiohttp.ClientSession, status: str, listed: bool) -> None:
    async with Simulator(MARKET) as simulator:
        _inject(simulator, fault="delist", category="linear", symbol="BTCUSDT", status=status)
        async with http.get(simulator.rest_url + INFO + "&symbol=BTCUSDT") as reply:
            rows = (await reply.json())["result"]["list"]
        assert [row["status"] for row in rows] == ([status] if listed else [])
        async with http.get(simulator.rest_url + INFO + "&status=Trading") as reply:
            assert [row["symbol"] for row in (await reply.json())["result"]["list"]] == ["ETHUSDT"]


async def test_rest_tells_of_a_tick_change(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        _inject(simulator, fault="tick_change", category="linear", symbol="BTCUSDT", tick="0.01", step="0.0001")
        async with http.get(simulator.rest_url + INFO + "&symbol=BTCUSDT") as reply:
            (row,) = (await reply.json())["result"]["list"]
        assert row["priceFilter"]["tickSize"] == "0.01"
        assert row["lotSizeFilter"]["qtyStep"] == "0.0001"


async def test_every_update_held_has_a_checksum_of_its_levels_as_text(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        socket = await _subscribed(http, simulator)
        book = NaiveBook()
        ours = {}
        for _ in range(40):
            book.apply(await _message(socket))
            levels = [level for side in book.sides() for level in side]
            text = "".join(f"{Decimal(p).normalize():f}:{Decimal(q).normalize():f};" for p, q in levels)
            ours[book.u, book.seq] = zlib.crc32(text.encode())
        async with http.get(f"{simulator.rest_url}/simulator/checksums/linear/BTCUSDT") as reply:
            theirs = {(u, seq): checksum for u, seq, checksum in (await reply.json())["checksums"]}
        assert {key: theirs.get(key) for key in ours} == ours
        async with http.get(f"{simulator.rest_url}/simulator/checksums/linear/NOPE") as reply:
            assert reply.status == 404


async def test_a_fault_on_request_is_done_at_once_and_told(http: aiohttp.ClientSession) -> None:
    async with Simulator(MARKET) as simulator:
        url = f"{simulator.rest_url}/simulator/faults"
        socket = await _subscribed(http, simulator)
        first = await _message(socket)
        entry = {"fault": "gap", "category": "linear", "symbol": "BTCUSDT"}
        async with http.post(url, json=entry) as reply:
            done = await reply.json()
        assert done["touched"] == [BOOK]
        assert done["fault"]["fault"] == "gap"
        assert abs(done["wall_ns"] / 1e9 - time.time()) < 60
        ids = [first["data"]["u"]]
        while len(ids) < 2 or ids[-1] == ids[-2] + 1:
            ids.append((await _message(socket))["data"]["u"])
        assert ids[-1] == ids[-2] + 2
        async with http.get(url) as reply:
            assert (await reply.json())["faults"] == [done]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("{", "not JSON"),
        (b'{"fault": "\xff"}', "not JSON"),
        pytest.param("[" * 5000, "not JSON", id="deep"),
        ("[]", "no mapping"),
        ('{"fault":"gap","category":"linear"}', "`symbol`"),
        ('{"fault":"gap","category":"linear","symbol":"NOPE"}', "NOPE"),
        ('{"fault":"gap","category":"linear","symbol":"BTCUSDT","at":3}', "`at`"),
    ],
)
async def test_a_bad_request_for_a_fault_does_nothing_and_says_why(
    http: aiohttp.ClientSession, body: str | bytes, told: str
) -> None:
    async with Simulator(MARKET) as simulator:
        async with http.post(f"{simulator.rest_url}/simulator/faults", data=body) as reply:
            assert reply.status == 400
            assert told in (await reply.json())["error"]
        async with http.get(f"{simulator.rest_url}/simulator/faults") as reply:
            assert (await reply.json())["faults"] == []


async def test_a_script_counts_from_the_first_subscription(http: aiohttp.ClientSession) -> None:
    script = [Gap(at=0.3, category="linear", symbol="BTCUSDT")]
    async with Simulator(SimulatorConfig(symbols=2, updates_per_second=80.0, faults=script)) as simulator:
        await asyncio.sleep(0.5)
        before = time.time_ns()
        socket = await _subscribed(http, simulator)
        ids = [(await _message(socket))["data"]["u"]]
        while len(ids) < 2 or ids[-1] == ids[-2] + 1:
            ids.append((await _message(socket))["data"]["u"])
        async with http.get(f"{simulator.rest_url}/simulator/faults") as reply:
            (done,) = (await reply.json())["faults"]
        assert done["wall_ns"] - before > 0.3e9


async def test_the_program_takes_a_script_and_refuses_one_with_mistakes(tmp_path, http: aiohttp.ClientSession) -> None:
    path = tmp_path / "faults.yaml"
    path.write_text("- {fault: rest, how: 503, times: 1, path: /v5/market/time}\n", "utf-8")
    async with simulator_process("--symbols=2", f"--faults={path}") as (_, addresses):
        async with http.get(f"{addresses.rest}/v5/market/time") as reply:
            assert reply.status == 503
        async with http.get(f"{addresses.rest}/v5/market/time") as reply:
            assert reply.status == 200
