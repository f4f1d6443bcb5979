"""Who hears what of which account, and what goes wrong on the way, without sockets."""

from typing import Any

import pytest

from feeder.clock import ManualClock
from feeder.simulator.keys import DEFAULT_KEY, ApiKey
from feeder.simulator.private_faults import SocketFaults
from feeder.simulator.private_streams import PrivateStreams
from feeder.simulator.rest_auth import Authenticator
from feeder.simulator.script import parse_fault
from feeder.simulator.script_sockets import Auth, Private
from tests.unit.simulator.private_clients import SignedClient, Teller

OTHER = ApiKey("other-key", "other-secret", account="2")
SECOND = ApiKey("second-key", "second-secret", account="1")


class Scene:
    def __init__(self) -> None:
        self.clock = ManualClock()
        self.teller = Teller()
        self.authenticator = Authenticator((DEFAULT_KEY, OTHER, SECOND), self.clock)
        self.faults = SocketFaults(self.clock)
        self.begun = 0
        self.streams = PrivateStreams(
            self.teller.listen,
            self.authenticator,
            self.faults,
            self._begin,
            1,
            self.clock,
        )

    def client(self, *topics: str, key: ApiKey = DEFAULT_KEY, query: str = "") -> SignedClient:
        client = SignedClient(self.streams, self.clock, query)
        assert client.log_in(key)["success"]
        if topics:
            client.subscribe(*topics)
        return client

    def tell(self, topic: str, number: int, account: str = "1", category: str = "linear") -> None:
        symbol = {"symbol": "BTCUSDT"} if category != "option" else {"symbol": "BTC-29DEC26-60000-C"}
        self.teller.tell(account, topic, category, symbol | {"number": number, "execType": "Trade"})

    def inject(self, **entry: Any) -> None:
        fault = parse_fault(entry)
        assert isinstance(fault, Auth | Private)
        self.faults.add(fault)

    def _begin(self) -> None:
        self.begun += 1


@pytest.fixture
def scene() -> Scene:
    return Scene()


def _numbers(client: SignedClient, topic: str = "order") -> list[int]:
    return [message["data"][0]["number"] for message in client.take() if message["topic"] == topic]


def test_each_account_hears_only_of_itself_on_all_of_its_connections(scene: Scene) -> None:
    mine, also_mine = scene.client("order"), scene.client("order.linear", key=SECOND)
    other = scene.client("order", key=OTHER)
    scene.tell("order", 1)
    scene.tell("order", 2, account="2")
    assert (_numbers(mine), _numbers(also_mine, "order.linear"), _numbers(other)) == ([1], [1], [2])


def test_a_message_has_the_same_id_on_every_connection_and_no_other_has_it(scene: Scene) -> None:
    first, second = scene.client("order"), scene.client("order")
    scene.tell("order", 1)
    scene.tell("order", 2)
    ids = [message["id"] for message in first.take()]
    assert ids == [message["id"] for message in second.take()]
    assert len(set(ids)) == 2
    assert ids[0].startswith("1_BTCUSDT_")


def test_who_has_gone_or_unsubscribed_hears_nothing_and_an_account_without_connections_is_not_listened_to(
    scene: Scene,
) -> None:
    gone, left = scene.client("order"), scene.client("order")
    gone.guest.leave()
    left.ask(op="unsubscribe", args=["order"])
    scene.tell("order", 1)
    assert (gone.take(), left.take()) == ([], [])
    assert scene.teller.accounts == {"1"}
    left.guest.leave()
    assert scene.teller.accounts == set()


def test_the_wallet_tells_nothing_until_something_changes(scene: Scene) -> None:
    client = scene.client("wallet")
    assert client.take() == []
    scene.tell("wallet", 1, category="")
    assert [message["topic"] for message in client.take()] == ["wallet"]


def test_a_subscription_begins_the_market_and_a_log_in_does_not(scene: Scene) -> None:
    client = scene.client()
    assert scene.begun == 0
    client.subscribe("order")
    assert scene.begun == 1
    client.ask(op="subscribe", args=["nothing"])
    assert scene.begun == 1


def test_greeks_come_with_a_change_of_an_option_and_at_once_to_who_subscribes_later(scene: Scene) -> None:
    early = scene.client("greeks")
    assert early.take() == []
    scene.tell("position", 1, category="option")
    row = {"baseCoin": "BTC", "totalDelta": "0", "totalGamma": "0", "totalVega": "0", "totalTheta": "0"}
    assert [message["data"] for message in early.take()] == [[row]]
    late = scene.client()
    answer, greeks = late.say(op="subscribe", args=["greeks"])
    assert answer["success"]
    assert greeks["data"] == [row]
    assert scene.client("greeks", key=OTHER).take() == []


