"""The rules of line arbitration, packet by packet."""

import pytest

from feeder.multicast.arbiter import (
    LARGEST_OPEN_HOLE,
    MOST_OPEN_HOLES,
    Abandoned,
    Arbiter,
    ChannelState,
    Filled,
    Heard,
    Hole,
    Run,
    SessionEnded,
    SessionStarted,
    Silent,
)
from feeder.wire import encoder
from feeder.wire.messages import BookChecksum, PacketFlag
from feeder.wire.packet import Packet, parse
from tests.helpers.wire_samples import packet as whole_packet

MESSAGE = encoder.book_checksum(1, BookChecksum(1, 2, 3))


def packet(sequence: int, count: int = 1, *, session: int = 100, flags: int = 1) -> Packet:
    return parse(whole_packet(*[MESSAGE] * count, sequence=sequence, session=session, flags=flags))


def heartbeat(sequence: int, session: int = 100) -> Packet:
    return packet(sequence, 0, session=session, flags=PacketFlag.HEARTBEAT)


def delivered(outputs: list) -> list[int]:
    """Channel sequences of the messages in the outputs' runs."""
    return [
        run.packet.sequence + i
        for run in outputs
        if isinstance(run, Run)
        for i in range(run.first, len(run.packet.frames))
    ]


def joined(sequence: int = 1) -> Arbiter:
    arbiter = Arbiter(0)
    arbiter.on_packet("A", packet(sequence), 0.0)
    return arbiter


def test_first_packet_begins_a_session_and_a_run_where_it_stands():
    arbiter = Arbiter(0)
    out = arbiter.on_packet("A", packet(500, 3), 0.0)
    assert out[0] == SessionStarted(100, 500)
    assert delivered(out) == [500, 501, 502]


def test_first_copy_wins_and_the_second_is_a_duplicate():
    arbiter = joined()
    assert delivered(arbiter.on_packet("B", packet(2), 0.0)) == [2]
    assert arbiter.on_packet("A", packet(2), 0.0) == []
    assert arbiter.stats.duplicates == 1


def test_a_packet_that_overlaps_delivers_its_new_messages_only():
    arbiter = joined()
    arbiter.on_packet("A", packet(2, 3), 0.0)
    assert delivered(arbiter.on_packet("B", packet(3, 4), 0.0)) == [5, 6]


def test_packets_ahead_wait_for_the_missing_one():
    arbiter = joined()
    assert arbiter.on_packet("A", packet(3), 0.0) == []
    assert arbiter.on_packet("A", packet(4), 0.001) == []
    assert delivered(arbiter.on_packet("B", packet(2), 0.009)) == [2, 3, 4]
    assert arbiter.stats.holes == 0


def test_ten_milliseconds_give_a_hole_up():
    arbiter = joined()
    arbiter.on_packet("A", packet(4), 0.0)
    assert arbiter.on_time(0.009) == []
    out = arbiter.on_time(0.010)
    assert out[0] == Hole(2, 3)
    assert delivered(out) == [4]
    assert arbiter.stats.lost == 2


def test_sixty_four_packets_may_wait_and_one_more_gives_the_hole_up():
    arbiter = joined()
    for sequence in range(3, 67):
        assert arbiter.on_packet("A", packet(sequence), 0.0) == []
    out = arbiter.on_packet("A", packet(67), 0.0)
    assert out[0] == Hole(2, 2)
    assert delivered(out) == list(range(3, 68))


def test_a_second_hole_gets_a_window_of_its_own():
    arbiter = joined()
    arbiter.on_packet("A", packet(3), 0.0)
    arbiter.on_packet("A", packet(5), 0.008)
    out = arbiter.on_time(0.010)
    assert out[0] == Hole(2, 2)
    assert delivered(out) == [3]
    assert delivered(arbiter.on_packet("B", packet(4), 0.015)) == [4, 5]


