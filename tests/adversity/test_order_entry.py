"""Order entry before venues that do everything wrong, on real sockets: one outcome for each order, none sent twice."""

import asyncio
import json
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from feeder.bybit import CancelRequest, OrderRequest, batch_outcome
from feeder.bybit.pacing import Timing
from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool, Timeouts
from feeder.bybit.streams import order_entry
from feeder.bybit.streams.order_entry import OrderEntry
from feeder.bybit.streams.order_entry_link import LateAck
from feeder.errors import (
    AuthError,
    BalanceError,
    BudgetError,
    ClockError,
    ConnectError,
    ParameterError,
    RateLimitedError,
    ReplyError,
    ReplyTimeoutError,
    RestError,
    StreamAuthError,
    StreamError,
    TransportError,
)
from tests.helpers.processes import until
from tests.helpers.secrets import API_KEY, API_SECRET
from tests.helpers.trade_venue import TradeSocket, TradeVenue, accepted, polite, refused, trade_venue

HASTE = Timeouts(turn=5.0, connect=0.3, answer=0.3)
"""Where it is a time-out that ends a request: on a busy machine others must not end so."""
PATIENCE = Timeouts()


@pytest.fixture(autouse=True)
def every_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No task outlives a test."""
    before = asyncio.all_tasks()
    yield
    assert asyncio.all_tasks() - before <= {asyncio.current_task()}


async def no_pause(_seconds: float) -> None:
    """Before a request is sent again."""
    await asyncio.sleep(0)


@asynccontextmanager
async def desk(
    venue: TradeVenue, *, timeouts: Timeouts = PATIENCE, timing: Timing | None = None, **more: Any
) -> AsyncIterator[OrderEntry]:
    """Order entry with a key on a pool of its own."""
    async with SessionPool(timeouts=timeouts, **more) as pool:
        client = BybitClient(API_KEY, API_SECRET, pool=pool, base_url=venue.rest_url)
        async with OrderEntry(client, url=venue.url, timing=timing) as entry:
            yield entry


async def place(entry: OrderEntry, name: str | None = None) -> Any:
    return await entry.place_order("linear", "BTCUSDT", "Buy", "Limit", "0.1", price="50000", order_link_id=name)


async def failure(entry: OrderEntry, name: str | None = None) -> RestError:
    with pytest.raises(RestError) as caught:
        await place(entry, name)
    assert API_KEY not in str(caught.value)
    return caught.value


def names(venue: TradeVenue) -> list[str]:
    """The orderLinkId of each request that came."""
    return [asked["args"][0]["orderLinkId"] for asked in venue.asked]


async def silent(_socket: TradeSocket, _asked: dict[str, Any]) -> None:
    """Answers nothing."""


async def cutting(socket: TradeSocket, _asked: dict[str, Any]) -> None:
    """Breaks the line instead of an answer."""
    socket.cut()


async def test_all_six_requests_go_as_the_venue_documents_them_and_answer_as_rest_does():
    async with trade_venue() as venue, desk(venue) as entry:
        await entry.ready()
        placed = await place(entry, "mine")
        await entry.amend_order("linear", "BTCUSDT", order_link_id="mine", qty="0.2")
        await entry.cancel_order("linear", "BTCUSDT", order_link_id="mine")
        order = OrderRequest("BTCUSDT", "Buy", "Limit", "1", price="2", order_link_id="one")
        batch = await entry.place_orders("linear", [order, order])
        await entry.cancel_orders("linear", [CancelRequest("BTCUSDT", order_link_id="one")])
        assert placed.result.order_link_id == "mine"
        assert [each.code for each in batch_outcome(batch)] == [0, 0]
        assert [asked["op"] for asked in venue.asked] == [
            "order.create",
            "order.amend",
            "order.cancel",
            "order.create-batch",
            "order.cancel-batch",
        ]
        assert venue.asked[0]["args"] == [
            {
                "category": "linear",
                "symbol": "BTCUSDT",
                "side": "Buy",
                "orderType": "Limit",
                "qty": "0.1",
                "price": "50000",
                "orderLinkId": "mine",
            }
        ]
        health = entry.health()
        assert (health.state, health.sent, health.answered, health.in_flight) == ("ready", 5, 5, 0)
        assert health.round_trips is not None
        assert health.round_trips.count == 5


async def test_a_batch_that_half_fails_tells_which_half():
    async def half(socket: TradeSocket, asked: dict[str, Any]) -> None:
        verdicts = [{"code": 0, "msg": "OK"}, {"code": 110007, "msg": "ab not enough for new order"}]
        await socket.say(accepted(asked, retExtInfo={"list": verdicts}))

    async with trade_venue(half) as venue, desk(venue) as entry:
        orders = [OrderRequest("BTCUSDT", "Buy", "Limit", "1", price="2", order_link_id=name) for name in "ab"]
        first, second = batch_outcome(await entry.place_orders("linear", orders))
        assert (first.code, second.code) == (0, 110007)
        assert second.order.order_link_id == "b"


@pytest.mark.parametrize("more", [{"qty": 0.1}, {"qty": ""}, {"order_link_id": "a b"}])
async def test_a_wrong_parameter_sends_nothing(more):
    async with trade_venue() as venue, desk(venue) as entry:
        await entry.ready()
        order: dict[str, Any] = {"qty": "1"} | more
        with pytest.raises(ParameterError):
            await entry.place_order("linear", "BTCUSDT", "Buy", "Market", **order)
        assert venue.asked == []


async def test_a_client_without_a_key_and_demo_have_no_order_entry():
    async with SessionPool() as pool:
        for client in (
            BybitClient(pool=pool),
            BybitClient(API_KEY, API_SECRET, demo=True, pool=pool),
            BybitClient(API_KEY, API_SECRET, base_url="http://127.0.0.1:1", pool=pool),
        ):
            with pytest.raises(ParameterError):
                OrderEntry(client)


async def test_a_socket_that_dies_after_the_order_went_leaves_its_outcome_unknown_and_it_is_never_sent_again():
    async with trade_venue(cutting) as venue, desk(venue) as entry:
        error = await failure(entry)
        assert isinstance(error, TransportError)
        assert not isinstance(error, ConnectError)
        assert error.unknown_outcome
        assert not error.retriable
        assert names(venue) == [error.order_link_id]
        venue.react = polite
        await entry.ready()
        await place(entry, "next")
        assert names(venue) == [error.order_link_id, "next"]
        assert entry.health().reconnects == 1


async def test_a_cancel_with_an_unknown_outcome_is_not_sent_again_either():
    async with trade_venue(cutting) as venue, desk(venue) as entry:
        with pytest.raises(TransportError) as caught:
            await entry.cancel_order("linear", "BTCUSDT", order_link_id="mine")
        assert caught.value.unknown_outcome
        await entry.ready()
        assert len(venue.asked) == 1


async def test_a_batch_with_an_unknown_outcome_names_all_its_orders():
    async with trade_venue(cutting) as venue, desk(venue) as entry:
        with pytest.raises(TransportError) as caught:
            await entry.place_orders("linear", [OrderRequest("BTCUSDT", "Buy", "Market", "1") for _ in range(3)])
        sent = [order["orderLinkId"] for order in venue.asked[0]["args"][0]["request"]]
        assert list(caught.value.order_link_ids) == sent


async def test_an_order_without_a_connection_waits_for_one():
    async with trade_venue() as venue, desk(venue) as entry:
        await entry.ready()
        venue.sockets[0].cut()
        await until(lambda: entry.health().state != "ready", 5, "the loss")
        await place(entry, "waited")
        assert names(venue) == ["waited"]
        assert venue.connections == 2


async def test_an_order_that_waited_too_long_for_a_connection_was_surely_not_sent():
    async with trade_venue() as venue, desk(venue, timeouts=HASTE) as entry:
        await entry.ready()
        venue.refuse_connections = True
        venue.sockets[0].cut()
        await until(lambda: entry.health().state == "down", 5, "the loss")
        error = await failure(entry, "never")
        assert isinstance(error, ConnectError)
        assert not error.unknown_outcome
        assert "not sent" in str(error)
        assert error.order_link_id == "never"
        venue.refuse_connections = False
        await entry.ready()
        assert venue.asked == []


async def test_no_answer_in_time_is_an_unknown_outcome_and_the_late_answer_is_told():
    held: list[tuple[TradeSocket, dict[str, Any]]] = []

    async def holding(socket: TradeSocket, asked: dict[str, Any]) -> None:
        held.append((socket, asked))

    async with trade_venue(holding) as venue, desk(venue, timeouts=HASTE) as entry:
        late: list[LateAck] = []
        entry.late_acks.on(late.append)
        error = await failure(entry, "slow")
        assert isinstance(error, ReplyTimeoutError)
        assert error.unknown_outcome
        ((socket, asked),) = held
        await socket.say(accepted(asked))
        await until(lambda: bool(late), 5, "the late answer")
        assert late[0].order_link_ids == ("slow",)
        assert late[0].outcome.result.order_id == "id-slow"
        assert entry.health().late_acks == 1
        assert venue.connections == 1


async def test_a_caller_that_is_cancelled_leaves_nothing_behind_and_the_outcome_is_told():
    async with trade_venue(silent) as venue, desk(venue) as entry:
        late: list[LateAck] = []
        entry.late_acks.on(late.append)
        task = asyncio.create_task(place(entry))
        await until(lambda: bool(venue.asked), 5, "the order")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await venue.sockets[0].say(accepted(venue.asked[0]))
        await until(lambda: bool(late), 5, "the late answer")
        assert list(late[0].order_link_ids) == names(venue)
        assert entry.health().in_flight == 0


async def test_a_caller_that_is_cancelled_as_its_answer_comes_loses_no_outcome():
    async with trade_venue(silent) as venue, desk(venue) as entry:
        late: list[LateAck] = []
        entry.late_acks.on(late.append)
        task = asyncio.create_task(place(entry, "raced"))
        await until(lambda: bool(venue.asked), 5, "the order")
        # Both in one turn of the loop, the answer first.
        entry._link.on_payload(json.dumps(accepted(venue.asked[0])).encode(), 0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert [each.order_link_ids for each in late] == [("raced",)]


async def test_a_caller_that_is_cancelled_before_its_order_went_sends_nothing():
    async with trade_venue() as venue, desk(venue) as entry:
        venue.auth_answers = [None]
        task = asyncio.create_task(place(entry))
        await until(lambda: bool(venue.signed_in), 5, "auth")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert venue.asked == []
        assert entry.health().sent == 0


async def test_answers_in_any_order_twice_and_to_nobody_find_their_callers():
    async def shuffled(socket: TradeSocket, asked: dict[str, Any]) -> None:
        if len(venue.asked) < 5:
            return
        for each in reversed(venue.asked):
            await socket.say(accepted(each))
            await socket.say(refused(each, 110007))
            await socket.say(accepted(each, reqId="nobody"))

    async with trade_venue(shuffled) as venue, desk(venue) as entry:
        errors: list[Exception] = []
        entry.errors.on(errors.append)
        replies = await asyncio.gather(*(place(entry, f"n-{number}") for number in range(5)))
        assert [reply.result.order_link_id for reply in replies] == [f"n-{number}" for number in range(5)]
        await until(lambda: entry.health().unmatched == 10, 5, "the others")
        assert all(isinstance(error, StreamError) for error in errors)


@pytest.mark.parametrize(
    "garbage", ["", "{", "[1, 2]", "null", '{"retCode": "x"}', "x" * 1_000_000, '{"a":' * 10_000], ids=len
)
async def test_garbage_before_the_answer_costs_nothing(garbage):
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await socket.say(garbage)
        await socket.say(accepted(asked))

    async with trade_venue(react) as venue, desk(venue) as entry:
        await place(entry)
        assert entry.health().decode_errors == 1
        assert venue.connections == 1


async def test_an_answer_larger_than_any_true_one_costs_the_connection_and_the_outcome():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        socket.begin(9 << 20)  # and does not end it: by its length alone it is none

    async with trade_venue(react) as venue, desk(venue) as entry:
        assert (await failure(entry)).unknown_outcome
        assert len(venue.asked) == 1


async def test_an_answer_about_another_order_is_no_proof_of_this_one():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await socket.say(accepted(asked, data={"orderId": "1", "orderLinkId": "another"}))

    async with trade_venue(react) as venue, desk(venue) as entry:
        error = await failure(entry)
        assert isinstance(error, ReplyError)
        assert error.unknown_outcome


async def test_a_refused_order_is_the_error_of_its_code_and_sent_once():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await socket.say(refused(asked, 110007, f"ab not enough, {API_KEY}"))

    async with trade_venue(react) as venue, desk(venue) as entry:
        error = await failure(entry)
        assert isinstance(error, BalanceError)
        assert not error.unknown_outcome
        assert len(venue.asked) == 1
        assert entry.health().rejected == 1


async def test_too_many_requests_are_sent_again_when_the_venue_says_so():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await socket.say(refused(asked, 10006) if len(venue.asked) < 3 else accepted(asked))

    async with trade_venue(react) as venue, desk(venue, sleep=no_pause) as entry:
        await place(entry, "mine")
        assert names(venue) == ["mine"] * 3
        assert len({asked["reqId"] for asked in venue.asked}) == 3


async def test_a_wrong_clock_is_measured_anew_once():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        stamp = int(asked["header"]["X-BAPI-TIMESTAMP"])
        stamps.append(stamp)
        await socket.say(refused(asked, 10002) if stamp < min(stamps) + 50_000 else accepted(asked))

    stamps: list[int] = []
    async with trade_venue(react) as venue, desk(venue, sleep=no_pause) as entry:
        await entry.ready()
        venue.skew_seconds = 100.0
        await place(entry)
        assert len(stamps) == 2
        venue.react = lambda socket, asked: socket.say(refused(asked, 10002))
        assert isinstance(await failure(entry), ClockError)
        assert len(venue.asked) == 4


async def test_a_restart_of_the_venue_moves_the_order_to_a_new_connection():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        restarting = venue.connections == 1
        await socket.say(refused(asked, 10019, "ws trade service is restarting") if restarting else accepted(asked))

    async with trade_venue(react) as venue, desk(venue) as entry:
        await place(entry, "mine")
        assert names(venue) == ["mine", "mine"]
        assert venue.connections == 2


async def test_a_refused_key_is_told_to_all_who_wait_and_tried_again():
    async with trade_venue() as venue:
        venue.auth_answers = [{"retCode": 10004, "retMsg": f"error sign! {API_KEY}"}]
        async with desk(venue) as entry:
            errors: list[Exception] = []
            entry.errors.on(errors.append)
            order = asyncio.create_task(failure(entry))
            with pytest.raises(StreamAuthError, match="10004") as caught:
                await entry.ready()
            assert API_KEY not in str(caught.value)
            told = await order
            assert isinstance(told, AuthError)
            assert told.ret_code == 10004
            assert isinstance(await failure(entry), AuthError)  # at once, while it stays so
            assert entry.health().state == "refused"
            assert any(isinstance(error, StreamAuthError) for error in errors)
            venue.auth_answers = [{"retCode": 0, "retMsg": "OK"}]
            await until(lambda: entry.health().state == "ready", 10, "the next attempt")
            await place(entry)


async def test_a_key_that_is_revoked_in_mid_stream_is_told_and_signs_in_when_it_is_good_again():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await socket.say(refused(asked, 10003, "API key is invalid."))

    async with trade_venue() as venue, desk(venue) as entry:
        lost: list[str] = []
        resumed: list[int] = []
        entry.lost.on(lost.append)
        entry.resumed.on(resumed.append)
        await entry.ready()
        venue.react = react
        venue.auth_answers = [{"retCode": 10003, "retMsg": "API key is invalid."}]
        assert isinstance(await failure(entry), AuthError)
        await until(lambda: entry.health().state == "refused", 5, "the refusal")
        with pytest.raises(StreamAuthError):
            await entry.ready()
        assert len(lost) == 1
        venue.auth_answers = [{"retCode": 0, "retMsg": "OK"}]
        venue.react = polite
        await until(lambda: entry.health().state == "ready", 10, "the next attempt")
        assert resumed == [1, 2]


async def test_a_key_that_is_refused_out_of_the_blue_is_why_it_was_lost():
    async with trade_venue() as venue, desk(venue) as entry:
        lost: list[str] = []
        entry.lost.on(lost.append)
        await entry.ready()
        venue.auth_answers = [{"retCode": 10003, "retMsg": "API key is invalid."}]
        await venue.sockets[0].say({"op": "auth"} | venue.auth_answers[0])
        await until(lambda: len(venue.signed_in) == 2, 10, "the next attempt")
        await until(lambda: entry.health().state == "refused", 10, "its refusal")
        assert lost == ["auth refused"]


async def test_order_entry_is_never_ready_while_auth_is_not_answered():
    async with trade_venue() as venue, desk(venue) as entry:
        venue.auth_answers = [None]
        with pytest.raises(StreamError, match=r"not ready within 0\.1 s: signing in"):
            await entry.ready(0.1)


async def test_the_limit_of_the_key_is_one_for_socket_and_rest_and_a_long_wait_is_refused():
    async with trade_venue() as venue, desk(venue, timeouts=Timeouts(turn=0.2)) as entry:
        await entry.ready()
        outcomes = await asyncio.gather(*(place(entry) for _ in range(13)), return_exceptions=True)
        refusals = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        assert len(venue.asked) == 10
        assert len(refusals) == 3
        assert all(isinstance(error, BudgetError) and not error.unknown_outcome for error in refusals)
        with pytest.raises(BudgetError):
            await entry._client.place_order("linear", "BTCUSDT", "Buy", "Market", "1")


async def test_what_the_venue_says_of_the_limit_is_learned():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        header = {"X-Bapi-Limit": "40", "X-Bapi-Limit-Status": "39", "X-Bapi-Limit-Reset-Timestamp": "1711001595208"}
        await socket.say(accepted(asked, header=header))

    async with trade_venue(react) as venue, desk(venue, timeouts=Timeouts(turn=0.2)) as entry:
        await place(entry)
        outcomes = await asyncio.gather(*(place(entry) for _ in range(30)), return_exceptions=True)
        assert not any(isinstance(outcome, BaseException) for outcome in outcomes)


async def test_http_403_does_not_bar_the_socket():
    async with trade_venue() as venue, desk(venue) as entry:
        await entry.ready()
        entry._pool.bar()
        await asyncio.gather(*(place(entry) for _ in range(11)))  # one of them waits for its turn
        assert len(venue.asked) == 11


async def test_what_the_venue_has_too_much_of_waits_until_it_says():
    async def react(socket: TradeSocket, asked: dict[str, Any]) -> None:
        reset = str(time.time_ns() // 10**6 + 5000)
        header = {"X-Bapi-Limit": "10", "X-Bapi-Limit-Status": "0", "X-Bapi-Limit-Reset-Timestamp": reset}
        await socket.say(refused(asked, 10006, header=header))

    async with trade_venue(react) as venue, desk(venue, timeouts=Timeouts(turn=2.0)) as entry:
        error = await failure(entry)
        assert isinstance(error, RateLimitedError)
        assert 3 < error.retry_after_seconds <= 5.1
        assert isinstance(await failure(entry), BudgetError)
        assert len(venue.asked) == 1


async def test_a_connection_that_goes_while_an_order_waits_for_its_turn_costs_it_nothing(
    monkeypatch: pytest.MonkeyPatch,
):
    turn = BybitClient.socket_turn

    async def cut_meanwhile(client: BybitClient, *args: Any) -> Any:
        if venue.connections == 1:
            venue.sockets[0].cut()
            await until(lambda: entry.health().state != "ready", 5, "the loss")
        return await turn(client, *args)

    monkeypatch.setattr(BybitClient, "socket_turn", cut_meanwhile)
    async with trade_venue() as venue, desk(venue) as entry:
        await entry.ready()
        await place(entry, "mine")
        assert names(venue) == ["mine"]
        assert venue.connections == 2


async def test_a_refused_key_has_the_venue_s_clock_measured_anew():
    async with trade_venue() as venue:
        venue.auth_answers = [{"retCode": 10004, "retMsg": "error sign!"}, {"retCode": 0, "retMsg": "OK"}]
        async with desk(venue) as entry:
            await until(lambda: entry.health().state == "ready", 10, "the next attempt")
            assert entry._pool.counters.clock_measurements == 2


async def test_orders_over_the_socket_take_nothing_of_what_http_may_send():
    async with trade_venue() as venue, desk(venue, requests=5, timeouts=Timeouts(turn=0.2)) as entry:
        await asyncio.gather(*(place(entry) for _ in range(9)))
        assert len(venue.asked) == 9


async def test_a_line_that_went_dead_is_left_within_seconds_and_its_orders_are_unknown():
    timing = Timing(silence=0.05, probe_deadline=0.1)
    async with trade_venue(silent) as venue, desk(venue, timing=timing) as entry:
        await entry.ready()
        venue.deaf = True
        assert (await failure(entry)).unknown_outcome
        venue.deaf = False
        venue.react = polite
        await until(lambda: entry.health().state == "ready", 10, "another connection")


async def test_closing_waits_for_the_answer_to_what_was_sent():
    async def slow(socket: TradeSocket, asked: dict[str, Any]) -> None:
        await asyncio.sleep(0.05)
        await socket.say(accepted(asked))

    async with trade_venue(slow) as venue:
        async with desk(venue) as entry:
            order = asyncio.create_task(place(entry, "last"))
            await until(lambda: bool(venue.asked), 5, "the order")
        assert (await order).result.order_link_id == "last"
        error = await failure(entry)
        assert isinstance(error, ConnectError)
        assert "closed" in str(error)


async def test_an_order_that_comes_while_order_entry_closes_is_not_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(order_entry, "_CLOSE_SECONDS", 1000.0)  # it closes as soon as there is nothing to wait for
    async with trade_venue(silent) as venue, desk(venue) as entry:
        first = asyncio.create_task(failure(entry, "first"))
        await until(lambda: bool(venue.asked), 5, "the order")
        closing = asyncio.create_task(entry.aclose())
        await until(lambda: entry.health().state == "closed", 5, "its beginning")
        with pytest.raises(StreamError, match="it is closed"):
            await entry.ready()
        assert isinstance(await failure(entry, "second"), ConnectError)
        await venue.sockets[0].say(refused(venue.asked[0], 110007))
        await closing
        assert isinstance(await first, BalanceError)
        assert names(venue) == ["first"]


async def test_closing_ends_those_who_wait_and_says_what_is_unknown():
    async with trade_venue(silent) as venue:
        async with desk(venue) as entry:
            sent = asyncio.create_task(failure(entry))
            await until(lambda: bool(venue.asked), 5, "the order")
            venue.auth_answers = [None]
        assert (await sent).unknown_outcome
        with pytest.raises(StreamError, match="closed"):
            await entry.ready()


async def test_closing_is_no_loss_and_measures_no_clock_any_more(monkeypatch: pytest.MonkeyPatch):
    async with trade_venue() as venue, desk(venue) as entry:
        lost: list[str] = []
        entry.lost.on(lost.append)
        await entry.ready()
        close = entry._stream.aclose

        async def refused_meanwhile() -> None:
            entry.on_error(StreamAuthError("no"))
            await close()

        monkeypatch.setattr(entry._stream, "aclose", refused_meanwhile)
        before = asyncio.all_tasks()
        await entry.aclose()
        assert lost == []
        assert asyncio.all_tasks() <= before


async def test_a_start_that_was_cut_short_may_be_tried_again(monkeypatch: pytest.MonkeyPatch):
    async with trade_venue() as venue, SessionPool() as pool:
        client = BybitClient(API_KEY, API_SECRET, pool=pool, base_url=venue.rest_url)
        entry = OrderEntry(client, url=venue.url)
        with monkeypatch.context() as patch:
            patch.setattr(BybitClient, "keep_time", lambda _self: asyncio.Event().wait())
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.01):
                    await entry.start()
        await entry.start()
        await entry.ready()
        await entry.aclose()


async def test_closing_ends_those_who_wait_even_if_the_socket_does_not_end(monkeypatch: pytest.MonkeyPatch):
    async with trade_venue(silent) as venue, desk(venue) as entry:
        sent = asyncio.create_task(failure(entry))
        await until(lambda: bool(venue.asked), 5, "the order")
        with monkeypatch.context() as patch:
            patch.setattr(entry._stream, "aclose", lambda: asyncio.sleep(0))
            await entry.aclose()
            await asyncio.sleep(0)
            assert sent.done()
        assert (await sent).unknown_outcome


async def test_closing_ends_those_who_wait_for_a_connection():
    async with trade_venue() as venue:
        venue.auth_answers = [None]
        async with desk(venue) as entry:
            waiting = asyncio.create_task(failure(entry))
            await until(lambda: bool(venue.signed_in), 5, "auth")
        assert isinstance(await waiting, ConnectError)
        assert venue.asked == []


async def test_before_the_start_nothing_is_sent_and_the_error_says_so():
    async with trade_venue() as venue, SessionPool() as pool:
        entry = OrderEntry(BybitClient(API_KEY, API_SECRET, pool=pool, base_url=venue.rest_url), url=venue.url)
        assert "not started" in str(await failure(entry))
        with pytest.raises(StreamError, match=r"it is not started; use `async with`, or call start\(\)$"):
            await entry.ready(1000)
        await entry.aclose()
        for again in (entry.start, entry.ready):
            with pytest.raises(StreamError, match=r"/v5/trade: it is closed, and has one life; make another$"):
                await again()


async def test_what_a_callback_raises_is_reported_and_stops_nothing():
    async with trade_venue() as venue, desk(venue) as entry:
        errors: list[Exception] = []
        entry.errors.on(errors.append)
        entry.resumed.on(lambda number: 1 // 0)
        await place(entry)
        assert any(isinstance(error, ZeroDivisionError) for error in errors)


async def test_orders_at_random_cuts_have_one_outcome_each_and_reach_the_venue_once():
    async def moody(socket: TradeSocket, asked: dict[str, Any]) -> None:
        match len(venue.asked) % 7:
            case 3:
                socket.cut()
            case 5:
                await socket.say(accepted(asked))
                socket.cut()
            case _:
                await socket.say(accepted(asked))

    async with trade_venue(moody) as venue, desk(venue) as entry:
        outcomes = {}

        async def one(name: str) -> None:
            try:
                outcomes[name] = await place(entry, name)
            except RestError as error:
                outcomes[name] = error

        for turn in range(6):
            await asyncio.gather(*(one(f"{turn}-{number}") for number in range(3)))
        arrived = names(venue)
        assert len(arrived) == len(set(arrived))
        assert len(outcomes) == 18
        for name, outcome in outcomes.items():
            if isinstance(outcome, RestError):
                assert outcome.unknown_outcome or isinstance(outcome, ConnectError)
                assert outcome.unknown_outcome or name not in arrived
            else:
                assert name in arrived
