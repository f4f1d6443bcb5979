"""The feed as a later feeder would send it: today's schema with something appended wherever something may be.

Each root block and each group entry has one more field, each enum one more value, there is a template more, and the
packet header is longer. What is encoded goes through tests.helpers.schema, not through feeder.
"""

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterable
from typing import Any

from tests.helpers import vectors
from tests.helpers.schema import NAMESPACE, TEXT, Schema, Values

TODAY = Schema()
Datagram = tuple[str, int, bytes]  # line, channel id, payload

NEWCOMER = {"halts": 3, "until": 4711, "levels": [{"price": 1}, {"price": 2}]}
"""Values of the template that today's schema does not have."""

_IN_ROOT = {"appended": 2**63 + 5}
_IN_ENTRY = {"appendedToEntry": 513}
_HEADER_TAIL = bytes(range(200, 224))


def later_text() -> str:
    """The next version of schema.xml."""
    ElementTree.register_namespace("sbe", NAMESPACE.strip("{}"))
    root = ElementTree.fromstring(TEXT)
    version = str(TODAY.version + 1)
    root.set("version", version)
    types = root.find("types")
    assert types is not None
    optional = {"presence": "optional"}
    ElementTree.SubElement(
        types, "type", {"name": "Appended", "primitiveType": "uint64", "nullValue": str(2**64 - 1), **optional}
    )
    ElementTree.SubElement(
        types, "type", {"name": "AppendedSmall", "primitiveType": "uint16", "nullValue": "65535", **optional}
    )
    for enum in types.iterfind("enum"):
        last = max(int(value.text or "") for value in enum)
        value = ElementTree.SubElement(enum, "validValue", {"name": "LATER", "sinceVersion": version})
        value.text = str(last + 1)
    for message in root.iterfind(f"{NAMESPACE}message"):
        _append(message, "appended", "Appended", 8, version)
        for group in message.iterfind("group"):
            _append(group, "appendedToEntry", "AppendedSmall", 2, version)
    newcomer = ElementTree.SubElement(
        root, f"{NAMESPACE}message", {"name": "Newcomer", "id": "50", "blockLength": "12", "sinceVersion": version}
    )
    ElementTree.SubElement(newcomer, "field", {"name": "until", "id": "1", "type": "Nanoseconds"})
    ElementTree.SubElement(newcomer, "field", {"name": "halts", "id": "2", "type": "Count32"})
    group = ElementTree.SubElement(
        newcomer,
        "group",
        {"name": "levels", "id": "3", "dimensionType": "groupSizeEncoding", "blockLength": "8"},
    )
    ElementTree.SubElement(group, "field", {"name": "price", "id": "4", "type": "Mantissa"})
    return ElementTree.tostring(root, "unicode")


def _append(parent: ElementTree.Element, name: str, type_: str, size: int, version: str) -> None:
    """Behind the last field, before any group."""
    index = max(i for i, child in enumerate(parent) if child.tag == "field")
    field = ElementTree.Element("field", {"name": name, "id": "900", "type": type_, "sinceVersion": version})
    parent.insert(index + 1, field)
    parent.set("blockLength", str(int(parent.attrib["blockLength"]) + size))


def later_values(template: str, fields: Values) -> dict[str, Any]:
    """The same message with what the later version appends."""
    group = TODAY.templates[template].group
    grown = {**fields, **_IN_ROOT}
    if group:
        grown[group] = [{**entry, **_IN_ENTRY} for entry in fields[group]]
    return grown


def later_packet(header: dict[str, int], messages: Iterable[bytes]) -> bytes:
    """A packet with a header that is longer, and of a later version."""
    messages = list(messages)
    start = bytearray(vectors.header(header, len(messages)) + _HEADER_TAIL)
    start[2] = 2
    start[3] = len(start)
    return bytes(start) + b"".join(messages)


LATER = Schema(later_text())


def encode_later(template: str, fields: Values, instrument_id: int, event_flags: int) -> bytes:
    """A message of today's templates as the later version has it."""
    return LATER.encode(template, later_values(template, fields), instrument_id, event_flags)


class LaterFeeder:
    """Today's datagrams as the later feeder would send them: data packets begin with a Newcomer, between two events.

    Sequences move on by as many, also where snapshots quote them. `decode` makes (template, values) of an SBE message.
    """

    def __init__(self, decode: Callable[[bytes], tuple[str, dict[str, Any]]]) -> None:
        self.newcomers = 0
        self._decode = decode
        self._sent: dict[tuple[int, int], int] = {}  # (channel, sequence as today) -> as sent
        self._next: dict[int, int] = {}  # channel -> next sequence as today

    def translate(self, datagrams: list[Datagram]) -> list[Datagram]:
        """All that was sent since the last call, on all lines."""
        # A snapshot quotes sequences of its partition's first channel: that one is numbered before.
        for _, channel_id, data in sorted(datagrams, key=lambda datagram: datagram[1]):
            self._number(channel_id, data)
        return [(line, channel_id, self._packet(channel_id, data)) for line, channel_id, data in datagrams]

    def _number(self, channel_id: int, data: bytes) -> None:
        sequence, count = int.from_bytes(data[16:24], "little"), data[7]
        known = self._next.setdefault(channel_id, sequence)
        if sequence < known:  # the other line's copy
            return
        sent = self._sent.setdefault((channel_id, sequence), sequence) + _begins_event(data)
        for index in range(count + 1):  # what comes next as well: heartbeats and the next packet begin there
            self._sent[channel_id, sequence + index] = sent + index
        self._next[channel_id] = sequence + count

    def _packet(self, channel_id: int, data: bytes) -> bytes:
        names = ("packetFlags", "sessionId", "sequence", "sendingTime")
        numbers = (data[6], *(int.from_bytes(data[i : i + 8], "little") for i in (8, 16, 24)))
        header = {"channelId": channel_id, **dict(zip(names, numbers, strict=True))}
        header["sequence"] = self._sent[channel_id, header["sequence"]]
        messages = []
        if _begins_event(data):
            self.newcomers += 1
            header["sequence"] -= 1
            messages.append(LATER.encode("Newcomer", NEWCOMER, 0, 3))
        offset = data[3]
        for _ in range(data[7]):
            length = int.from_bytes(data[offset : offset + 2], "little")
            template, fields = self._decode(data[offset + 8 : offset + length])
            if template == "SnapshotBegin":
                books = channel_id - channel_id % 16
                fields["booksSequence"] = self._sent.get((books, fields["booksSequence"]), 0)
            instrument_id = int.from_bytes(data[offset + 4 : offset + 8], "little")
            messages.append(encode_later(template, fields, instrument_id, data[offset + 2]))
            offset += length
        return later_packet(header, messages)


def _begins_event(data: bytes) -> bool:
    """Whether the datagram's first message, if it has any, is an event's first: another may stand before it."""
    return bool(data[7] and data[data[3] + 2] & 0x01)
