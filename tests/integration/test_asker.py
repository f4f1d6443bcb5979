"""The consumer's own socket for requests, and what a subscriber over real sockets gets back through it."""

import asyncio
import socket

from feeder.client import HoleFilled, Line, PacketsLost, Subscriber
from feeder.multicast.asker import Asker
from feeder.multicast.receiver import Receiver
from feeder.wire.messages import Kind
from tests.helpers.audit import Auditor
from tests.helpers.processes import feeder, multicast_section, simulator, until


async def test_only_who_was_asked_is_heard():
    heard: list[bytes] = []
    asker = Asker(heard.append)
    asker.open()
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger,
    ):
        try:
            server.bind(("127.0.0.1", 0))
            server.setblocking(False)
            asker.ask(b"please", server.getsockname())
            request, consumer = await asyncio.wait_for(asyncio.get_running_loop().sock_recvfrom(server, 100), 5)
            assert request == b"please"
            stranger.sendto(b"lies", ("127.0.0.1", consumer[1]))
            server.sendto(b"here", ("127.0.0.1", consumer[1]))
            await until(lambda: bool(heard), 5, "the answer")
            assert heard == [b"here"]
            assert asker.strangers == 1
        finally:
            asker.close()


async def test_a_request_that_cannot_be_sent_is_counted_and_harmless():
    asker = Asker(lambda _: None)
    asker.ask(b"not open yet", ("127.0.0.1", 9))
    asker.open()
    try:
        asker.ask(b"to no port", ("127.0.0.1", 0))
        asker.ask(b"and again", ("127.0.0.1", 0))
        assert asker.unsent == 2
    finally:
        asker.close()


class Hard(Subscriber):
    """Loses every seventh packet of books on both lines, once each."""

    def __init__(self, **keys):
        super().__init__(None, **keys)
        self.lost = 0

    def on_datagram(self, line, channel_id, data):
        sequence = int.from_bytes(data[16:24], "little")
        if channel_id % 16 == Kind.BOOKS and data[7] and sequence % 7 == 0:
            self.lost += 1
            return
        super().on_datagram(line, channel_id, data)


async def test_what_both_lines_lose_comes_back_from_the_feeder_itself(tmp_path):
    section = multicast_section()
    async with simulator("--symbols=6", "--updates-per-second=200") as (_, addresses):
        settings = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": "linear", "symbols": "all"}],
            "multicast": section,
        }
        lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
        async with feeder(tmp_path, settings) as running, Hard(lines=lines, port=section["port"]) as consumer:
            auditor = Auditor(consumer, addresses)
            filled: list[HoleFilled] = []
            holes: list[PacketsLost] = []
            consumer.on(HoleFilled, filled.append)
            consumer.on(PacketsLost, holes.append)
            await until(lambda: len(filled) >= 20, 30, "20 holes to be filled")
            assert all(hole.dropped_here == 0 for hole in holes), "the network's loss, not ours"
            await until(
                lambda: len(consumer.books) == 6 and all(view.is_live for view in consumer.books.values()), 20, "LIVE"
            )
            await asyncio.to_thread(auditor.compare)
            assert auditor.wrong == []
            assert auditor.checked > 20
            stats = [feed.repairs.stats for feed in consumer.feeds.values()]
            assert sum(s.requests for s in stats) > 0
            assert all(s.answer_bytes <= 4 * s.request_bytes for s in stats)
            assert await running.end() == 0, running.log


async def test_datagrams_that_a_full_buffer_dropped_are_counted(monkeypatch):
    """The socket is opened and not read: what does not fit its buffer is dropped, and the kernel says how much."""
    monkeypatch.setattr("feeder.multicast.receiver.RECEIVE_BUFFER", 4096)
    section = multicast_section()
    lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
    consumer = Subscriber(None, lines=lines, port=section["port"], partitions=1)
    books = consumer._plan.channel(0, Kind.BOOKS)
    receiver = Receiver([books], lambda *_: None)
    receiver.open()
    loop = asyncio.get_running_loop()
    try:
        for sock in receiver._sockets:
            loop.remove_reader(sock)
        assert receiver.dropped(books.channel_id) == 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton("127.0.0.1"))
            end = books.endpoints[0]
            for _ in range(200):
                sender.sendto(bytes(1400), (end.group, end.port))
        dropped = receiver.dropped(books.channel_id)
        assert 100 < dropped < 200
        receiver.close()
        receiver.open()
        assert receiver.dropped(books.channel_id) == dropped, "what closed sockets dropped still counts"
    finally:
        receiver.close()
