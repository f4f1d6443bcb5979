"""The staged network: each fault does exactly what it says, at its rate, and the same again with the same seed."""

import math
import random
from collections import Counter
from itertools import pairwise

import pytest
from loss import (
    Alter,
    Burst,
    Delay,
    Duplicate,
    FaultTextError,
    Fixed,
    LastBeforeSilence,
    LineDown,
    Network,
    QuietBook,
    RandomLoss,
    Reorder,
    Truncate,
    alter,
    parse,
)

from feeder.market.instrument import instrument_id
from feeder.market.update import BookUpdate
from feeder.wire import decoder, encoder
from feeder.wire.messages import HEADER_LENGTH, BookDelta, Kind, PacketFlag
from feeder.wire.packet import pack_header_into
from feeder.wire.packet import parse as parse_packet

SESSION = 1_700_000_000_000_000_000
STEP = 0.001
QUIET, BUSY = 7, 8


def delta(instrument: int = BUSY, sequence: int = 1, levels: tuple[int, ...] = (100, 5, 101, 0)) -> bytes:
    update = BookUpdate(False, [], [], 1, 1, 1, 2, 3, 4, 0)
    return encoder.book_delta(instrument, 3, sequence, update, -2, -3, 1, levels)


def packet(sequence: int, *messages: bytes, channel_id: int = 0) -> bytes:
    buffer = bytearray(HEADER_LENGTH)
    flags = PacketFlag.INCREMENTAL if messages else PacketFlag.HEARTBEAT
    pack_header_into(buffer, channel_id, flags, len(messages), SESSION, sequence, SESSION + sequence)
    return bytes(buffer) + b"".join(messages)


def sequence_of(datagram: bytes) -> int:
    return int.from_bytes(datagram[16:24], "little")


def packets(count: int) -> list[bytes]:
    message = delta()
    return [packet(number, message) for number in range(1, count + 1)]


class Wire:
    """Packets sent a millisecond apart on both lines, and what arrived, by line: (when, sequence)."""

    def __init__(self, *faults, seed: int = 1, lines: tuple[str, ...] = ("A", "B")) -> None:
        self.network = Network(faults, seed)
        self.lines = lines
        self.now = 0.0
        self.arrived: dict[str, list[tuple[float, int]]] = {line: [] for line in lines}

    def send(self, datagrams: list[bytes]) -> "Wire":
        for datagram in datagrams:
            for line in self.lines:
                for when, arriving in self.network.arrivals(line, 0, datagram, self.now):
                    assert when >= self.now
                    self.arrived[line].append((when, sequence_of(arriving)))
            self.now += STEP
        return self

    def wait(self, seconds: float) -> "Wire":
        self.now += seconds
        for line, _, when, datagram in self.network.on_time(self.now):
            self.arrived[line].append((when, sequence_of(datagram)))
        return self

    def sequences(self, line: str) -> list[int]:
        return [sequence for _, sequence in self.arrived[line]]

    def lost(self, line: str, count: int) -> set[int]:
        return set(range(1, count + 1)) - set(self.sequences(line))


def near(found: int, rate: float, of: int) -> bool:
    """Within five standard deviations."""
    return abs(found - rate * of) <= 5 * math.sqrt(of * rate * (1 - rate))


def test_without_faults_everything_arrives_at_once_as_it_was():
    network = Network((), 1)
    assert network.arrivals("A", 0, b"any bytes", 5.0) == [(5.0, b"any bytes")]
    assert network.told() == {
        "A": {"arrived": 1, "passed": 1, "lost": {}, "duplicated": {}, "delayed": {}, "altered": {}}
    }


def test_the_named_packets_of_each_channel_and_line_are_lost():
    wire = Wire(Fixed((2, 4))).send(packets(5))
    assert wire.sequences("A") == wire.sequences("B") == [1, 3, 5]
    assert wire.network.stats["A"].lost == Counter(fixed=2)
    network = wire.network
    assert [len(network.arrivals("A", 16, each, 9.0)) for each in packets(3)] == [1, 0, 1]


def test_chosen_packets_are_lost():
    chosen = Fixed(chosen=lambda line, channel, datagram: line == "B" and sequence_of(datagram) == 3)
    wire = Wire(chosen).send(packets(4))
    assert wire.lost("A", 4) == set()
    assert wire.lost("B", 4) == {3}