def test_a_heartbeat_ahead_shows_a_lost_tail():
    arbiter = joined()
    arbiter.on_packet("A", heartbeat(4), 0.0)
    assert arbiter.on_time(0.011) == [Hole(2, 3)]
    assert delivered(arbiter.on_packet("A", packet(4), 0.1)) == [4]


def test_a_heartbeat_of_one_line_waits_for_the_other_lines_data():
    arbiter = joined()
    arbiter.on_packet("A", heartbeat(3), 0.0)
    assert delivered(arbiter.on_packet("B", packet(2), 0.005)) == [2]
    assert arbiter.on_time(0.1) == []
    assert arbiter.stats.holes == 0


def test_data_takes_the_place_of_a_heartbeat_that_waits_at_its_sequence():
    arbiter = joined()
    arbiter.on_packet("A", heartbeat(3), 0.0)
    arbiter.on_packet("B", packet(3), 0.001)
    assert delivered(arbiter.on_packet("A", packet(2), 0.002)) == [2, 3]


def test_a_greater_session_is_followed_at_once_and_the_old_ones_packets_are_dropped():
    arbiter = joined(900)
    out = arbiter.on_packet("A", packet(1, session=200), 0.0)
    assert out[0] == SessionStarted(200, 1)
    assert arbiter.on_packet("B", packet(901, session=100), 0.1) == []
    assert arbiter.stats.old_session == 1


def test_a_smaller_session_is_followed_only_after_silence_or_the_end():
    arbiter = joined()
    assert arbiter.on_packet("A", packet(1, session=50), 0.9) == []
    assert delivered(arbiter.on_packet("A", packet(1, session=50), 1.0)) == [1]
    ended = joined()
    ended.on_packet("A", packet(2, 0, flags=PacketFlag.END_OF_SESSION), 0.0)
    assert ended.on_packet("A", packet(1, session=50), 0.1)[0] == SessionStarted(50, 1)


def test_silence_is_said_once_and_taken_back():
    arbiter = joined()
    assert arbiter.on_time(0.74) == []
    assert arbiter.on_time(0.76) == [Silent()]
    assert arbiter.on_time(5.0) == []
    assert arbiter.on_packet("B", heartbeat(2), 6.0) == [Heard()]


def test_end_of_session_is_said_once_after_its_tail():
    arbiter = joined()
    end = packet(3, 0, flags=PacketFlag.END_OF_SESSION)
    assert arbiter.on_packet("A", end, 0.0) == [Hole(2, 2), SessionEnded(100)]
    assert arbiter.on_packet("B", end, 0.0) == []
    assert arbiter.on_time(9.0) == []


def test_each_line_is_counted_by_itself():
    arbiter = joined()
    arbiter.on_packet("A", packet(2), 0.0)
    arbiter.on_packet("B", packet(1), 0.0)
    arbiter.on_packet("B", packet(3), 0.0)
    lines = arbiter.stats.lines
    assert (lines["A"].packets, lines["A"].first, lines["A"].missing) == (2, 2, 0)
    assert (lines["B"].packets, lines["B"].first, lines["B"].missing) == (2, 1, 1)


def test_after_silence_the_hole_is_said_before_the_return():
    arbiter = joined()
    arbiter.on_time(1.0)
    out = arbiter.on_packet("A", packet(500), 5.0)
    assert [type(each) for each in out] == [Hole, Run, Heard]
    assert out[0] == Hole(2, 499)


def test_a_second_hole_that_opens_when_the_first_is_filled_gets_its_own_window():
    arbiter = joined()
    arbiter.on_packet("A", packet(3), 0.000)
    arbiter.on_packet("A", packet(5), 0.009)
    assert delivered(arbiter.on_packet("B", packet(2), 0.0095)) == [2, 3]
    assert arbiter.on_time(0.011) == []
    assert delivered(arbiter.on_packet("B", packet(4), 0.012)) == [4, 5]


def test_fillers_do_not_stretch_the_window_of_a_hole():
    arbiter = joined()
    arbiter.on_packet("A", packet(10), 0.000)
    arbiter.on_packet("B", packet(2), 0.004)
    arbiter.on_packet("B", packet(3), 0.009)
    out = arbiter.on_time(0.010)
    assert out[0] == Hole(4, 9)
    assert delivered(out) == [10]