def test_while_held_nothing_is_sent_and_then_all_of_it_in_order(scene: Scene) -> None:
    client = scene.client("order")
    with scene.streams.held():
        scene.tell("order", 1)
        scene.tell("order", 2)
        assert client.received == []
    assert _numbers(client) == [1, 2]


def test_lost_messages_reach_nobody_as_often_as_was_said(scene: Scene) -> None:
    client, also = scene.client("order", "execution"), scene.client("order")
    scene.inject(fault="private", topic="order", how="lost", times=2)
    for number in (1, 2, 3):
        scene.tell("order", number)
    scene.tell("execution", 4)
    assert _numbers(also) == [3]
    assert [message["topic"] for message in client.take()] == ["order", "execution"]


def test_a_duplicated_message_comes_twice_with_one_id(scene: Scene) -> None:
    client = scene.client("order.linear")
    scene.inject(fault="private", topic="order", how="duplicated")
    scene.tell("order", 1)
    scene.tell("order", 2)
    first, again, second = client.take()
    assert first == again
    assert second["data"][0]["number"] == 2


def test_a_swapped_message_comes_after_the_next_one_of_its_topic(scene: Scene) -> None:
    client = scene.client("order", "wallet")
    scene.inject(fault="private", topic="order", how="swapped", times=2)
    for number in (1, 2, 3, 4):
        scene.tell("order", number)
        scene.tell("wallet", number, category="")
    assert _numbers(client) == [2, 1, 4, 3]


def test_a_fault_waits_for_somebody_it_can_happen_to(scene: Scene) -> None:
    scene.inject(fault="private", topic="order", how="lost")
    watcher = scene.client("wallet")
    scene.tell("order", 1)
    watcher.subscribe("order")
    scene.tell("order", 2)
    scene.tell("order", 3)
    assert _numbers(watcher) == [3]


def test_what_waited_to_be_overtaken_is_lost_with_the_last_connection(scene: Scene) -> None:
    first = scene.client("order")
    scene.inject(fault="private", topic="order", how="swapped")
    scene.tell("order", 1)
    first.guest.leave()
    second = scene.client("order")
    scene.tell("order", 2)
    assert _numbers(second) == [2]


def test_log_ins_are_refused_by_a_fault_as_often_as_was_said(scene: Scene) -> None:
    scene.inject(fault="auth", ret_code=10004, times=1, category="trade")  # not ours
    scene.inject(fault="auth", ret_code=10004, times=1)
    scene.inject(fault="auth", ret_code=10016, ret_msg="Restarting", seconds=5)
    client = SignedClient(scene.streams, scene.clock)
    assert "sign" in client.log_in()["ret_msg"]
    assert client.log_in()["ret_msg"] == "Restarting"
    scene.clock.advance(5)
    assert client.log_in()["success"]


def test_who_does_not_log_in_is_cut_after_10_seconds_however_much_it_pings(scene: Scene) -> None:
    stranger, friend = SignedClient(scene.streams, scene.clock), scene.client()
    for _ in range(9):
        scene.clock.advance(1)
        scene.streams.advance()
        stranger.ask(op="ping")
    assert stranger.cut_because is None
    scene.clock.advance(1)
    scene.streams.advance()
    assert [stranger.cut_because, friend.cut_because] == ["not logged in", None]


@pytest.mark.parametrize(
    ("query", "cut_at"),
    [
        ("", 600),
        ("max_active_time=1m", 60),
        ("max_alive_time=45s", 60),  # found when it looks, every 30 s
        ("max_active_time=1s", 30),
        ("max_active_time=2h", 600),
        ("max_active_time=9999m", 600),
        ("max_active_time=", 600),
    ],
)
def test_a_silent_connection_is_cut_after_the_time_it_asked_for(scene: Scene, query: str, cut_at: int) -> None:
    client = scene.client(query=query)
    for second in range(1, 700):
        scene.clock.advance(1)
        scene.streams.advance()
        if client.cut_because is not None:
            assert (second, client.cut_because) == (cut_at, "no sign of life")
            return
    pytest.fail("it was not cut")


def test_pings_and_data_keep_a_connection_alive(scene: Scene) -> None:
    pinging = scene.client(query="max_active_time=30s")
    hearing = scene.client("order", query="max_active_time=30s")
    for number in range(20):
        scene.clock.advance(15)
        pinging.ask(op="ping")
        scene.tell("order", number)
        scene.streams.advance()
    assert (pinging.cut_because, hearing.cut_because) == (None, None)


def test_connections_of_a_key_are_cut_and_no_others(scene: Scene) -> None:
    mine, second, other = scene.client(), scene.client(key=SECOND), scene.client(key=OTHER)
    stranger = SignedClient(scene.streams, scene.clock)
    assert scene.streams.cut(DEFAULT_KEY.key) == [mine.guest.name]
    assert (mine.cut_because, second.cut_because, other.cut_because) == ("key revoked", None, None)
    assert len(scene.streams.cut(None)) == 2
    assert stranger.cut_because is None
