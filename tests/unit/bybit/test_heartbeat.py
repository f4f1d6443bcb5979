"""When to ping: every twenty seconds, and at once when nothing comes."""

import pytest

from feeder.bybit.actions import Reconnect, Send
from feeder.bybit.heartbeat import Heartbeat
from feeder.bybit.messages import Message
from feeder.bybit.pacing import Timing

from .support import make_session

PONG = Message(success=True, ret_msg="pong", op="ping")


def heart() -> Heartbeat:
    heartbeat = Heartbeat(20.0, 10.0, 3.0, 2.0)
    heartbeat.start(100.0)
    return heartbeat


def test_silent_connection_is_probed_once_and_dead_two_seconds_later() -> None:
    heartbeat = heart()
    assert heartbeat.soonest() == 103
    assert not heartbeat.probes(102.9)
    assert heartbeat.probes(103)
    assert heartbeat.soonest() == 105
    assert not heartbeat.probes(104)
    assert not heartbeat.is_dead(104.9)
    assert heartbeat.is_dead(105)
    assert heartbeat.patience == 2


def test_quiet_connection_that_answers_is_probed_again_and_again_and_lives() -> None:
    heartbeat = heart()
    now = 100.0
    for _ in range(5):
        now += 3
        assert heartbeat.probes(now)
        now += 1.9
        heartbeat.heard(now)
        heartbeat.on_pong(now)
        assert not heartbeat.is_dead(now + 2.9)


def test_data_instead_of_the_pong_ends_the_probe_but_not_the_wait_for_the_pong() -> None:
    heartbeat = heart()
    assert heartbeat.probes(103)
    heartbeat.heard(104)
    assert not heartbeat.is_dead(112.9)
    heartbeat.heard(112.9)
    assert heartbeat.is_dead(113)
    assert heartbeat.patience == 10


def test_connection_that_talks_is_not_probed_and_pinged_every_twenty_seconds() -> None:
    heartbeat = heart()
    pings = []
    for step in range(1, 601):
        now = 100 + step / 10
        heartbeat.heard(now)
        assert not heartbeat.probes(now)
        if heartbeat.beats(now):
            pings.append(now)
            heartbeat.on_pong(now)
    assert pings == [120, 140, 160]


def test_probe_does_not_prolong_the_wait_for_an_earlier_ping() -> None:
    heartbeat = heart()
    heartbeat.heard(119)
    assert heartbeat.beats(120)
    heartbeat.heard(121)
    for now in (124, 127, 129.5):
        heartbeat.probes(now)
        heartbeat.heard(now + 0.1)
    assert heartbeat.is_dead(130)


def test_time_in_which_we_did_not_listen_is_not_counted_against_the_venue() -> None:
    heartbeat = heart()
    assert heartbeat.probes(103)
    heartbeat.excuse(30)
    assert not heartbeat.is_dead(134.9)
    assert heartbeat.is_dead(135)


def test_a_pong_tells_how_long_the_oldest_ping_without_one_waited() -> None:
    heartbeat = heart()
    assert heartbeat.on_pong(101) is None, "nobody had asked"
    assert heartbeat.probes(103)
    assert heartbeat.on_pong(103.25) == 0.25
    heartbeat.heard(119)
    assert heartbeat.beats(120)
    heartbeat.heard(121)
    assert heartbeat.probes(124)
    assert heartbeat.on_pong(124.5) == 4.5
    assert heartbeat.on_pong(124.6) is None, "it was of the second ping, whose time nobody kept"


def test_new_connection_starts_from_nothing() -> None:
    heartbeat = heart()
    assert heartbeat.probes(103)
    heartbeat.start(200)
    assert heartbeat.on_pong(201) is None
    assert not heartbeat.is_dead(202)
    assert heartbeat.soonest() == 203


@pytest.mark.parametrize("half_open", [True, False])
def test_session_tells_a_half_open_connection_from_a_quiet_one_in_five_seconds(half_open: bool) -> None:
    session = make_session(timing=Timing())
    session.want("orderbook.50.QUIETUSDT", is_book=True)
    now = 1000.0
    session.on_connected(now)
    session.on_response(Message(success=True, req_id="1", op="subscribe"), now)
    session.admit(session.topics["orderbook.50.QUIETUSDT"], is_snapshot=True, now=now)
    for _ in range(100):
        if now >= 1060:
            break
        wake = session.next_timer()
        assert wake is not None
        now = max(now, wake)
        actions = session.on_timer(now)
        if any(isinstance(action, Reconnect) for action in actions):
            assert half_open
            assert now == 1005
            assert actions == [Reconnect("no pong within 2 s")]
            return
        if not half_open and any(isinstance(action, Send) for action in actions):
            now += 0.3
            assert session.on_response(PONG, now) == []
    assert now >= 1060, "woken too often"
    assert session._counters.silence_probes == pytest.approx(60 / 3.3, abs=3)
    assert session._counters.pong_timeouts == 0