@pytest.mark.parametrize("rate", [0.001, 0.01, 0.2])
def test_random_loss_comes_at_its_rate_and_on_each_line_apart(rate):
    count = 100_000
    wire = Wire(RandomLoss(rate), seed=11).send(packets(count))
    lost_a, lost_b = wire.lost("A", count), wire.lost("B", count)
    assert near(len(lost_a), rate, count)
    assert near(len(lost_b), rate, count)
    assert near(len(lost_a & lost_b), rate * rate, count)
    assert wire.network.stats["A"].lost["random"] == len(lost_a)
    assert wire.network.stats["A"].passed == count - len(lost_a)


def test_random_loss_together_takes_the_same_packets_from_every_line():
    count = 100_000
    wire = Wire(RandomLoss(0.01, together=True), seed=11).send(packets(count))
    assert wire.lost("A", count) == wire.lost("B", count)
    assert near(len(wire.lost("A", count)), 0.01, count)


@pytest.mark.parametrize(
    "fault",
    [
        RandomLoss(0.05),
        Burst(1, 20, rate=0.01),
        Duplicate(0.1, 0.003),
        Delay(0.01, jitter=0.01),
        Reorder(16),
        Alter(0.1),
        Truncate(0.1),
    ],
)
def test_the_same_seed_does_the_same_and_another_does_not(fault):
    def run(seed: int) -> list[tuple[float, bytes]]:
        network = Network([fault], seed)
        return [out for n, each in enumerate(packets(2000)) for out in network.arrivals("A", 0, each, n * STEP)]

    assert run(5) == run(5)
    assert run(5) != run(6)


def test_bursts_are_as_long_as_said_and_begin_at_their_rate():
    count = 100_000
    wire = Wire(Burst(3, 10, rate=0.001), seed=2, lines=("A",)).send(packets(count))
    kept = wire.sequences("A")
    lengths = Counter(after - before - 1 for before, after in pairwise(kept) if after > before + 1)
    assert set(lengths) >= set(range(3, 11))
    assert all(length >= 3 for length in lengths)
    assert sum(n for length, n in lengths.items() if length > 10) <= 5  # two that touch
    assert near(lengths.total(), 0.001, count)


def test_a_burst_every_so_many_packets_is_exact():
    wire = Wire(Burst(4, 4, every=10)).send(packets(30))
    expected = {10, 11, 12, 13, 20, 21, 22, 23, 30}
    assert wire.lost("A", 30) == wire.lost("B", 30) == expected


def test_bursts_together_are_the_same_on_every_line_and_may_be_a_thousand_long():
    count = 20_000
    wire = Wire(Burst(1, 1000, rate=0.0005, together=True), seed=4).send(packets(count))
    lost = wire.lost("A", count)
    assert lost == wire.lost("B", count)
    assert len(lost) > 1000


def test_the_last_data_before_a_heartbeat_is_lost_and_the_one_before_is_let_go():
    wire = Wire(LastBeforeSilence()).send([*packets(3), packet(4)])
    assert wire.sequences("A") == wire.sequences("B") == [1, 2, 4]
    assert [when for when, _ in wire.arrived["A"]] == pytest.approx([0.001, 0.002, 0.003])
    assert wire.network.stats["A"].lost == Counter(last=1)
    assert wire.network.stats["A"].delayed == Counter(last=2)


def test_the_last_data_before_a_pause_is_lost_when_the_pause_shows_and_not_before():
    wire = Wire(LastBeforeSilence(0.015), lines=("A",)).send(packets(2))
    wire.wait(0.013)
    assert wire.network.stats["A"].lost.total() == 0
    wire.wait(0.002)
    assert wire.network.stats["A"].lost == Counter(last=1)
    assert wire.sequences("A") == [1]


def test_without_anybody_looking_at_the_time_the_next_packet_shows_the_pause():
    wire = Wire(LastBeforeSilence(0.015), lines=("A",)).send(packets(2))
    wire.now += 0.1
    wire.send([packet(3, delta()), packet(4, delta())])
    assert wire.sequences("A") == [1, 3]


def test_a_quiet_books_deltas_are_lost_once_on_every_line():
    sent = [packet(1, delta(BUSY)), packet(2, delta(BUSY), delta(QUIET, 5)), packet(4, delta(BUSY))]
    wire = Wire(QuietBook((QUIET,))).send(sent)
    assert wire.sequences("A") == wire.sequences("B") == [1, 4]
    again = packet(3, delta(QUIET, 5))  # as the answer to a request has it
    wire.send([again])
    assert wire.sequences("A") == [1, 4, 3]
    assert wire.network.arrivals("R", 5, again, 1.0) == []
    assert wire.network.arrivals("R", 5, again, 1.0) == [(1.0, again)]


