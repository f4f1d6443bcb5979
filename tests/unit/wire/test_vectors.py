"""The golden bytes of tests/data/wire: feeder writes them, feeder and an SBE decoder nobody here wrote read them."""

import json

import pytest

from feeder.wire.decoder import decode
from feeder.wire.messages import MAX_DELTA_LEVELS, MAX_PACKET, MAX_SNAPSHOT_LEVELS, SCHEMA_VERSION, Message
from feeder.wire.packet import Packet, pack_header_into, parse
from tests.helpers import random_messages, values, vectors
from tests.helpers.schema import Schema
from tests.helpers.vectors import MessageVector, PacketVector

SCHEMA = Schema()
TODAY = vectors.load(SCHEMA_VERSION)
ALL = {version: vectors.load(version) for version in range(1, SCHEMA_VERSION + 1)}
MESSAGES = [pytest.param(m, id=f"v{version}: {m.name}") for version, of in ALL.items() for m in of.messages]
PACKETS = [pytest.param(p, id=f"v{version}: {p.name}") for version, of in ALL.items() for p in of.packets]


def alone(vector: MessageVector) -> Packet:
    header = {"channelId": 0, "packetFlags": 1, "sessionId": 1, "sequence": 1, "sendingTime": 1}
    return parse(vectors.header(header, 1) + vector.data)


def said(message: Message | None) -> tuple[str, int, int, dict[str, object]]:
    assert message is not None
    body = message.body
    return type(body).__name__, message.instrument_id, message.event_flags, values.of_body(body)


@pytest.mark.parametrize("vector", TODAY.messages, ids=repr)
def test_encoder_writes_the_golden_bytes(vector: MessageVector):
    data = values.encoded(vector.template, vector.values, vector.instrument_id, vector.event_flags, vector.frame_length)
    assert data.hex() == vector.data.hex()


@pytest.mark.parametrize("vector", TODAY.packets, ids=repr)
def test_packets_are_written_as_the_golden_bytes(vector: PacketVector):
    header, buffer = vector.header, bytearray(32)
    fields = (header["sessionId"], header["sequence"], header["sendingTime"])
    pack_header_into(buffer, header["channelId"], header["packetFlags"], len(vector.messages), *fields)
    data = bytes(buffer) + b"".join(
        values.encoded(m.template, m.values, m.instrument_id, m.event_flags, m.frame_length) for m in vector.messages
    )
    assert data.hex() == vector.data.hex()
    assert len(data) <= MAX_PACKET


@pytest.mark.parametrize("vector", MESSAGES)
def test_decoder_reads_the_golden_bytes_of_every_version(vector: MessageVector):
    packet = alone(vector)
    message = decode(packet, packet.frames[0])
    assert said(message) == (vector.template, vector.instrument_id, vector.event_flags, vector.values)


@pytest.mark.parametrize("vector", PACKETS)
def test_packets_of_every_version_are_read(vector: PacketVector):
    packet = parse(vector.data)
    header = vector.header
    assert packet[:5] == tuple(
        header[name] for name in ("channelId", "packetFlags", "sessionId", "sequence", "sendingTime")
    )
    assert packet.next_sequence == header["sequence"] + len(vector.messages)
    assert [said(decode(packet, frame)) for frame in packet.frames] == [
        (m.template, m.instrument_id, m.event_flags, m.values) for m in vector.messages
    ]


@pytest.mark.parametrize("vector", MESSAGES)
def test_a_foreign_decoder_reads_the_golden_bytes_of_every_version(vector: MessageVector):
    foreign = pytest.importorskip("tests.helpers.foreign", reason="the foreign SBE decoder comes with the extra `dev`")
    message = foreign.SCHEMA.decode(vector.data[8:])
    assert message.message_name == vector.template
    assert values.of_foreign(message.value) == vector.values


def test_a_foreign_decoder_reads_any_message_of_any_template_as_ours_does():
    foreign = pytest.importorskip("tests.helpers.foreign", reason="the foreign SBE decoder comes with the extra `dev`")
    for vector in random_messages.random_messages(seed=17, each=60):
        packet = alone(vector)
        assert said(decode(packet, packet.frames[0])) == (vector.template, *vector[2:4], vector.values), vector.name
        assert values.of_foreign(foreign.SCHEMA.decode(vector.data[8:]).value) == vector.values, vector.name


@pytest.mark.parametrize("vector", TODAY.messages, ids=repr)
def test_golden_bytes_are_what_the_schema_says(vector: MessageVector):
    again = SCHEMA.encode(vector.template, vector.values, vector.instrument_id, vector.event_flags, vector.frame_length)
    assert again.hex() == vector.data.hex()


def test_a_new_version_of_the_schema_changed_nothing_of_the_old():
    """Version 1's bytes were written by version 1's encoder; apart from the version they are today's."""
    today = {m.name: m for m in TODAY.messages}
    for old in ALL[1].messages:
        assert old.data[14:16] == b"\1\0"
        assert old.data[:14] + today[old.name].data[14:16] + old.data[16:] == today[old.name].data


def told(template: str, group: str | None = None) -> dict[str, set[object]]:
    """Field name -> the values that some vector has there, in the root or in the group's entries."""
    found: dict[str, set[object]] = {}
    for vector in TODAY.messages:
        if vector.template == template:
            for row in vector.values[group] if group else [vector.values]:
                for name, value in row.items():
                    found.setdefault(name, set()).add(len(value) if isinstance(value, list) else value)
    return found


def test_every_template_enum_value_and_extreme_is_among_the_vectors():
    enums: dict[str, set[object]] = {}
    for template in SCHEMA.templates.values():
        blocks = [(template.root, told(template.name))]
        if template.group:
            assert 0 in told(template.name)[template.group], "no empty group"
            blocks.append((template.entry, told(template.name, template.group)))
        for block, values_of in blocks:
            for field in block.fields:
                if field.is_pad:
                    continue
                seen = values_of[field.name]
                if field.enum is not None:
                    enums.setdefault(field.type, set()).update(seen)
                elif field.code.endswith("s"):
                    assert max(len(str(text)) for text in seen) >= field.size - 1, field
                elif field.code in "BHIQ" and field.name != "bidCount":  # which the number of levels bounds
                    assert 256**field.size - 1 in seen, field
                if field.null is not None:
                    assert None in seen, field
    assert enums == {name: set(SCHEMA.enum(name).values()) for name in enums}
    assert len(enums) == 7
    assert told("BookDelta")["levels"] >= {0, MAX_DELTA_LEVELS}
    assert told("SnapshotLevels")["levels"] >= {0, MAX_SNAPSHOT_LEVELS}
    assert told("BookDelta", "levels")["price"] >= {2**63 - 1, -(2**63)}


def test_vectors_without_bytes_are_completed_and_others_stay_frozen():
    document = json.loads((vectors.FOLDER / f"v{SCHEMA_VERSION}.json").read_text("utf-8"))
    before = vectors.text(document)
    del document["messages"][0]["hex"], document["packets"][0]["hex"]
    vectors.complete(document, SCHEMA)
    assert vectors.text(document) == before
    with pytest.raises(ValueError, match="frozen"):
        vectors.complete({"schemaVersion": 1, "messages": [], "packets": []}, SCHEMA)
