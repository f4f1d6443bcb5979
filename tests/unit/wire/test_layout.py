"""The layouts in code are those of schema.xml, offset by offset; the schema keeps to its subset; bytes are pinned."""

import struct
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

import feeder.wire
from feeder.market.instrument import TradingStatus
from feeder.market.status import BookStatus, StatusReason
from feeder.market.update import Side
from feeder.wire import layout
from feeder.wire.messages import CATEGORY_CODES, Kind, Template
from tests.helpers.wire_samples import packet, samples

SCHEMA = ElementTree.parse(Path(feeder.wire.__file__).with_name("schema.xml")).getroot()
NAMESPACE = "{http://fixprotocol.io/2016/sbe}"
CODES = {"char": "c", "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int8": "b", "int64": "q"}
TYPES = {e.get("name"): e for e in SCHEMA.find("types")}  # type: ignore[union-attr]
MESSAGES = SCHEMA.findall(f"{NAMESPACE}message")


def codes(parent: ElementTree.Element) -> list[tuple[str, str]]:
    """(field name, struct code) of the fields of a message or group, as the schema says."""
    fields = []
    for field in parent.findall("field"):
        declared = TYPES[field.get("type")]
        code = CODES[declared.get("primitiveType") or declared.get("encodingType")]
        if code == "c":
            code = f"{declared.get('length')}s"
        fields.append((field.get("name"), code))
    return fields


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: m.get("name"))
def test_root_block_in_code_is_that_of_the_schema(message):
    fields = codes(message)
    root = layout.ROOTS[Template(int(message.get("id")))]
    expected = struct.Struct("<" + "".join(code for _, code in fields))
    assert expected.size == root.size == int(message.get("blockLength"))
    # the same offsets: bytes that name their position read the same both ways, pads aside
    raw = bytes(range(root.size))
    values = [v for (name, _), v in zip(fields, expected.unpack(raw), strict=True) if not name.startswith("pad")]
    assert list(root.unpack(raw)) == values


def test_every_template_is_in_schema_and_code():
    assert {int(m.get("id")) for m in MESSAGES} == {int(t) for t in Template} == {int(t) for t in layout.FORMATS}


def test_enums_in_code_are_those_of_the_schema():
    def values(name):
        return {e.get("name"): int(e.text) for e in TYPES[name]}

    for name, enum in [("TradingStatus", TradingStatus), ("BookStatus", BookStatus), ("StatusReason", StatusReason)]:
        assert values(name) == {e.name: int(e) for e in enum}
    assert values("AggressorSide") == {e.name: int(e) for e in Side}
    assert values("ChannelKind") == {e.name: int(e) for e in Kind}
    assert values("Category") == {c.name: code for c, code in CATEGORY_CODES.items()}


def test_schema_keeps_to_the_subset_independent_decoders_handle():
    for element in SCHEMA.iter():
        assert "offset" not in element.attrib
        assert element.tag != "data"
    for message in MESSAGES:
        for field in message.iter("field"):
            assert field.get("type") in TYPES, "a field of a primitive type"
        assert not [g for g in message.iter("group") if g.findall("group")]


@pytest.mark.parametrize(("body", "data"), samples(), ids=lambda s: type(s).__name__)
def test_every_message_is_a_multiple_of_eight_and_says_its_length(body, data):
    assert len(data) % 8 == 0
    assert struct.unpack_from("<H", data)[0] == len(data)


def test_levels_of_a_delta_are_eight_aligned_and_81_fill_a_packet():
    head = layout.with_levels(Template.BOOK_DELTA, 0).size
    assert head % 8 == 0
    assert 32 + head + 81 * 16 <= 1400 < 32 + head + 82 * 16
    assert 32 + layout.with_levels(Template.SNAPSHOT_LEVELS, 83).size <= 1400
    assert 32 + layout.with_levels(Template.SNAPSHOT_LEVELS, 84).size > 1400


def test_header_bytes_stand_where_protocol_says():
    data = packet(sequence=0x0102030405060708, session=0x1112131415161718, channel_id=0x0203, flags=0x01)
    assert data.hex() == (
        "4246"  # protocolId 0x4642
        "01"  # headerVersion
        "20"  # headerLength 32
        "0302"  # channelId
        "01"  # packetFlags
        "00"  # messageCount
        "1817161514131211"  # sessionId
        "0807060504030201"  # sequence
        "00002a36fe9c9717"  # sendingTime
    )


def test_book_delta_bytes_are_pinned():
    delta = next(data for body, data in samples() if type(body).__name__ == "BookDelta")
    assert delta.hex() == (
        "6800" "03" "00" "dec0f1e7"  # frameLength 104, first and last of event, instrumentId
        "3400" "0a00" "4246" "0300"  # blockLength 52, template 10, schema 17986, version 3
        "0800000000000000" "e903000000000000" "da9a813300000000"  # instrument sequence, update id, venue sequence
        "0047dbe1deb27616" "80cbf9e1deb27616" "0300000000000000"  # match, send, receive time
        "fe" "fd" "0100" "1000" "0200"  # exponents -2 and -3, one bid; two levels of 16 bytes
        "ae9b010000000000" "6e01000000000000" "f99b010000000000" "0500000000000000"
    )  # fmt: skip
