"""The streams on real sockets against the simulated venue: what they tell, and what becomes of them in trouble."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from feeder.bybit import BybitClient, PrivateStream, PublicStream, SessionPool, kline_topic, ticker_topic
from feeder.bybit.rest.results.orders import OrderAck
from feeder.errors import StreamAuthError, StreamError
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from tests.helpers.processes import until

SECONDS = 10.0


@dataclass
class Scene:
    sim: Simulator
    client: BybitClient
    seen: list[tuple[str, Any]] = field(default_factory=list)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, kind: str) -> Callable[[Any], None]:
        def take(event: Any) -> None:
            self.seen.append((kind, event))
            self.news.set()

        return take

    def private(self, **options: Any) -> PrivateStream:
        stream = PrivateStream(self.client, url=self.sim.websocket_url, **options)
        for kind in ("orders", "executions", "positions", "wallets", "resumed", "lost", "errors"):
            getattr(stream, kind).on(self.note(kind))
        return stream

    async def until(self, wanted: Callable[[], Any]) -> None:
        """Wait until it holds; something is told whenever it may."""
        async with asyncio.timeout(SECONDS):
            while not wanted():
                self.news.clear()
                await self.news.wait()

    def of(self, kind: str) -> list[Any]:
        return [event for each, event in self.seen if each == kind]

    async def buy(self, **options: Any) -> OrderAck:
        return (await self.client.place_order("linear", "BTCUSDT", "Buy", "Market", "0.01", **options)).result

    def fault(self, **entry: Any) -> None:
        self.sim.inject(parse_fault(entry))


@asynccontextmanager
async def scenes(**options: Any) -> AsyncIterator[Scene]:
    config = SimulatorConfig(symbols=3, **options)
    async with Simulator(config) as sim, SessionPool() as pool:
        yield Scene(sim, BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool, base_url=sim.rest_url))


async def test_an_order_is_told_with_its_fills_position_and_wallet() -> None:
    async with scenes() as scene, scene.private() as stream:
        await stream.ready()
        ack = await scene.buy()
        await scene.until(lambda: scene.of("wallets"))
        last = scene.of("orders")[-1]
        assert (last.order_id, last.order_status, last.category) == (ack.order_id, "Filled", "linear")
        fills = scene.of("executions")
        assert sum(fill.exec_qty for fill in fills) == last.cum_exec_qty == last.qty
        assert scene.of("positions")[-1].size == last.qty
        (row,) = (await scene.client.positions("linear", symbol="BTCUSDT")).result.entries
        assert (row.size, row.avg_price) == (last.qty, scene.of("positions")[-1].avg_price)
        wallet = (await scene.client.wallet_balance()).result.entries[0]
        balance = {coin.coin: coin.wallet_balance for coin in wallet.coins}["USDT"]
        assert {coin.coin: coin.wallet_balance for coin in scene.of("wallets")[-1].coins}["USDT"] == balance
        health = stream.health()
        assert (health.state, health.active, health.latency is not None) == ("live", 4, True)


async def test_accounts_see_their_own_only() -> None:
    other = ApiKey("other-account-key", DEFAULT_KEY.secret, account="other")
    async with scenes(keys=(DEFAULT_KEY, other)) as scene:
        mine = scene.private()
        client = BybitClient(other.key, other.secret, pool=scene.client._pool, base_url=scene.sim.rest_url)
        async with mine, PrivateStream(client, url=scene.sim.websocket_url) as theirs:
            theirs.orders.on(scene.note("theirs"))
            await mine.ready()
            await theirs.ready()
            await scene.buy()
            await client.place_order("linear", "BTCUSDT", "Sell", "Market", "0.02")
            await scene.until(lambda: scene.of("theirs") and scene.of("orders"))
            assert {order.side for order in scene.of("theirs")} == {"Sell"}
            assert {order.side for order in scene.of("orders")} == {"Buy"}


async def test_a_connection_that_is_cut_is_told_made_again_and_signed_in_on() -> None:
    async with scenes() as scene, scene.private() as stream:
        await stream.ready()
        scene.fault(fault="disconnect", category="private")
        await scene.until(lambda: scene.of("resumed") == [1, 2])
        scene.fault(fault="disconnect", category="private")
        await scene.until(lambda: scene.of("resumed") == [1, 2, 3])
        assert len(scene.of("lost")) == 2
        kinds = [kind for kind, _ in scene.seen if kind in ("resumed", "lost")]
        assert kinds == ["resumed", "lost", "resumed", "lost", "resumed"]
        await scene.buy()
        await scene.until(lambda: scene.of("wallets"))
        assert stream.health().reconnects == 2


async def test_a_half_open_connection_is_found_and_replaced() -> None:
    async with scenes() as scene, scene.private() as stream:
        await stream.ready()
        scene.fault(fault="half_open", category="private")
        await scene.until(lambda: len(scene.of("resumed")) == 2)
        assert "no pong" in scene.of("lost")[0]


async def test_a_key_that_is_wrong_is_told_at_once_and_shown_nowhere() -> None:
    async with scenes() as scene:
        client = BybitClient(
            "a-key-nobody-knows", DEFAULT_KEY.secret, pool=scene.client._pool, base_url=scene.sim.rest_url
        )
        async with PrivateStream(client, url=scene.sim.websocket_url) as stream:
            with pytest.raises(StreamAuthError, match="private-1: the venue refuses the key: ") as raised:
                await stream.ready()
            assert "a-key-nobody-knows" not in str(raised.value)
            assert stream.health().state == "auth refused"


async def test_a_key_revoked_in_mid_stream_is_told_and_the_stream_goes_on_trying() -> None:
    async with scenes() as scene, scene.private() as stream:
        await stream.ready()
        scene.fault(fault="revoke")
        await scene.until(lambda: any(isinstance(error, StreamAuthError) for error in scene.of("errors")))
        assert len(scene.of("lost")) == 1
        with pytest.raises(StreamAuthError):
            await stream.ready()


async def test_an_auth_refused_by_mistake_is_asked_again() -> None:
    async with scenes() as scene:
        scene.fault(fault="auth", ret_code=10004, times=1)
        async with scene.private() as stream:
            await scene.until(lambda: scene.of("resumed") == [1])
            assert [type(error) for error in scene.of("errors")] == [StreamAuthError]
            await stream.ready()


async def test_topics_come_and_go_while_it_runs() -> None:
    async with scenes() as scene, scene.private(topics=["wallet"]) as stream:
        await stream.ready()
        await scene.buy()
        await scene.until(lambda: scene.of("wallets"))
        assert scene.of("orders") == []
        stream.subscribe("order.linear")
        stream.unsubscribe("wallet")
        await stream.ready()
        await scene.buy()
        await scene.until(lambda: scene.of("orders"))
        assert stream.topics == ["order.linear"]


async def test_nobody_there_is_told_when_the_time_to_be_ready_is_over(unused_tcp_port: int) -> None:
    async with SessionPool() as pool:
        client = BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool)
        stream = PublicStream(
            "linear", client=client, url=f"ws://127.0.0.1:{unused_tcp_port}", topics=["tickers.BTCUSDT"]
        )
        async with stream:
            await until(lambda: "Connect" in stream._streams[0].down_reason, SECONDS, "the first failure")
            with pytest.raises(StreamError, match=r"linear: not ready within 0\.01 s: .*127\.0\.0\.1"):
                await stream.ready(0.01)
            assert stream.health().silent_seconds is None


async def test_tickers_and_bars_of_the_market_agree_with_rest() -> None:
    async with scenes(updates_per_second=200) as scene:
        topics = [ticker_topic("BTCUSDT"), kline_topic("BTCUSDT", "1"), "publicTrade.BTCUSDT"]
        async with PublicStream("linear", client=scene.client, url=scene.sim.websocket_url, topics=topics) as stream:
            stream.tickers.on(scene.note("ticker"))
            stream.klines.on(scene.note("bar"))
            stream.trades.on(scene.note("trade"))
            await stream.ready()
            await scene.until(lambda: len(scene.of("ticker")) > 3 and scene.of("bar") and scene.of("trade"))
            assert {ticker.mark_price is not None for ticker in scene.of("ticker")} == {True}
            bar = scene.of("bar")[0]
            rows = (await scene.client.klines("linear", "BTCUSDT", "1", start=bar.start, end=bar.start)).result.entries
            assert rows[0].open == bar.open


async def test_a_public_connection_that_is_cut_begins_tickers_with_a_snapshot() -> None:
    async with scenes() as scene:
        stream = PublicStream("linear", url=scene.sim.websocket_url, topics=[ticker_topic("BTCUSDT")])
        stream.tickers.on(scene.note("ticker"))
        stream.resumed.on(scene.note("resumed"))
        async with stream:
            await scene.until(lambda: scene.of("ticker"))
            scene.fault(fault="disconnect", category="linear")
            await scene.until(lambda: len(scene.of("resumed")) == 2)
            before = len(scene.of("ticker"))
            await scene.until(lambda: len(scene.of("ticker")) > before)
            assert all(ticker.last_price is not None for ticker in scene.of("ticker"))


async def test_closing_ends_iterators_and_leaves_nothing() -> None:
    async with scenes() as scene:
        await scene.client.server_time()  # the simulator has a task for each HTTP connection
        before = asyncio.all_tasks()
        stream = scene.private()
        async with stream:
            await stream.ready()
            events = stream.orders.events()
            await scene.buy()
            await scene.until(lambda: scene.of("wallets"))
        assert [order.order_status async for order in events][-1] == "Filled", "what came can still be taken"
        await stream.aclose()
        assert asyncio.all_tasks() == before
