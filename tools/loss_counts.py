"""How much the lines' arbitration leaves over, counted on a million packets in process, without sockets.

    .venv/bin/python tools/loss_counts.py [--packets 1000000] [--seed 1] [--json]

The real publisher's packets of one books channel, 0.1 ms apart, go through staged networks (tools/loss.py) into real
arbiters: (a) two lines that lose 1 % each, independently: the share of messages that must be asked for again;
(b) packets overtaken by up to 64 later ones, nothing lost, on both lines and on one line alone: holes.
Exit code 1 when a figure misses its limit.
"""

import argparse
import json
import sys
import time
from collections.abc import Sequence
from random import Random
from typing import Any

from loss import Network, RandomLoss, Reorder

from feeder.book.order_book import OrderBook
from feeder.clock import ManualClock
from feeder.market.instrument import Instrument, instrument_id
from feeder.market.update import BookUpdate
from feeder.multicast.arbiter import Arbiter
from feeder.multicast.channel import Sender
from feeder.multicast.plan import Channel, ChannelPlan
from feeder.multicast.publisher import TICK_INTERVAL, Publisher
from feeder.wire.messages import Kind
from feeder.wire.packet import Packet, parse

PACKETS = 1_000_000
LOSS = 0.01  # of each line
DEPTH = 64  # packets
SPACING = 0.0001  # seconds between packets: 10,000 a second
MOST_ASKED_FOR = 0.0002  # of all messages

_LINES = ("A", "B")
_LOOK_SECONDS = 0.005  # between a consumer's looks at the time
_LONG_SECONDS = 0.1
_MOST_DELTAS = 3  # of a packet


class _Discard:
    """A sender of what is not counted."""

    line = "A"

    def send(self, packet: memoryview) -> None:
        """Nobody listens."""


class _Keep:
    """A sender that keeps the packet that was sent last."""

    line = "A"

    def __init__(self) -> None:
        self.packets: list[bytes] = []

    def send(self, packet: memoryview) -> None:
        """For all lines: their packets are the same."""
        self.packets.append(bytes(packet))


class Source:
    """A publisher of one partition with four busy books; each `send` is one packet of its books channel, or more."""

    def __init__(self, seed: int, clock: ManualClock) -> None:
        self._random = Random(seed)
        self._clock = clock
        self._kept = _Keep()

        def senders(channel: Channel) -> Sequence[Sender]:
            return [self._kept if channel.kind is Kind.BOOKS else _Discard()]

        self._publisher = Publisher(ChannelPlan(partitions=1), senders, clock, lambda _: None)
        self._books = []
        for symbol in ("BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT"):
            instrument = Instrument("linear", symbol, instrument_id("linear", symbol), -2, -3, 10, 1)
            publisher, book = self._publisher.add(instrument, 50), OrderBook(50)
            book.apply_snapshot([100, 1], [300, 1])
            publisher.restart(book, self._update(snapshot=True))
            self._books.append((publisher, book))
        self._publisher.complete = True
        self._publisher.flush()

    def send(self) -> list[bytes]:
        """The packets of one turn: one to three deltas."""
        random = self._random
        for _ in range(random.randint(1, _MOST_DELTAS)):
            publisher, book = random.choice(self._books)
            bids = [random.randint(1, 99), random.randint(0, 9)]
            asks = [random.randint(301, 399), random.randint(0, 9)]
            book.apply_delta(bids, asks)
            publisher.delta(self._update(), bids, asks)
        self._publisher.flush()
        return self._take()

    def tick(self) -> list[bytes]:
        """What the rounds send on the books channel: checksums."""
        self._publisher.tick(self._clock.monotonic())
        self._publisher.flush()
        return self._take()

    def _take(self) -> list[bytes]:
        packets, self._kept.packets = self._kept.packets, []
        return packets

    def _update(self, *, snapshot: bool = False) -> BookUpdate:
        return BookUpdate(snapshot, [], [], 1, 1, 1, 2, 3, self._clock.wall_ns(), 0)


class Consumer:
    """A network and the arbiter of the books channel behind it."""

    def __init__(self, network: Network, lines: Sequence[str]) -> None:
        self.network = network
        self.arbiter = Arbiter(0)
        self._lines = lines
        self._before = 0  # messages delivered before anything was staged

    def on_first(self, packet: Packet, now: float) -> None:
        """The feed is heard and its next sequence expected; nothing of this is counted."""
        self.arbiter.on_packet(self._lines[0], packet, now)
        self._before = self.arbiter.stats.messages

    def on_packet(self, sent: Packet, now: float) -> None:
        """A packet was sent on every line."""
        arrivals, on_packet = self.network.arrivals, self.arbiter.on_packet
        for line in self._lines:
            for _, datagram in arrivals(line, 0, sent.data, now):
                on_packet(line, sent if datagram is sent.data else parse(datagram), now)

    def on_time(self, now: float) -> None:
        """Some time passed."""
        for line, _, _, datagram in self.network.on_time(now):
            self.arbiter.on_packet(line, parse(datagram), now)
        self.arbiter.on_time(now)

    def told(self, sent: int) -> dict[str, Any]:
        """The counts; `sent` messages."""
        stats = self.arbiter.stats
        lost_packets = {line: counts.lost.total() for line, counts in self.network.stats.items()}
        overtaken = {line: counts.delayed.total() for line, counts in self.network.stats.items()}
        return {
            "messages": sent,
            "delivered": stats.messages - self._before,
            "holes": stats.holes,
            "messages_in_holes": stats.lost,
            "share_in_holes": stats.lost / sent,
            "packets_lost": lost_packets,
            "packets_overtaken": overtaken,
            "packets_that_waited": stats.reordered,
        }


