"""The tool finds a consumer that is misled, or moved by what it should refuse; and feeder's own is neither."""

from random import Random

import hostile
import pytest
from hostile_datagrams import broken, sound

from feeder.client.partition import PartitionFeed
from feeder.client.recovery import PartitionBooks
from feeder.errors import WireError
from feeder.multicast.retransmit import RetransmitServer
from feeder.wire import packet
from tests.helpers.feed import Consumer, Feed
from tests.helpers.state import first_difference, state_of
from tests.helpers.wire_samples import packet as a_packet
from tests.helpers.wire_samples import samples


def a_storm(datagrams: int) -> list[str]:
    storm = hostile.Storm(Random(3))
    storm.run(datagrams)
    return storm.report.failures


def test_a_few_thousand_broken_datagrams_and_some_altered_ones_find_nothing():
    result = hostile.hostile(seed=3, datagrams=8_000)
    assert result["ok"], result
    assert result["broken"]["datagrams"] == sum(result["broken"]["kinds"].values()) == 8_000
    assert len(result["broken"]["kinds"]) == 14
    assert result["broken"]["at_the_retransmit_port"] > 500
    assert result["altered"]["packets"] == 8
    assert "broken" in hostile.table(result)


def test_the_same_seed_gives_the_same_datagrams():
    models = [sound(a_packet(*(data for _, data in samples()[:6]))), sound(a_packet())]

    def some(seed: int) -> list[tuple[str, bytes]]:
        random = Random(seed)
        return [broken(random, model) for model in models * 200]

    assert some(5) == some(5) != some(6)


def test_every_broken_datagram_is_one_that_a_reader_of_the_framing_rules_refuses():
    random = Random(1)
    model = sound(a_packet(*(data for _, data in samples())))
    for _ in range(5_000):
        kind, data = broken(random, model)
        if kind == hostile.OTHER_CHANNEL:
            assert packet.parse(data).channel_id != 0
            continue
        with pytest.raises(WireError):
            packet.parse(data)


def test_a_refusal_that_changes_more_than_its_counter_is_found(monkeypatch: pytest.MonkeyPatch):
    refuse = PartitionFeed._refuse

    def careless(feed: PartitionFeed, error: WireError) -> None:
        refuse(feed, error)
        feed.arbiters[0][1].stats.packets += 1

    monkeypatch.setattr(PartitionFeed, "_refuse", careless)
    failures = a_storm(1_000)
    assert "changed" in failures[0]
    assert "packets" in failures[0]


def test_a_request_that_is_none_and_yet_costs_tokens_is_found(monkeypatch: pytest.MonkeyPatch):
    answer = RetransmitServer.answer

    def careless(server: RetransmitServer, data: bytes, source: str, now: float) -> object:
        server.sources.bucket(source, now).packets -= 0.01
        return answer(server, data, source, now)

    monkeypatch.setattr(RetransmitServer, "answer", careless)
    assert any("changed" in failure for failure in a_storm(1_000))


def test_a_consumer_that_raises_is_found(monkeypatch: pytest.MonkeyPatch):
    def sure(data: bytes, channel_id: int) -> packet.Packet:
        parsed = packet.parse(data)
        assert parsed.channel_id == channel_id
        return parsed

    monkeypatch.setattr("feeder.client.partition.sound", sure)
    assert any("AssertionError" in failure for failure in a_storm(1_000))


def test_a_consumer_that_ignores_checksums_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PartitionBooks, "_on_checksum", lambda *_: None)
    assert any("LIVE and wrong for over" in failure for failure in hostile.altered_packets(4, 150).failures)


def test_the_state_of_a_consumer_tells_where_it_changed():
    feed = Feed()
    (source,) = feed.sources.values()
    source.restart([100, 5], [101, 7])
    consumer = Consumer(feed)
    feed.run(1.2, [consumer])
    before = state_of(consumer.feed)
    assert first_difference(before, state_of(consumer.feed)) == ""
    consumer.view(source).conflated = True
    assert first_difference(before, state_of(consumer.feed)).endswith("conflated: False is True")