def test_a_quiet_books_delta_may_be_lost_on_one_line_only():
    wire = Wire(QuietBook((QUIET,), all_copies=False)).send([packet(1, delta(QUIET, 1)), packet(2, delta(QUIET, 2))])
    assert wire.sequences("A") == []
    assert wire.sequences("B") == [1, 2]


def test_duplicates_come_at_their_rate_and_time():
    count = 100_000
    wire = Wire(Duplicate(0.05, 0.25), seed=3, lines=("A",)).send(packets(count))
    twice = [n for n, times in Counter(wire.sequences("A")).items() if times == 2]
    assert near(len(twice), 0.05, count)
    assert wire.network.stats["A"].duplicated == Counter(duplicate=len(twice))
    assert wire.network.stats["A"].passed == count
    first, copy = [when for when, n in wire.arrived["A"] if n == twice[0]]
    assert copy == pytest.approx(first + 0.25)


def test_a_delay_is_its_seconds_and_at_most_the_jitter_more():
    wire = Wire(Delay(0.01, jitter=0.005), lines=("A",)).send(packets(1000))
    delays = [when - STEP * (n - 1) for when, n in wire.arrived["A"]]
    assert min(delays) >= 0.01 - 1e-9
    assert max(delays) <= 0.015 + 1e-9
    assert max(delays) - min(delays) > 0.004
    assert wire.network.stats["A"].delayed == Counter(delay=1000)


@pytest.mark.parametrize(("depth", "rate"), [(1, 0.1), (8, 0.1), (64, 0.1), (64, 0.02)])
def test_reordering_loses_nothing_and_lets_at_most_depth_packets_overtake(depth, rate):
    count = 10_000
    wire = Wire(Reorder(depth, 1.0, rate), lines=("A",)).send(packets(count)).wait(1.0)
    arrived = wire.sequences("A")
    assert sorted(arrived) == list(range(1, count + 1))
    place = {sequence: index for index, sequence in enumerate(arrived)}
    overtaken = [
        sum(place[later] < place[sequence] for later in range(sequence + 1, min(sequence + 66, count + 1)))
        for sequence in range(1, count + 1)
    ]
    assert depth * 0.8 <= max(overtaken) <= depth
    assert near(wire.network.stats["A"].delayed["reorder"], rate, count)


def test_what_is_reordered_waits_no_longer_than_said():
    wire = Wire(Reorder(64, 0.005, 1.0), lines=("A",)).send(packets(4))
    assert len(wire.sequences("A")) < 4
    wire.wait(0.005)
    assert sorted(wire.sequences("A")) == [1, 2, 3, 4]


def test_a_line_that_is_down_loses_everything_for_that_time_since_the_faults_began():
    wire = Wire(LineDown(0.005, 0.008, lines=("A",)))
    wire.network.active = False
    wire.send(packets(3))
    wire.network.active = True
    wire.send([packet(n, delta()) for n in range(4, 20)])
    assert wire.lost("A", 19) == {9, 10, 11}
    assert wire.lost("B", 19) == set()


def test_an_altered_packet_is_sound_differs_in_one_value_and_is_the_same_on_every_line():
    network = Network([Alter(0.2)], 9)
    altered = 0
    for sent in packets(1000):
        (_, on_a), (_, on_b) = network.arrivals("A", 0, sent, 0.0) + network.arrivals("B", 0, sent, 0.0)
        assert on_a == on_b
        if on_a != sent:
            altered += 1
            before, after = (decoder.decode(p, p.frames[0]) for p in (parse_packet(sent), parse_packet(on_a)))
            assert before is not None
            assert after is not None
            assert isinstance(before.body, BookDelta)
            assert isinstance(after.body, BookDelta)
            assert before.body._replace(levels=()) == after.body._replace(levels=())
            assert sum(x != y for x, y in zip(before.body.levels, after.body.levels, strict=True)) == 1
    assert near(altered, 0.2, 1000)
    assert network.stats["A"].altered == network.stats["B"].altered == Counter(alter=altered)


def test_a_packet_without_levels_is_not_altered():
    assert alter(packet(1), random.Random(1)) is None
    assert alter(packet(1, delta(levels=())), random.Random(1)) is None
    assert alter(b"no packet", random.Random(1)) is None


def test_truncated_packets_come_at_their_rate_and_are_shorter():
    network = Network([Truncate(0.1)], 2)
    sent = packets(10_000)
    arrived = [network.arrivals("A", 0, each, 0.0)[0][1] for each in sent]
    short = [new for old, new in zip(sent, arrived, strict=True) if new != old]
    assert near(len(short), 0.1, 10_000)
    assert all(len(each) < len(sent[0]) for each in short)
    assert min(map(len, short)) < HEADER_LENGTH


