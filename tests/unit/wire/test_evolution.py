"""Today's decoders on what a later feeder sends, and decoders of a later schema on what is sent today."""

import io

import pytest
import sbe

from feeder.errors import WireError
from feeder.wire.decoder import decode
from feeder.wire.messages import SCHEMA_VERSION
from feeder.wire.packet import Packet, parse
from tests.helpers import evolution, foreign, values, vectors
from tests.helpers.vectors import MessageVector

VECTORS = vectors.load(SCHEMA_VERSION)
LATER_FOREIGN = sbe.Schema.parse(io.StringIO(evolution.later_text()))
HEADER = {"channelId": 0, "packetFlags": 1, "sessionId": 1, "sequence": 1, "sendingTime": 1}


def later(vector: MessageVector, **changed: object) -> bytes:
    fields = {**vector.values, **changed}
    return evolution.encode_later(vector.template, fields, vector.instrument_id, vector.event_flags)


def first(template: str) -> MessageVector:
    return next(vector for vector in VECTORS.messages if vector.template == template)


def read(packet: Packet) -> list[object]:
    """What feeder's decoder says of each message, None for what it passes over."""
    messages = [decode(packet, frame) for frame in packet.frames]
    return [None if message is None else values.of_body(message.body) for message in messages]


@pytest.mark.parametrize("vector", VECTORS.messages, ids=repr)
def test_fields_appended_to_roots_and_entries_are_passed_over(vector: MessageVector):
    data = later(vector)
    assert data[14] == SCHEMA_VERSION + 1
    assert read(parse(vectors.header(HEADER, 1) + data)) == [vector.values]
    assert values.of_foreign(foreign.SCHEMA.decode(data[8:]).value) == vector.values
    grown = values.of_foreign(LATER_FOREIGN.decode(data[8:]).value)
    assert grown == evolution.later_values(vector.template, vector.values), "the later schema does append"


@pytest.mark.parametrize("vector", VECTORS.packets, ids=repr)
def test_a_longer_packet_header_and_new_templates_are_passed_over(vector: vectors.PacketVector):
    newcomer = evolution.LATER.encode("Newcomer", evolution.NEWCOMER, 0, 3)
    messages = [newcomer, *map(later, vector.messages), newcomer] if vector.messages else []
    packet = parse(evolution.later_packet(vector.header, messages))
    assert packet.sequence == vector.header["sequence"]
    assert packet.next_sequence == packet.sequence + len(messages), "what is passed over is counted"
    assert [said for said in read(packet) if said] == [m.values for m in vector.messages]


@pytest.mark.parametrize(
    ("template", "field", "read_as"),
    [
        ("InstrumentStatus", "status", "STALE"),
        ("Bbo", "status", "STALE"),
        ("SnapshotBegin", "status", "STALE"),
        ("InstrumentStatus", "reason", "NONE"),
        ("BookClear", "reason", "NONE"),
        ("SnapshotBegin", "reason", "NONE"),
        ("InstrumentDefinition", "status", "PRELAUNCH"),
        ("RetransmitReject", "reason", "NOT_HELD"),
    ],
)
def test_an_enum_value_of_a_later_version_is_read_as_what_promises_least(template, field, read_as):
    vector = first(template)
    packet = parse(vectors.header(HEADER, 1) + later(vector, **{field: "LATER"}))
    assert read(packet) == [{**vector.values, field: read_as}]


@pytest.mark.parametrize(("template", "field"), [("InstrumentDefinition", "category"), ("ChannelInfo", "kind")])
def test_what_only_a_later_version_knows_the_sort_of_is_passed_over(template, field):
    packet = parse(vectors.header(HEADER, 1) + later(first(template), **{field: "LATER"}))
    assert read(packet) == [None]


def test_a_trade_that_is_neither_bought_nor_sold_is_refused():
    packet = parse(vectors.header(HEADER, 1) + later(first("Trade"), aggressorSide="LATER"))
    with pytest.raises(WireError):
        read(packet)


def test_an_enum_of_every_field_is_tried_above():
    """A template that gets an enum field decides what an unknown value of it says."""
    tried = {("Trade", "aggressorSide"), ("InstrumentDefinition", "category"), ("ChannelInfo", "kind")}
    tried |= {("InstrumentStatus", "status"), ("Bbo", "status"), ("SnapshotBegin", "status")}
    tried |= {("InstrumentStatus", "reason"), ("BookClear", "reason"), ("SnapshotBegin", "reason")}
    tried |= {("InstrumentDefinition", "status"), ("RetransmitReject", "reason")}
    templates = evolution.TODAY.templates.values()
    assert {(t.name, f.name) for t in templates for f in t.root.fields if f.enum is not None} == tried
