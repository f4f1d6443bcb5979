"""Listens to every channel on every line for what is said last."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from feeder.multicast.plan import ChannelPlan, Line
from feeder.multicast.receiver import Receiver, sound
from feeder.wire.messages import PacketFlag


class Farewell:
    """How many packets each (line, channel) brought, and of how many of those the end of the session was said."""

    def __init__(self) -> None:
        self.packets: dict[tuple[str, int], int] = {}
        self.ends: dict[tuple[str, int], int] = {}
        self.after_the_end = 0  # packets that went on as if it had not been

    @property
    def complete(self) -> bool:
        """Whether every channel has said it on every line."""
        return all(self.ends.values())

    def on_datagram(self, line: str, channel_id: int, data: bytes) -> None:
        place = line, channel_id
        self.packets[place] += 1
        if sound(data, channel_id).flags & PacketFlag.END_OF_SESSION:
            self.ends[place] += 1
        elif self.ends[place]:
            self.after_the_end += 1


@contextmanager
def farewell(section: dict[str, Any]) -> Iterator[Farewell]:
    """Hears the feed of a multicast section of a configuration; on the running event loop."""
    lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
    plan = ChannelPlan(section.get("partitions", 4), section["port"], lines)
    heard = Farewell()
    for channel in plan.channels:
        for end in channel.endpoints:
            heard.packets[end.line, channel.channel_id] = heard.ends[end.line, channel.channel_id] = 0
    receiver = Receiver(plan.channels, heard.on_datagram)
    receiver.open()
    try:
        yield heard
    finally:
        receiver.close()
