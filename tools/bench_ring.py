"""What it costs the feed to keep what it sent: ns of CPU per packet of a channel with and without a ring, in turn.

Uses the checkout on PYTHONPATH; nothing leaves, so what is measured is packing, numbering and keeping. Says one line.
"""

import time
from itertools import chain, repeat

from bench_child import reply

_PACKETS = 40_000  # a run; the messages of three fill a ring, so that later runs forget as much as they keep
_MESSAGES = 9  # of a packet, as under the exchange's load
_RUNS = 8


def main() -> None:
    """Runs A B B A ...; the first three of each fill the ring and its memory."""
    from feeder.clock import SystemClock
    from feeder.market.update import BookUpdate
    from feeder.multicast.channel import ChannelPublisher
    from feeder.multicast.ring import Ring
    from feeder.wire import encoder
    from feeder.wire.messages import PacketFlag

    class Nowhere:
        line = "A"

        def send(self, packet: memoryview) -> None:
            pass

    update = BookUpdate(False, [], [], 1, 1, 1, 2, 3, 4)
    message = encoder.book_delta(1, 3, 1, update, -2, -3, 1, [100, 1, 101, 2, 102, 3])

    def channel(ring: Ring | None) -> ChannelPublisher:
        senders = (Nowhere(), Nowhere())
        return ChannelPublisher(0, 1, PacketFlag.INCREMENTAL, senders, SystemClock(), lambda _: None, ring)

    def cost(subject: ChannelPublisher) -> float:
        begin = time.process_time_ns()
        for _ in range(_PACKETS):
            for _ in range(_MESSAGES):
                subject.write(message)
            subject.flush()
        return (time.process_time_ns() - begin) / _PACKETS

    bare, keeping = channel(None), channel(Ring())
    costs: dict[ChannelPublisher, list[float]] = {bare: [], keeping: []}
    for first, second in chain.from_iterable(repeat(((bare, keeping), (keeping, bare)), _RUNS // 2)):
        costs[first].append(cost(first))
        costs[second].append(cost(second))
    pairs = list(zip(costs[bare], costs[keeping], strict=True))[3:]
    reply({"without_ns": [a for a, _ in pairs], "with_ns": [b for _, b in pairs], "ring_ns": [b - a for a, b in pairs]})


if __name__ == "__main__":
    main()
