"""A whole system on real sockets against the simulated venue: its life, failures to start, and trouble."""

import asyncio
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.streams.account_state import PositionKey
from feeder.bybit.system.events import EVENTS
from feeder.bybit.system.settings import SystemSettings
from feeder.bybit.system.system import BybitSystem
from feeder.bybit.system.system_status import Health, SystemStatus
from feeder.errors import ConfigError, ConnectError, FeederError, RestError, StreamAuthError, StreamError
from feeder.simulator.keys import DEFAULT_KEY
from tests.helpers.system_scene import BTC, FAST, SECONDS, Scene, running, scene

POSITION = PositionKey("linear", "BTCUSDT", 0)

__all__ = ["scene"]


def noted(error: BaseException) -> str:
    return "; ".join(getattr(error, "__notes__", []))


# Its life


async def test_a_system_trades_tells_of_everything_and_leaves_nothing(scene: Scene) -> None:
    system = scene.system(BTC)
    events = ("ticker", "trade", "book", "order", "fill", "position", "wallet")
    for event in events:
        system.on(event, scene.note(event))
    async with running(system):
        assert system.status().state == "running"
        await system.streams.orders.place_order("linear", "BTCUSDT", "Buy", "Market", "0.01")
        await scene.until(lambda: all(scene.of(event) for event in events))
        assert scene.of("fill")[0].symbol == "BTCUSDT"
        assert scene.of("position")[-1].size == system.streams.account.positions[POSITION].size
        health = await system.check_health()
        assert (health.healthy, scene.of("health_check")) == (True, [health])
        told = {event: type(scene.of(event)[0]).__name__ for event in (*events, "health_check")}
        assert told == {event: EVENTS[event].rpartition(": ")[2] for event in told}
        text = msgspec.json.encode(system.status()).decode()
        assert DEFAULT_KEY.key not in text
        assert DEFAULT_KEY.secret not in text
        status = msgspec.json.decode(text, type=SystemStatus)
        assert status.streams["private"].state == "live"
        assert status.order_entry is not None
        assert status.order_entry.state == "ready"
        assert status.account is not None
        assert status.account.reconciled
        assert status.rest.rates["/v5/order/create"].requests == 10
    assert system.status().state == "closed"
    assert not scene.of("error_occurred")
    await scene.nothing_is_left()
    await system.aclose()
    with pytest.raises(FeederError, match="the system is closed, and has one life; make another"):
        await system.start()
    with pytest.raises(RestError, match="closed"):
        await system.rest.server_time()


