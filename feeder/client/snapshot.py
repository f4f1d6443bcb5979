"""A book's snapshot, put together from its messages."""

from feeder.wire.messages import SnapshotBegin, SnapshotEnd, SnapshotLevels


class SnapshotAssembly:
    """One snapshot on its way: fragments in order, every level that was promised."""

    __slots__ = ("_fragments", "asks", "begin", "bids", "instrument_id")

    def __init__(self, instrument_id: int, begin: SnapshotBegin) -> None:
        self.instrument_id = instrument_id
        self.begin = begin
        self.bids: list[int] = []  # flat, best first
        self.asks: list[int] = []
        self._fragments = 0

    def add(self, body: SnapshotLevels) -> bool:
        """Take a fragment; False when it is not the next one."""
        if body.fragment != self._fragments or body.instrument_sequence != self.begin.instrument_sequence:
            return False
        split = 2 * body.bid_count
        self.bids += body.levels[:split]
        self.asks += body.levels[split:]
        self._fragments += 1
        return True

    def is_whole(self, end: SnapshotEnd) -> bool:
        """Whether nothing is missing between begin and this end."""
        begin = self.begin
        return (
            end.instrument_sequence == begin.instrument_sequence
            and self._fragments == begin.fragments
            and (len(self.bids) // 2, len(self.asks) // 2) == (begin.bid_count, begin.ask_count)
        )
