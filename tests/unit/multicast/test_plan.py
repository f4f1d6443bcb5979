"""Addresses by arithmetic that any consumer can repeat, and clear refusals of those that cannot work."""

import pytest

from feeder.errors import ConfigError
from feeder.market.instrument import instrument_id
from feeder.multicast.plan import ChannelPlan, Line
from feeder.wire.messages import Kind

A = Line("A", "239.77.0.0", "127.0.0.1")
B = Line("B", "239.78.0.0", "127.0.0.1")


def test_group_and_port_follow_partition_and_kind():
    channel = ChannelPlan(4, 20000, (A, B)).channel(2, Kind.SNAPSHOTS)
    assert channel.channel_id == 35
    assert [(e.line, e.group, e.port) for e in channel.endpoints] == [
        ("A", "239.77.0.35", 20035),
        ("B", "239.78.0.35", 20035),
    ]


def test_many_partitions_carry_into_the_next_octet():
    assert ChannelPlan(64, 20000, (A,)).channel(17, Kind.TRADES).endpoints[0].group == "239.77.1.17"


def test_every_multicast_kind_of_every_partition_goes_out_on_every_line():
    plan = ChannelPlan(4, 20000, (A, B))
    assert len(list(plan.channels)) == 20
    assert len({(e.group, e.port) for c in plan.channels for e in c.endpoints}) == 40


def test_instrument_id_is_the_documented_crc_and_picks_the_partition():
    assert instrument_id("linear", "BTCUSDT") == 3683288332
    assert instrument_id("spot", "BTCUSDT") == 2121218484
    assert ChannelPlan(4).partition_of(3683288333) == 1


@pytest.mark.parametrize(
    ("partitions", "port", "lines", "path"),
    [
        (0, 20000, (A,), "multicast.partitions"),
        (65, 20000, (A,), "multicast.partitions"),
        (4, 80, (A,), "multicast.port"),
        (4, 65500, (A,), "multicast.port"),
        (4, 20000, (), "multicast.lines"),
        (4, 20000, (Line("A", "10.0.0.1", "lo"),), "multicast.lines.A.group"),
        (4, 20000, (Line("A", "239.77.0", "lo"),), "multicast.lines.A.group"),
        (4, 20000, (Line("A", "224.0.0.0", "lo"),), "multicast.lines.A.group"),
        (4, 20000, (Line("A", "239.255.255.250", "lo"),), "multicast.lines.A.group"),
        (4, 20000, (A, Line("B", "239.205.0.0", "lo")), "multicast.lines.B.group"),  # the same 23 low bits
        (4, 20000, (A, Line("B", "239.77.0.32", "lo")), "multicast.lines.B.group"),  # overlaps A's range
        (4, 20000, (Line("primary-line", "239.77.0.0", "lo"),), "multicast.lines.primary-line"),
    ],
)
def test_addresses_that_cannot_work_are_refused_with_the_keys_path(partitions, port, lines, path):
    with pytest.raises(ConfigError) as caught:
        ChannelPlan(partitions, port, lines)
    assert caught.value.path == path
    assert caught.value.remedy