def test_a_hole_stays_open_where_messages_are_kept_and_a_late_packet_fills_it():
    arbiter = Arbiter(0, retransmitted=True)
    arbiter.on_packet("A", packet(1), 0.0)
    arbiter.on_packet("A", packet(5), 0.001)
    assert Hole(2, 4) in arbiter.on_time(0.0112)
    assert arbiter.state is ChannelState.RECOVERING
    assert arbiter.on_packet("B", packet(1, 2), 0.012) == []  # brings 2
    assert arbiter.on_retransmitted(packet(3, session=99), 0.013) == [], "another session's"
    (filled,) = arbiter.on_retransmitted(packet(3, 4), 0.0212)
    assert isinstance(filled, Filled)
    assert filled.hole == Hole(2, 4)
    assert filled.seconds == pytest.approx(0.010)
    assert [run.sequence + i for run in filled.runs for i in range(run.end - run.first)] == [2, 3, 4]
    assert arbiter.state is ChannelState.IN_STEP
    assert arbiter.next_sequence == 6, "what is late moves nothing"
    assert (arbiter.stats.lost, arbiter.stats.filled) == (3, 3)
    assert arbiter.on_packet("B", packet(2, 3), 0.022) == []


def test_only_so_many_and_so_large_holes_stay_open():
    arbiter = Arbiter(0, retransmitted=True)
    arbiter.on_packet("A", packet(1), 0.0)
    arbiter.on_packet("A", packet(2 + LARGEST_OPEN_HOLE + 1), 0.0)
    assert [type(output) for output in arbiter.on_time(0.010)] == [Hole, Abandoned, Run]
    sequence = arbiter.next_sequence
    abandoned = []
    for number in range(MOST_OPEN_HOLES + 2):
        sequence += 1
        arbiter.on_packet("A", packet(sequence), 1.0 + number)
        abandoned += [o.hole.first for o in arbiter.on_time(1.011 + number) if isinstance(o, Abandoned)]
        sequence += 1
    assert len(arbiter.open_holes) == MOST_OPEN_HOLES
    assert len(abandoned) == 2, "the oldest make room"


def test_a_new_session_and_the_end_have_states_of_their_own():
    arbiter = Arbiter(0, retransmitted=True)
    assert arbiter.state is ChannelState.WAITING
    arbiter.on_packet("A", packet(1), 0.0)
    arbiter.on_packet("A", packet(3), 0.0)
    arbiter.on_time(0.010)
    arbiter.on_packet("A", packet(1, session=200), 0.011)
    assert arbiter.open_holes == {}
    assert arbiter.state is ChannelState.IN_STEP
    arbiter.on_time(1.0)
    assert arbiter.state is ChannelState.SILENT
    arbiter.on_packet("A", packet(2, 0, session=200, flags=PacketFlag.END_OF_SESSION), 1.1)
    assert arbiter.state is ChannelState.ENDED


def test_who_did_not_run_for_a_second_is_not_misled_by_copies_that_another_line_left_unread():
    arbiter = joined()
    arbiter.on_packet("A", packet(2), 0.01)
    arbiter.on_time(0.01)
    assert arbiter.on_packet("B", packet(1), 1.5) == []
    assert delivered(arbiter.on_packet("A", packet(3), 1.5)) == [3]
    assert arbiter.on_time(1.5) == []
    assert arbiter.on_packet("B", packet(2), 1.5) == []


def test_a_second_of_nothing_but_older_packets_begins_anew():
    arbiter = joined(1000)
    for tenth in range(1, 11):
        assert arbiter.on_packet("A", packet(tenth), tenth / 10) == []
        assert not any(isinstance(output, SessionStarted) for output in arbiter.on_time(tenth / 10))
    out = arbiter.on_packet("A", packet(11), 1.1)
    assert out[0] == SessionStarted(100, 11)
    assert delivered(out) == [11]