def counts(seed: int, packets: int = PACKETS) -> dict[str, Any]:
    """The figures, for so many packets of the books channel; `good` says whether they keep their limits."""
    started = time.monotonic()
    clock = ManualClock()
    source = Source(seed, clock)
    # Held for no longer than the feed's own rate makes it: 64 packets are 6.4 ms.
    reordered = Reorder(DEPTH, seconds=2 * DEPTH * SPACING)
    consumers = {
        "both lines lose": Consumer(Network([RandomLoss(LOSS)], seed), _LINES),
        "both lines reorder": Consumer(Network([reordered], seed), _LINES),
        "one line reorders": Consumer(Network([reordered], seed), _LINES[:1]),
    }
    looks, ticks = round(_LOOK_SECONDS / SPACING), round(TICK_INTERVAL / SPACING)
    first: int | None = None
    sequence = sent = number = 0
    while sent < packets:
        clock.advance(SPACING)
        now = clock.monotonic()
        number += 1
        for datagram in source.send() if number % ticks else source.tick():
            packet = parse(datagram)
            if first is None:
                first = packet.next_sequence
                for consumer in consumers.values():
                    consumer.on_first(packet, now)
                continue
            sequence = packet.next_sequence
            sent += 1
            for consumer in consumers.values():
                consumer.on_packet(packet, now)
        if number % looks == 0:
            for consumer in consumers.values():
                consumer.on_time(now)
    for consumer in consumers.values():  # what is held back arrives
        consumer.network.active = False
        consumer.on_time(clock.monotonic())
    clock.advance(_LONG_SECONDS)
    for consumer in consumers.values():  # and what has not come by now is a hole
        consumer.on_time(clock.monotonic())
    assert first is not None
    told = {name: consumer.told(sequence - first) for name, consumer in consumers.items()}
    share = told["both lines lose"]["share_in_holes"]
    holes = told["both lines reorder"]["holes"] + told["one line reorders"]["holes"]
    complete = all(each["delivered"] + each["messages_in_holes"] == each["messages"] for each in told.values())
    return {
        "seed": seed,
        "packets": sent,
        "loss_per_line": LOSS,
        "reorder_depth": DEPTH,
        "packets_per_second": round(1 / SPACING),
        "most_asked_for": MOST_ASKED_FOR,
        "share_asked_for": share,
        "holes_by_reordering": holes,
        "networks": told,
        "seconds": round(time.monotonic() - started, 1),
        "good": share <= MOST_ASKED_FOR and holes == 0 and complete,
    }


def table(figures: dict[str, Any]) -> str:
    """For people."""
    rows = [f"{figures['packets']:,} packets, seed {figures['seed']}, {figures['seconds']:g} s"]
    for name, told in figures["networks"].items():
        rows.append(
            f"  {name}: {told['messages']:,} messages, lost packets {sum(told['packets_lost'].values()):,}, "
            f"overtaken {sum(told['packets_overtaken'].values()):,}; {told['holes']} holes, "
            f"{told['messages_in_holes']} messages in them ({told['share_in_holes']:.4%})"
        )
    asked, most = figures["share_asked_for"], figures["most_asked_for"]
    rows.append(f"asked for again: {asked:.4%} of messages (at most {most:.2%})")
    rows.append(f"holes by reordering alone: {figures['holes_by_reordering']} (none)")
    rows.append("holds" if figures["good"] else "MISSED")
    return "\n".join(rows)


def main() -> int:
    """0 when the figures keep their limits."""
    parser = argparse.ArgumentParser(description="What two lines' arbitration leaves to be asked for again.")
    parser.add_argument("--packets", type=int, default=PACKETS, help="of the books channel (default %(default)s)")
    parser.add_argument("--seed", type=int, default=1, help="of all that is random (default %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    if args.packets < 1:
        parser.error("--packets: at least 1")
    figures = counts(args.seed, args.packets)
    print(json.dumps(figures) if args.json else table(figures))
    return 0 if figures["good"] else 1


if __name__ == "__main__":
    sys.exit(main())