def test_a_fault_touches_only_its_lines_and_kinds_of_channels():
    network = Network([RandomLoss(1.0, lines=("A",), kinds=(Kind.BOOKS,))], 1)
    assert network.arrivals("A", 16 + Kind.BOOKS, b"", 0.0) == []
    assert network.arrivals("A", 16 + Kind.TRADES, b"", 0.0) == [(0.0, b"")]
    assert network.arrivals("B", 16 + Kind.BOOKS, b"", 0.0) == [(0.0, b"")]
    assert network.arrivals("R", 16 + Kind.RETRANSMIT, b"", 0.0) == [(0.0, b"")]


def test_faults_act_in_their_order_on_what_the_one_before_let_out():
    wire = Wire(Fixed((1,)), Duplicate(1.0, 0.5), Delay(0.25), lines=("A",)).send(packets(2))
    assert wire.arrived["A"] == [(pytest.approx(0.251), 2), (pytest.approx(0.751), 2)]


@pytest.mark.parametrize("look_at_time", [True, False])
def test_switched_off_everything_passes_and_what_was_held_goes_on(look_at_time):
    wire = Wire(LastBeforeSilence(), Reorder(64, 9.0, 0.5), RandomLoss(0.0), lines=("A",)).send(packets(50))
    assert len(wire.sequences("A")) < 50
    wire.network.active = False
    if look_at_time:
        wire.wait(0.001)
    wire.send([packet(51, delta())])
    assert sorted(wire.sequences("A")) == list(range(1, 52))
    assert wire.network.stats["A"].passed == wire.network.stats["A"].arrived == 51


def test_faults_are_read_from_a_text():
    assert parse(" random:0.01@A,B ; duplicate:0.05,delay=0.002;reorder:64,seconds=0.01#books,trades;") == (
        RandomLoss(0.01, lines=("A", "B")),
        Duplicate(0.05, 0.002),
        Reorder(64, 0.01, kinds=(Kind.BOOKS, Kind.TRADES)),
    )
    assert parse("burst:1,1000,rate=0.001,together;random:0.1,together=yes") == (
        Burst(1, 1000, rate=0.001, together=True),
        RandomLoss(0.1, together=True),
    )
    assert parse(
        "fixed:3+4;last;last:0.01;down:1,2.5@A;alter:0.1;truncate:0.2;delay:0.001,0.002;burst:2,2,every=9"
    ) == (
        Fixed((3, 4)),
        LastBeforeSilence(),
        LastBeforeSilence(0.01),
        LineDown(1.0, 2.5, lines=("A",)),
        Alter(0.1),
        Truncate(0.2),
        Delay(0.001, 0.002),
        Burst(2, 2, every=9),
    )
    assert parse("quiet:linear/BTCUSDT+12,all_copies=no") == (
        QuietBook((instrument_id("linear", "BTCUSDT"), 12), all_copies=False),
    )
    assert parse("") == ()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rndom:1", "no fault 'rndom'; there are fixed, random"),
        ("duplicate:0.1;random", "'random': a value is missing; write random:rate,together"),
        ("random:x", "rate: could not convert"),
        ("random:1.5", "rate 1.5 is no share"),
        ("random:nan", "rate nan is no share"),
        ("random:0.1,size=2", "'size=2' is one value too many or unknown"),
        ("random:0.1,rate=0.2", "'rate=0.2' is one value too many"),
        ("truncate:0.1,0.2", "'0.2' is one value too many"),
        ("random:0.1,together=maybe", "neither yes nor no"),
        ("random:0.1#bookz", "no kind of channel 'bookz'; there are books"),
        ("reorder:65", "1 to 64 are possible"),
        ("reorder:8,seconds=-1", "no time in seconds"),
        ("burst:1,1001,rate=0.1", "1 to 1000 are possible"),
        ("burst:1,5", "needs a rate"),
        ("burst:5,1,every=3", "5 to 1 packets"),
        ("down:3,2", "must be behind"),
        ("quiet:linar/BTCUSDT", "no category 'linar'"),
        ("quiet:BTCUSDT", "instruments: invalid literal"),
        ("random:0.1@", "no line behind @"),
        ("random:0.1#", "no kind of channel ''"),
    ],
)
def test_a_bad_text_is_refused_with_what_is_wrong(text, says):
    with pytest.raises(FaultTextError) as refused:
        parse(text)
    assert says in str(refused.value)
