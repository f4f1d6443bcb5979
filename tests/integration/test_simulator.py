"""The simulator on real sockets, as a client of the exchange sees it."""

import asyncio
import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from feeder.errors import FeederError
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.unit.simulator.clients import NaiveBook

DEADLINE = 10.0


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@contextlib.asynccontextmanager
async def _connected(
    http: aiohttp.ClientSession, simulator: Simulator, category: str = "linear"
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with http.ws_connect(f"{simulator.websocket_url}/v5/public/{category}") as socket_:
        yield socket_


async def _next(
    socket_: aiohttp.ClientWebSocketResponse, wanted: Callable[[dict[str, Any]], bool]
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """The next message that is wanted, and those before it."""
    before: list[dict[str, Any]] = []
    async with asyncio.timeout(DEADLINE):
        while True:
            message = json.loads(await socket_.receive_str())
            if wanted(message):
                return message, before
            before.append(message)


async def _get(http: aiohttp.ClientSession, simulator: Simulator, path: str) -> dict[str, Any]:
    async with http.get(simulator.rest_url + path) as response:
        body = await response.json()
        assert isinstance(body, dict)
        return body | {"_status": response.status}


def _is_data(message: dict[str, Any]) -> bool:
    return "topic" in message


async def test_a_subscribers_book_equals_the_simulators_own_at_every_update_id(http: aiohttp.ClientSession) -> None:
    config = SimulatorConfig(symbols=4, updates_per_second=160)
    async with Simulator(config) as simulator, _connected(http, simulator) as client:
        topics = [f"orderbook.{depth}.{symbol}" for depth in (1, 50, 200) for symbol in ("BTCUSDT", "ETHUSDT")]
        await client.send_json({"op": "subscribe", "args": topics, "req_id": "r1"})
        books: dict[str, NaiveBook] = {topic: NaiveBook() for topic in topics}
        seen: list[tuple[str, int, Any, int]] = []
        while len(seen) < 120:
            message, _ = await _next(client, _is_data)
            book = books[message["topic"]]
            book.apply(message)
            bids, asks = book.sides()
            seen.append((message["topic"], book.u, {"bids": bids, "asks": asks}, book.seq))
        for topic, u, sides, seq in seen[::4]:
            _, depth, symbol = topic.split(".")
            told = await _get(http, simulator, f"/simulator/books/linear/{symbol}?u={u}&depth={depth}")
            assert told == {
                "category": "linear",
                "symbol": symbol,
                "depth": int(depth),
                "u": u,
                "seq": seq,
                **sides,
                "_status": 200,
            }
        listed = await _get(http, simulator, "/simulator/books")
        assert {(book["symbol"], book["depth"]) for book in listed["books"]} == {
            (topic.split(".")[2], int(topic.split(".")[1])) for topic in topics
        }


async def test_an_update_id_out_of_range_names_what_is_held(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig()) as simulator, _connected(http, simulator) as client:
        await client.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
        message, _ = await _next(client, _is_data)
        first = message["data"]["u"]
        told = await _get(http, simulator, f"/simulator/books/linear/BTCUSDT?u={first - 1}")
        assert (told["_status"], told["oldest"]) == (404, first)
        assert f"oldest {first}" in told["error"]
        assert (await _get(http, simulator, "/simulator/books/linear/NOPE"))["_status"] == 404
        assert (await _get(http, simulator, "/simulator/books/linear/BTCUSDT?depth=30"))["_status"] == 404
        assert (await _get(http, simulator, "/simulator/books/futures/BTCUSDT"))["_status"] == 404
        assert (await _get(http, simulator, "/simulator/books/linear/BTCUSDT?u=x"))["_status"] == 400


async def test_instruments_are_told_in_pages_except_on_spot(http: aiohttp.ClientSession) -> None:
    config = SimulatorConfig(symbols=2400, categories=("linear", "spot"))
    async with Simulator(config) as simulator:
        symbols: list[str] = []
        cursor, pages = "", 0
        while pages == 0 or cursor:
            path = f"/v5/market/instruments-info?category=linear&limit=500&cursor={cursor}"
            body = await _get(http, simulator, path)
            assert (body["retCode"], body["result"]["category"]) == (0, "linear")
            symbols += [row["symbol"] for row in body["result"]["list"]]
            cursor, pages = body["result"]["nextPageCursor"], pages + 1
        assert (pages, len(symbols), len(set(symbols))) == (3, 1200, 1200)
        spot = (await _get(http, simulator, "/v5/market/instruments-info?category=spot&limit=10"))["result"]
        assert len(spot["list"]) == 1200
        assert "nextPageCursor" not in spot
        row = next(row for row in spot["list"] if row["symbol"] == "BTCUSDT")
        assert (row["priceFilter"]["tickSize"], row["lotSizeFilter"]["basePrecision"]) == ("0.1", "0.000001")
        one = (await _get(http, simulator, "/v5/market/instruments-info?category=linear&symbol=BTCUSDT"))["result"]
        (row,) = one["list"]
        assert (row["priceFilter"]["tickSize"], row["lotSizeFilter"]["qtyStep"]) == ("0.10", "0.001")
        assert (row["status"], row["contractType"], row["priceScale"]) == ("Trading", "LinearPerpetual", "2")
        assert (row["baseCoin"], row["quoteCoin"], row["settleCoin"]) == ("BTC", "USDT", "USDT")
        closed = await _get(http, simulator, "/v5/market/instruments-info?category=linear&status=Closed")
        assert closed["result"]["list"] == []


async def test_options_are_those_of_btc_unless_a_coin_is_named(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig(symbols=7, categories=("option",))) as simulator:
        path = "/v5/market/instruments-info?category=option"
        default = (await _get(http, simulator, path))["result"]["list"]
        ether = (await _get(http, simulator, path + "&baseCoin=ETH"))["result"]["list"]
        assert {row["baseCoin"] for row in default} == {"BTC"}
        assert {row["baseCoin"] for row in ether} == {"ETH"}


@pytest.mark.parametrize(
    "path",
    [
        "/v5/market/instruments-info",
        "/v5/market/instruments-info?category=futures",
        "/v5/market/instruments-info?category=linear&limit=1001",
        "/v5/market/instruments-info?category=linear&limit=0",
        "/v5/market/instruments-info?category=linear&limit=many",
        "/v5/market/instruments-info?category=linear&cursor=rubbish",
        "/v5/market/orderbook?category=linear&symbol=NOPEUSDT",
        "/v5/market/orderbook?category=option&symbol=BTC-25DEC26-100000-C&limit=26",
        "/v5/market/orderbook?symbol=BTCUSDT",
    ],
)
async def test_a_bad_parameter_is_10001(http: aiohttp.ClientSession, path: str) -> None:
    async with Simulator(SimulatorConfig()) as simulator:
        body = await _get(http, simulator, path)
        assert (body["_status"], body["retCode"]) == (200, 10001)
        assert body["retMsg"]
        assert body["result"] == {}


async def test_the_rest_book_has_the_thousand_level_topics_u_and_the_limits_of_its_category(
    http: aiohttp.ClientSession,
) -> None:
    async with Simulator(SimulatorConfig(symbols=2)) as simulator, _connected(http, simulator) as client:
        await client.send_json({"op": "subscribe", "args": ["orderbook.1000.BTCUSDT"]})
        snapshot, _ = await _next(client, _is_data)
        simulator_u = snapshot["data"]["u"]
        body = await _get(http, simulator, "/v5/market/orderbook?category=linear&symbol=BTCUSDT")
        assert (len(body["result"]["b"]), len(body["result"]["a"])) == (25, 25)
        assert 0 <= body["result"]["u"] - simulator_u < 50
        body = await _get(http, simulator, "/v5/market/orderbook?category=linear&symbol=BTCUSDT&limit=1000")
        assert len(body["result"]["b"]) == 1000
        assert {"s", "b", "a", "ts", "u", "seq", "cts"} == body["result"].keys()


async def test_the_servers_time_is_told(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig()) as simulator:
        body = await _get(http, simulator, "/v5/market/time")
        assert int(body["result"]["timeNano"]) // 10**9 == int(body["result"]["timeSecond"])
        assert body["time"] // 1000 == int(body["result"]["timeSecond"])


@pytest.mark.parametrize(
    "path", ["/", "/v5/public", "/v5/public/futures", "/v5/private/more", "/v5/public/linear/more"]
)
async def test_other_paths_are_not_found(http: aiohttp.ClientSession, path: str) -> None:
    async with Simulator(SimulatorConfig()) as simulator:
        with pytest.raises(aiohttp.WSServerHandshakeError) as caught:
            await http.ws_connect(simulator.websocket_url + path)
        assert caught.value.status == 404


async def test_fragments_and_binary_frames_are_put_together_and_rubbish_is_answered(
    http: aiohttp.ClientSession,
) -> None:
    async with Simulator(SimulatorConfig()) as simulator, _connected(http, simulator) as client:
        writer = client._writer
        await writer.send_frame(b'{"op":', aiohttp.WSMsgType.TEXT)
        await client.send_bytes(b'{"op":"ping"}')
        replies = [json.loads(await client.receive_str()) for _ in range(2)]
        assert replies[0]["ret_msg"].startswith("Failed to decode incoming data:")
        assert replies[1]["ret_msg"] == "pong"
        await client.ping()
        await client.send_json({"op": "dance"})
        assert json.loads(await client.receive_str())["ret_msg"] == "error:invalid op"


async def test_broken_bytes_end_only_their_own_connection(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig()) as simulator, _connected(http, simulator) as client:
        await client.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
        port = int(simulator.websocket_url.rpartition(":")[2])
        for garbage in (b"\x16\x03\x01\x00", b"GET / HTTP/1.1\r\n\r\n", b"\r\n\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(garbage)
            await writer.drain()
            writer.close()
        async with http.ws_connect(f"{simulator.websocket_url}/v5/public/linear") as other:
            assert other._response.connection is not None
            transport = other._response.connection.transport
            assert transport is not None
            transport.write(b"\xff\xff\xff\xff")  # a reserved opcode
            async with asyncio.timeout(DEADLINE):
                assert (await other.receive()).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        book = NaiveBook()
        for _ in range(20):
            message, _ = await _next(client, _is_data)
            book.apply(message)


async def test_dropped_connections_can_come_back_and_the_counter_goes_on(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig(symbols=1, updates_per_second=40)) as simulator:
        us = []
        for _ in range(2):
            async with _connected(http, simulator) as client:
                await client.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
                message, _ = await _next(client, lambda each: each.get("type") == "delta")
                us.append(message["data"]["u"])
                await simulator.drop_connections()
                async with asyncio.timeout(DEADLINE):
                    while not (message_ := await client.receive()).type.name.startswith(("CLOSE", "ERROR")):
                        assert message_.type is aiohttp.WSMsgType.TEXT
        assert us[1] > us[0]
        assert not simulator.exchange.clients


async def test_scripted_faults_reach_the_client(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig(symbols=2, updates_per_second=80)) as simulator:
        simulator.refuse("linear", "orderbook.50.BTCUSDT")
        async with _connected(http, simulator) as client:
            request = {"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]}
            await client.send_json(request)
            refusal, _ = await _next(client, lambda message: "success" in message)
            assert not refusal["success"]
            await client.send_json(request)
            last, _ = await _next(client, _is_data)
            simulator.skip_update("linear", "BTCUSDT")
            jumps = []
            while not any(jump > 1 for jump in jumps):
                message, _ = await _next(client, _is_data)
                jumps.append(message["data"]["u"] - last["data"]["u"])
                last = message
            simulator.resend_snapshot("linear", "BTCUSDT", u=1)
            message, _ = await _next(client, lambda message: message.get("type") == "snapshot")
            assert message["data"]["u"] == 1
            simulator.repeat_update("linear", "BTCUSDT")
            repeated, _ = await _next(client, _is_data)
            assert repeated == message
            simulator.send_raw("linear", '{"raw":1}')
            await _next(client, lambda message: message == {"raw": 1})
            with pytest.raises(FeederError, match="give 1 for a restart"):
                simulator.resend_snapshot("linear", "BTCUSDT", u=5)


async def test_a_client_that_does_not_read_is_cut_off_and_others_go_on(
    http: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("feeder.simulator.websocket.WRITE_BUFFER_LIMIT", 1_500_000)
    async with Simulator(SimulatorConfig(symbols=2)) as simulator, _connected(http, simulator) as reader:
        port = int(simulator.websocket_url.rpartition(":")[2])
        slow = socket.create_connection(("127.0.0.1", port))
        slow.sendall(
            b"GET /v5/public/linear HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        async with asyncio.timeout(DEADLINE):
            # Its handshake is answered, and not a byte more is read.
            slow.setblocking(False)
            assert b" 101 " in await asyncio.get_running_loop().sock_recv(slow, 64)
            sent = 0
            while len(simulator.exchange.clients) == 2:
                simulator.send_raw("linear", "x" * 100_000)
                sent += 1
                assert (await reader.receive()).type is aiohttp.WSMsgType.TEXT
        assert sent > 15
        slow.close()
        await reader.send_json({"op": "ping"})
        pong = json.loads(await reader.receive_str())
        assert pong["ret_msg"] == "pong"


async def test_a_replay_at_full_speed_waits_for_a_client_that_reads_slowly(
    http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    lines, count = [], 20_000
    padding = "x" * 400
    for u in range(1, count + 1):
        kind = "snapshot" if u == 1 else "delta"
        data = {"s": "BTCUSDT", "b": [["100", str(u)]], "a": [], "u": u, "seq": u, "padding": padding}
        lines.append(json.dumps({"topic": "orderbook.50.BTCUSDT", "type": kind, "ts": u, "data": data}))
    path = tmp_path / "long.jsonl"
    path.write_text("\n".join(lines))
    async with (
        Simulator(SimulatorConfig(replays=[("linear", path)], speed=None)) as simulator,
        _connected(http, simulator) as client,
    ):
        await client.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
        # Nothing is read until the sockets are full: the replay must stand, not throw the client out.
        waiting = 0
        published = -1
        async with asyncio.timeout(DEADLINE):
            while waiting < 20:
                await asyncio.sleep(0.005)
                waiting = waiting + 1 if published == simulator.exchange.published_total else 0
                published = simulator.exchange.published_total
        received = []
        async with asyncio.timeout(DEADLINE):
            while len(received) < count:
                text = await client.receive_str()
                if '"topic"' in text:
                    received.append(text)
        assert received == lines
        told = await _get(http, simulator, "/simulator/books/linear/BTCUSDT")
        assert (told["u"], told["bids"]) == (count, [["100", str(count)]])


async def test_a_port_in_use_is_named_with_its_remedy() -> None:
    async with Simulator(SimulatorConfig()) as simulator:
        port = int(simulator.websocket_url.rpartition(":")[2])
        rest_port = int(simulator.rest_url.rpartition(":")[2])
        with pytest.raises(FeederError, match=rf"port {port} of 127.0.0.1 is in use; .* with --port"):
            async with Simulator(SimulatorConfig(port=port)):
                pass
        with pytest.raises(FeederError, match=rf"port {rest_port} of 127.0.0.1 is in use; .* with --rest-port"):
            async with Simulator(SimulatorConfig(rest_port=rest_port)):
                pass


async def test_the_command_says_when_it_is_ready_and_stops_cleanly_when_cancelled() -> None:
    program = (
        "import argparse, asyncio, signal\n"
        "from feeder.log import configure\n"
        "from feeder.simulator.command import add_arguments, serve\n"
        "configure('warning')\n"
        "parser = argparse.ArgumentParser()\n"
        "add_arguments(parser)\n"
        "async def main():\n"
        "    task = asyncio.current_task()\n"
        "    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)\n"
        "    try:\n"
        "        await serve(parser.parse_args())\n"
        "    except asyncio.CancelledError:\n"
        "        print('stopped', flush=True)\n"
        "asyncio.run(main())\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-c", program, "--port", "0", "--rest-port", "0"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(DEADLINE):
        line = (await process.stdout.readline()).decode()
        assert line.startswith("simulator ready websocket=ws://127.0.0.1:")
        websocket, rest = (part.partition("=")[2] for part in line.split()[2:])
        async with aiohttp.ClientSession() as http, http.ws_connect(f"{websocket}/v5/public/linear") as client:
            await client.send_json({"op": "subscribe", "args": ["orderbook.50.BTCUSDT"]})
            await _next(client, _is_data)
            async with http.get(f"{rest}/v5/market/time") as response:
                assert (await response.json())["retCode"] == 0
            process.terminate()
            rest_of_output, errors = await process.communicate()
    assert rest_of_output == b"stopped\n"
    assert process.returncode == 0
    assert b"Traceback" not in errors


async def test_tickers_tell_of_a_whole_category_one_symbol_or_one_coins_options(http: aiohttp.ClientSession) -> None:
    config = SimulatorConfig(symbols=80, categories=("linear", "spot", "inverse", "option"))
    async with Simulator(config) as simulator:

        async def rows(query: str) -> Any:
            body = await _get(http, simulator, f"/v5/market/tickers?{query}")
            return body["result"]["list"] if body["retCode"] == 0 else body["retCode"]

        for category in ("linear", "spot", "inverse"):
            every = await rows(f"category={category}")
            assert len(every) == 20
            amounts = [float(row["volume24h" if category == "inverse" else "turnover24h"]) for row in every]
            assert amounts[0] == max(amounts)
            (alone,) = await rows(f"category={category}&symbol={every[3]['symbol']}")
            assert alone["symbol"] == every[3]["symbol"]
        assert {row["symbol"].split("-")[0] for row in await rows("category=option&baseCoin=BTC")} == {"BTC"}
        assert len(await rows("category=option&symbol=BTC-25DEC26-100000-C")) == 1
        for refused in ("category=option", "category=futures", "category=linear&symbol=NOPE", ""):
            assert await rows(refused) == 10001


async def test_listings_ticks_and_turnovers_change_on_request(http: aiohttp.ClientSession) -> None:
    async with Simulator(SimulatorConfig(symbols=3)) as simulator:

        async def fault(**entry: Any) -> int:
            async with http.post(simulator.rest_url + "/simulator/faults", json=entry) as response:
                return response.status

        async def told(path: str, symbol: str) -> Any:
            rows = (await _get(http, simulator, f"/v5/market/{path}?category=linear"))["result"]["list"]
            return next((row for row in rows if row["symbol"] == symbol), None)

        new = {"category": "linear", "symbol": "NEWUSDT"}
        assert await told("tickers", "NEWUSDT") is None
        assert await fault(fault="turnover", **new, turnover="1") == 400
        assert await fault(fault="list", **new, tick="0.05", step="0.1", price="25") == 200
        assert (await told("instruments-info", "NEWUSDT"))["priceFilter"]["tickSize"] == "0.05"
        assert await fault(fault="turnover", **new, turnover="123456789.5") == 200
        assert (await told("tickers", "NEWUSDT"))["turnover24h"] == "123456789.50000000"
        assert await fault(fault="tick_change", **new, tick="0.005") == 200
        assert (await told("instruments-info", "NEWUSDT"))["priceFilter"]["tickSize"] == "0.005"
        assert await fault(fault="list", **new) == 400
        assert await fault(fault="delist", **new, status="gone") == 200
        assert [await told(path, "NEWUSDT") for path in ("tickers", "instruments-info")] == [None, None]
        assert await fault(fault="list", **new) == 200
        assert (await told("instruments-info", "NEWUSDT"))["priceFilter"]["tickSize"] == "0.005"
        assert (await told("tickers", "NEWUSDT"))["turnover24h"] == "123456789.50000000"
