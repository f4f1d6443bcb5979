"""The bench's own request, written from PROTOCOL.md alone, is one to feeder, and its tally is right."""

import bench_asker

from feeder.clock import ManualClock
from feeder.multicast.channel import ChannelPublisher
from feeder.multicast.retransmit import RetransmitServer
from feeder.multicast.ring import Ring
from feeder.wire import encoder
from feeder.wire.messages import BookChecksum, PacketFlag


class Line:
    line = "A"

    def __init__(self) -> None:
        self.sent: list[bytes] = []

    def send(self, packet: memoryview) -> None:
        self.sent.append(bytes(packet))


def test_a_request_of_the_bench_is_answered_and_counted() -> None:
    line, clock = Line(), ManualClock()
    books = ChannelPublisher(48, 7, PacketFlag.INCREMENTAL, [line], clock, lambda _: None, Ring())
    for _ in range(2):
        for _ in range(30):
            books.write(encoder.book_checksum(1, BookChecksum(books.sequence, 2, 3)))
        books.flush()
    server = RetransmitServer(53, [books], clock)
    tally = bench_asker.Tally()
    lost = line.sent[1]
    for session in (lost, lost[:8] + bytes(8) + lost[16:]):
        request = bench_asker._request(session, 3)
        tally.asked(request)
        (answer,) = server.answer(request, "192.0.2.1", clock.monotonic())
        tally.answered(answer, lost)
    assert (tally.requests, tally.answers, tally.rejects, tally.wrong) == (2, 1, 1, 0)
    assert (tally.bytes_asked, tally.bytes_answered) == (704, len(lost) + 88)
    assert tally.largest_ratio == len(lost) / 352
    tally.answered(answer[:4] + (48).to_bytes(2, "little") + answer[6:], lost)
    assert tally.wrong == 1