async def test_without_a_key_it_is_the_market_and_nothing_else(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    system.on("book", scene.note("book"))
    for event in ("order", "fill", "position", "wallet"):
        with pytest.raises(
            ConfigError, match=rf"features\.private: needs a key, without which there is never a {event}"
        ):
            system.on(event, print)
    with pytest.raises(ConfigError, match=r"features\.order_entry: is off, and the order entry with it"):
        _ = system.streams.orders
    async with running(system):
        await scene.until(lambda: scene.of("book"))
        assert system.status().account is None
    await scene.nothing_is_left()


async def test_with_all_switched_off_it_is_rest(scene: Scene) -> None:
    system = scene.system("features: {market: false, private: false, order_entry: false, health: false}\n")
    async with running(system):
        assert (await system.rest.wallet_balance()).result.entries
        for category in ("spot", "linear"):
            await system.rest.place_order(category, "BTCUSDT", "Buy", "Limit", "0.01", price="1000")
        rates = system.status().rest.rates
        assert [rates[f"/v5/order/create{of}"].requests for of in (" spot", "")] == [20, 10]
        with pytest.raises(ConfigError, match=r"features\.market: is off; switch it on"):
            _ = system.market
        assert scene.naps == []
    await scene.nothing_is_left()


async def test_a_public_stream_is_made_when_it_is_asked_for_and_closed_with_the_rest(scene: Scene) -> None:
    system = scene.system("websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n", key=False)
    async with running(system):
        linear = await system.streams.public("linear")
        assert linear is await system.streams.public("linear")
        assert linear.topics == ["kline.1.BTCUSDT"]
        spot = await system.streams.public("spot")
        spot.tickers.on(scene.note("spot ticker"))
        spot.subscribe("tickers.BTCUSDT")
        await scene.until(lambda: scene.of("spot ticker"))
        assert system.status().streams.keys() == {"linear", "spot"}
    await scene.nothing_is_left()
    with pytest.raises(FeederError, match="the system is closed"):
        await system.streams.public("linear")


async def test_one_that_was_never_started_has_a_status_and_leaves_nothing(scene: Scene) -> None:
    system = scene.system(BTC)

    async def later(_: object) -> None: ...

    system.on("fill", later)
    assert system.status().state == "new"
    await (await system.streams.public("linear")).ready()
    await system.rest.server_time()
    await system.aclose()
    await scene.nothing_is_left()
    with pytest.raises(FeederError, match="the system is closed"):
        await system.start()


def test_one_may_be_made_before_there_is_an_event_loop() -> None:
    environ = {"BYBIT_API_KEY": DEFAULT_KEY.key, "BYBIT_API_SECRET": DEFAULT_KEY.secret}
    system = BybitSystem(SystemSettings.load(environ=environ))
    system.on("fill", print)
    assert repr(system) == (
        "BybitSystem(new, SystemSettings(Settings(mainnet, with a key), private, order_entry, market, health, reload))"
    )


async def test_it_ends_in_order_whatever_its_parts_do(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    system = scene.system(BTC)
    closed: list[str] = []

    def watched(name: str, part: Any, error: Exception | None = None) -> None:
        aclose = part.aclose

        async def noting() -> None:
            closed.append(name)
            await aclose()
            if error is not None:
                raise error

        monkeypatch.setattr(part, "aclose", noting)

    watched("order entry", system.streams.orders, ValueError("of no importance"))
    watched("account", system.streams.account)
    watched("private stream", system.streams.private)
    watched("market", system.market)
    async with running(system):
        await system.streams.public("linear")
    assert closed == ["order entry", "account", "private stream", "market"]
    assert "order entry not closed as it should be: ValueError: of no importance" in caplog.text
    await scene.nothing_is_left()


async def test_a_callback_that_hangs_does_not_keep_it_from_ending(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("feeder.bybit.system.events._CLOSE_SECONDS", 0.01)
    system = scene.system(BTC, key=False)

    async def hangs(_: object) -> None:
        await asyncio.Event().wait()

    system.on("book", hangs)
    system.on("book", scene.note("book"))
    async with running(system):
        await scene.until(lambda: scene.of("book"))
    assert "callbacks still ran" in caplog.text
    await scene.nothing_is_left()


async def test_a_callback_that_raises_is_told_of_and_the_books_go_on(scene: Scene) -> None:
    system = scene.system(BTC, key=False)

    def fails(_: object) -> None:
        raise ValueError("mine")

    system.on("book", fails)
    system.on("book", scene.note("book"))
    async with running(system):
        await scene.until(lambda: len(scene.of("book")) >= 3)
    assert {str(each) for each in scene.of("error_occurred")} == {"callback of book: ValueError: mine"}


# Starts that fail


async def test_a_key_that_is_refused_fails_the_start_and_says_where(scene: Scene) -> None:
    system = scene.system(BTC, BYBIT_API_KEY="stranger", BYBIT_API_SECRET=DEFAULT_KEY.secret)
    with pytest.raises(StreamAuthError) as caught:
        await system.start()
    assert noted(caught.value) == "the system did not start: private stream"
    assert system.status().state == "closed"
    await scene.nothing_is_left()


async def test_a_venue_that_is_not_there_fails_the_start(scene: Scene) -> None:
    system = scene.system(BYBIT_BASE_URL="http://127.0.0.1:9", BYBIT_WEBSOCKET__URL="ws://127.0.0.1:9")
    with pytest.raises(ConnectError) as caught:
        await system.start()
    assert noted(caught.value) == "the system did not start: REST"
    await scene.nothing_is_left()


async def test_a_stream_that_does_not_come_up_fails_the_start_within_its_time(scene: Scene) -> None:
    system = scene.system("connection: {ready_seconds: 0.2}\n", BYBIT_WEBSOCKET__URL="ws://127.0.0.1:9")
    with pytest.raises(StreamError, match=r"private: not ready within 0\.2 s"):
        await system.start()
    await scene.nothing_is_left()


async def test_a_symbol_that_there_is_not_is_named_by_its_place(scene: Scene) -> None:
    system = scene.system("watch: [{category: linear, symbols: [BTCUSDT, NOSUCHUSDT]}]\n")
    with pytest.raises(ConfigError, match=r"watch\[0\]\.symbols\[1\]: .*NOSUCHUSDT"):
        await system.start()
    await scene.nothing_is_left()


async def test_each_part_has_the_time_of_the_settings_to_be_there(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system("connection: {ready_seconds: 7.5}\nwebsocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n")
    streams, given = system.streams, []

    def watched(part: Any) -> None:
        ready = part.ready

        async def noting(seconds: float) -> None:
            given.append(seconds)
            await ready(seconds)

        monkeypatch.setattr(part, "ready", noting)

    for part in (streams.each_public["linear"], streams.private, streams.account, streams.orders):
        watched(part)
    async with running(system):
        assert given == [7.5] * 4


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("websocket: {private_topics: [weather]}", r"websocket\.private_topics: weather: no topic of the private"),
        ("websocket: {public_topics: {spot: [x.BTCUSDT]}}", r"websocket\.public_topics\.spot: x\.BTCUSDT: no topic"),
    ],
)
async def test_a_topic_that_there_is_not_is_found_before_anything_is_opened(
    scene: Scene, content: str, told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        scene.system(content)


async def test_another_host_than_the_venues_needs_its_websocket_as_well(scene: Scene) -> None:
    del scene.environ["BYBIT_WEBSOCKET__URL"]
    with pytest.raises(ConfigError, match=r"websocket\.url: missing beside base_url http://127"):
        scene.system()


@pytest.mark.parametrize("turns", [0, 1, 2, 5, 10, 20, 40, 80, 120, 160, 200, 300, 450, 600, 800, 1000, 1200])
async def test_a_start_that_is_cancelled_leaves_nothing_wherever_it_was(scene: Scene, turns: int) -> None:
    system = scene.system(BTC)
    start = asyncio.create_task(system.start())
    for _ in range(turns):
        await asyncio.sleep(0)
    start.cancel()
    done, _ = await asyncio.wait((start,), timeout=SECONDS)
    assert done
    assert start.cancelled() or system.status().state == "running"
    await system.aclose()
    assert system.status().state == "closed"
    await scene.nothing_is_left()


async def test_who_closes_it_while_it_starts_ends_the_start(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    system = scene.system(BTC)
    reached = asyncio.Event()

    async def hangs(*_: object) -> None:
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(system.streams.orders, "ready", hangs)
    start = asyncio.create_task(system.start())
    await asyncio.wait_for(reached.wait(), SECONDS)
    await system.aclose()
    with pytest.raises(FeederError, match="the system was closed while it started"):
        await start
    await scene.nothing_is_left()


@pytest.mark.parametrize("turns", range(5))
async def test_who_closes_it_as_its_start_ends_has_it_closed(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, turns: int
) -> None:
    system = scene.system(key=False)
    rest_of_start, closing = system._health_loop.start, []

    async def close() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        await system.aclose()

    def start() -> None:  # the last that a start does
        rest_of_start()
        closing.append(asyncio.create_task(close()))

    monkeypatch.setattr(system._health_loop, "start", start)
    try:
        await system.start()
    except FeederError as error:
        assert str(error) == "the system was closed while it started"  # noqa: PT017 - it may as well have been in time
        assert system.status().state == "closed"
    await closing[0]
    assert system.status().state == "closed"
    await scene.nothing_is_left()


async def test_a_start_whose_end_nobody_saw_before_it_was_closed_is_no_start(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = scene.system(key=False)
    real = system._start

    async def start() -> None:
        await real()
        system._closing = asyncio.create_task(system._close())

    monkeypatch.setattr(system, "_start", start)
    with pytest.raises(FeederError, match="the system was closed while it started"):
        await system.start()
    assert system.status().state == "closed"
    await scene.nothing_is_left()


PARTS = {
    "rest.time_samples": "REST",
    "public.start": "linear stream",
    "public.ready": "linear stream",
    "market.start": "market",
    "market.watch": "market",
    "account.start": "account",
    "private.start": "private stream",
    "private.ready": "private stream",
    "account.ready": "account",
    "orders.start": "order entry",
    "orders.ready": "order entry",
}


@pytest.mark.parametrize("where", PARTS)
async def test_a_start_that_fails_anywhere_names_the_part_and_leaves_nothing(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    system = scene.system(BTC + "websocket: {public_topics: {linear: [kline.1.BTCUSDT]}}\n")
    part, _, method = where.partition(".")
    streams = system.streams
    parts: dict[str, Any] = {"rest": BybitClient, "public": streams.each_public["linear"], "market": system.market}

    async def fails(*_: object, **__: object) -> None:
        raise StreamError("does not come up")

    monkeypatch.setattr(parts[part] if part in parts else getattr(streams, part), method, fails)
    with pytest.raises(StreamError, match="does not come up") as caught:
        await system.start()
    assert noted(caught.value) == f"the system did not start: {PARTS[where]}"
    assert system.status().state == "closed"
    await scene.nothing_is_left()


async def test_callbacks_may_close_it(scene: Scene) -> None:
    system = scene.system(BTC)
    closed, begun, go_on = [], asyncio.Event(), asyncio.Event()

    async def first(_: object) -> None:
        begun.set()
        await go_on.wait()
        await system.aclose()
        closed.append(system.status().state)

    system.on("health_check", first)
    await system.start()
    await system.check_health()
    await asyncio.wait_for(begun.wait(), SECONDS)
    go_on.set()
    await scene.until(lambda: closed)
    assert closed == ["closed"]
    await scene.nothing_is_left()


async def test_a_callback_that_closes_it_while_it_is_closed_does_not_wait_for_itself(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    system = scene.system(BTC)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def closes(_: object) -> None:
        begun.set()
        await go_on.wait()
        await system.aclose()

    system.on("health_check", closes)
    await system.start()
    await system.check_health()
    await asyncio.wait_for(begun.wait(), SECONDS)
    end = asyncio.create_task(system.aclose())
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.wait_for(end, SECONDS)
    assert "callbacks still ran" not in caplog.text
    await scene.nothing_is_left()


async def test_an_end_goes_on_when_whoever_waits_for_it_is_cancelled(scene: Scene) -> None:
    system = scene.system(BTC)
    await system.start()
    end = asyncio.create_task(system.aclose())
    for _ in range(3):
        await asyncio.sleep(0)
        end.cancel()
    await asyncio.wait((end,), timeout=SECONDS)
    assert end.cancelled()
    assert system.status().state == "closed"
    await scene.nothing_is_left()


# Trouble


async def test_a_key_revoked_in_mid_stream_is_told_and_the_market_goes_on(scene: Scene) -> None:
    system = scene.system(BTC + FAST)
    system.on("ticker", scene.note("ticker"))
    async with running(system):
        scene.fault(fault="revoke")
        await scene.until(
            lambda: {"private stream", "order entry"} <= {each.source for each in scene.of("error_occurred")}
        )
        assert any(isinstance(each.error, StreamAuthError) for each in scene.of("error_occurred"))
        before = len(scene.of("ticker"))
        await scene.until(lambda: len(scene.of("ticker")) > before)
        health = await system.check_health()
        kinds = {(finding.kind, finding.where) for finding in health.findings}
        assert {("stream_down", "private"), ("stream_down", "order entry")} <= kinds
        assert ("account_not_reconciled", "account") in kinds
    await scene.nothing_is_left()


async def test_connections_that_are_cut_are_findings_until_they_are_back(scene: Scene) -> None:
    system = scene.system(BTC + FAST)
    system.on("fill", scene.note("fill"))
    async with running(system):
        await scene.until(lambda: system.market.quality("linear", "BTCUSDT").score)
        assert (await system.check_health()).healthy
        await scene.sim.drop_connections()
        await scene.until(lambda: system.status().streams["private"].state != "live")
        health: Health = await system.check_health()
        assert ("stream_down", "private") in {(finding.kind, finding.where) for finding in health.findings}
        await system.rest.place_order("linear", "BTCUSDT", "Buy", "Market", "0.01")
        account = system.streams.account
        await scene.until(lambda: scene.of("fill") and account.is_reconciled)
        await scene.until(lambda: system.market.quality("linear", "BTCUSDT").score)
        await scene.until(lambda: system.streams.orders.health().state == "ready")
        bought = sum(fill.exec_qty for fill in scene.of("fill"))
        assert bought == account.positions[POSITION].size
        assert (await system.check_health()).findings == [], "an interruption alone is remembered, and no finding"


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "order_entry", "how": "lost", "op": "order.create", "times": 1},
        {"fault": "rest", "how": "lost", "path": "/v5/order/create", "times": 1},
    ],
    ids=["socket", "rest"],
)
async def test_an_order_whose_answer_is_lost_is_found_by_its_error(scene: Scene, fault: dict[str, Any]) -> None:
    system = scene.system(FAST)
    async with running(system):
        scene.fault(**fault)
        way = system.streams.orders if fault["fault"] == "order_entry" else system.rest
        with pytest.raises(RestError) as caught:
            await way.place_order("linear", "BTCUSDT", "Buy", "Limit", "0.01", price="1000")
        assert caught.value.unknown_outcome
        order = await system.streams.account.outcome(caught.value)
        assert order is not None
        assert (order.order_link_id, order.order_status) == (caught.value.order_link_id, "New")


async def test_a_venue_that_stops_answering_is_a_finding(scene: Scene) -> None:
    system = scene.system(BTC, key=False)
    async with running(system):
        scene.fault(fault="rest", how=503, path="/v5/market/time", seconds=60)
        health = await system.check_health()
        assert {finding.kind for finding in health.findings} >= {"rest_down", "rest_errors"}
