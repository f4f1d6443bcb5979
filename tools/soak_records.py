"""What a consumer of the soak is told, and what it writes down: one JSON array a line, in a file read while it grows.

Times are `time.monotonic()`, which all programs of one machine share. A book is its instrumentId.
"""

from collections.abc import Iterator
from pathlib import Path

import msgspec


class Settings(msgspec.Struct, frozen=True):
    """What the consumer is to do.

    instruments: (category, symbol) of each; None follows whatever the feeder defines. books: how many that will be.
    faults: the network's, as tools/loss.py reads them. share: of one in so many updates the checksum is taken, all
    consumers the same ones. with_text: the exchange's checksum as well. receive_buffer: bytes of each socket.
    """

    name: str
    records: str
    port: int
    lines: list[tuple[str, str, str]]
    partitions: int
    books: int
    instruments: list[tuple[str, str]] | None = None
    seed: int = 0
    faults: str = ""
    with_text: bool = False
    share: int = 1
    sample_seconds: float = 0.05
    receive_buffer: int | None = None


class Mark(msgspec.Struct, array_like=True, tag="mark", frozen=True):
    """A moment of the consumer: joined, calm (no more losses are staged), all LIVE, not all LIVE, end."""

    time: float
    what: str


class Look(msgspec.Struct, array_like=True, tag="look", frozen=True):
    """A LIVE book as it stood at its instrument sequence: the wire's checksum, the exchange's ids.

    text: the simulator's checksum of the same levels, where it was computed (the reference does).
    """

    time: float
    session: int
    book: int
    sequence: int
    checksum: int
    update_id: int
    venue_sequence: int
    text: int | None = None
    conflated: bool = False


class Sample(msgspec.Struct, array_like=True, tag="sample", frozen=True):
    """Every book at one moment: its instrument sequence, and its status where that is not LIVE."""

    time: float
    sessions: dict[int, int]  # by partition
    sequences: dict[int, int]
    others: dict[int, str]


class Status(msgspec.Struct, array_like=True, tag="status", frozen=True):
    """A StatusChanged event."""

    time: float
    book: int
    status: str
    reason: str


class Flag(msgspec.Struct, array_like=True, tag="flag", frozen=True):
    """An event of a whole partition, by its class' name; what it has no number for is 0.

    live: books of the partition that say LIVE at the moment at which they are told of a hole in what they are made of.
    """

    time: float
    event: str
    partition: int
    kind: str = ""
    first: int = 0
    last: int = 0
    seconds: float = 0.0
    dropped_here: int = 0
    session: int = 0
    live: int = 0


class Altered(msgspec.Struct, array_like=True, tag="altered", frozen=True):
    """The consumer was given a sound packet whose levels of this book are not what was sent."""

    time: float
    book: int


class Figures(msgspec.Struct, array_like=True, tag="figures", frozen=True):
    """Counters of the consumer so far, by name."""

    time: float
    counts: dict[str, int]


Record = Mark | Look | Sample | Status | Flag | Altered | Figures

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    """One line, with its end."""
    return _encoder.encode(record) + b"\n"


class Tail:
    """Reads a file of records while it is written; a line that is not whole yet waits."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> Iterator[Record]:
        """What was added since the last time."""
        if not self._path.exists():
            return
        with self._path.open("rb") as file:
            file.seek(self._offset)
            added = file.read()
        whole = added.rfind(b"\n") + 1
        self._offset += whole
        for line in added[:whole].splitlines():
            yield _decoder.decode(line)
