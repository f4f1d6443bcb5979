"""The golden bytes of tests/data/wire: whole messages and packets in hex, with what they say beside them.

A file belongs to one version of the schema and is frozen with it. For a new version, or a new case, write what a
message or packet is to say without its `hex`, and let `python -m tests.helpers.vectors FILE` add that by schema.xml.
"""

import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.schema import Schema

FOLDER = Path(__file__).parents[1] / "data" / "wire"

_HEADER = struct.Struct("<HBBHBBQQQ")


class MessageVector(NamedTuple):
    """One message, prefix to last pad byte. `values` are by the schema's names."""

    name: str
    template: str
    instrument_id: int
    event_flags: int
    frame_length: int
    values: dict[str, Any]
    data: bytes

    def __repr__(self) -> str:
        """What pytest calls it."""
        return self.name


class PacketVector(NamedTuple):
    """One datagram. `header` has PROTOCOL.md's names."""

    name: str
    header: dict[str, int]
    messages: list[MessageVector]
    data: bytes

    def __repr__(self) -> str:
        """What pytest calls it."""
        return self.name


class Vectors(NamedTuple):
    """All of one version."""

    messages: list[MessageVector]
    packets: list[PacketVector]


def load(version: int) -> Vectors:
    """The vectors of one version of the schema."""
    document = json.loads((FOLDER / f"v{version}.json").read_text("utf-8"))
    messages = {
        m["name"]: MessageVector(
            m["name"],
            m["template"],
            m["instrumentId"],
            m["eventFlags"],
            m["frameLength"],
            m["values"],
            bytes.fromhex(m["hex"]),
        )
        for m in document["messages"]
    }
    packets = [
        PacketVector(p["name"], p["header"], [messages[name] for name in p["messages"]], bytes.fromhex(p["hex"]))
        for p in document["packets"]
    ]
    return Vectors(list(messages.values()), packets)


def header(fields: dict[str, int], count: int) -> bytes:
    """The header of a packet of `count` messages."""
    return _HEADER.pack(
        0x4642,
        1,
        32,
        fields["channelId"],
        fields["packetFlags"],
        count,
        fields["sessionId"],
        fields["sequence"],
        fields["sendingTime"],
    )


def complete(document: dict[str, Any], schema: Schema) -> None:
    """Add the bytes of what has none yet."""
    if document["schemaVersion"] != schema.version:
        raise ValueError(f"vectors of version {document['schemaVersion']} are frozen; the schema has {schema.version}")
    for message in document["messages"]:
        if "hex" not in message:
            data = schema.encode(
                message["template"],
                message["values"],
                message["instrumentId"],
                message["eventFlags"],
                message.get("frameLength", 0),
            )
            message["frameLength"] = len(data)
            message["hex"] = data.hex()
    data_of = {message["name"]: message["hex"] for message in document["messages"]}
    for packet in document["packets"]:
        if "hex" not in packet:
            names = packet["messages"]
            packet["hex"] = header(packet["header"], len(names)).hex() + "".join(data_of[name] for name in names)


def text(document: dict[str, Any]) -> str:
    """JSON of one message or packet a line."""

    def lines() -> Iterator[str]:
        yield f'{{"schemaVersion": {document["schemaVersion"]},'
        for name, end in (("messages", "],"), ("packets", "]}")):
            rows = document[name]
            yield f'"{name}": ['
            yield from (json.dumps(row) + ("," if row is not rows[-1] else "") for row in rows)
            yield end

    return "\n".join(lines()) + "\n"


def main() -> None:
    """Complete the files named on the command line."""
    for name in sys.argv[1:]:
        path = Path(name)
        document = json.loads(path.read_text("utf-8"))
        complete(document, Schema())
        path.write_text(text(document), "utf-8")


if __name__ == "__main__":
    main()
