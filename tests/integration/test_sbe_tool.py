"""The reference SBE tool reads the schema, and every message as feeder does: its interpreter and its generated code."""

from pathlib import Path

import pytest

import feeder.wire
from feeder.wire.decoder import decode
from feeder.wire.packet import parse
from tests.helpers import evolution, random_messages, values, vectors
from tests.helpers.sbe_tool import SbeTool

SCHEMA = Path(feeder.wire.__file__).with_name("schema.xml")
VERSIONS = range(1, evolution.TODAY.version + 1)
GOLDEN = [vector for version in VERSIONS for vector in vectors.load(version).messages]
TODAY = vectors.load(evolution.TODAY.version).messages
HEADER = {"channelId": 0, "packetFlags": 1, "sessionId": 1, "sequence": 1, "sendingTime": 1}


@pytest.fixture(scope="module")
def tool() -> SbeTool:
    return SbeTool()


@pytest.fixture
def later_schema(tmp_path: Path) -> Path:
    path = tmp_path / "later.xml"
    path.write_text(evolution.later_text(), "utf-8")
    return path


def later(vector: vectors.MessageVector) -> bytes:
    return evolution.encode_later(vector.template, vector.values, vector.instrument_id, vector.event_flags)[8:]


def without_what_was_appended(vector: vectors.MessageVector) -> dict[str, object]:
    """As a later schema's decoder sees a message of today: null where today has nothing."""
    return {
        name: None if name == "appended" else [{**e, "appendedToEntry": None} for e in v] if isinstance(v, list) else v
        for name, v in evolution.later_values(vector.template, vector.values).items()
    }


def as_texts(fields: dict[str, object]) -> dict[str, object]:
    """Values as Java prints them, which knows no unsigned numbers of 64 bits."""
    texts: dict[str, object] = {}
    for name, value in fields.items():
        if isinstance(value, list):
            texts[name] = [as_texts(entry) for entry in value]
        elif value is None:
            texts[name] = str(-(2**63))
        else:
            texts[name] = str(value - 2**64 if isinstance(value, int) and value >= 2**63 else value)
    return texts


def test_schema_is_valid_without_a_warning_and_its_generated_code_compiles_and_reads_the_same(tool, tmp_path):
    sources = tool.generate(SCHEMA, tmp_path)
    assert {f"{name}Decoder" for name in evolution.TODAY.templates} < {path.stem for path in sources}
    tool.compile(sources, tmp_path)
    decoded = tool.decode_generated(tmp_path, evolution.TODAY.templates, [vector.data[8:] for vector in GOLDEN])
    for fields, vector in zip(decoded, GOLDEN, strict=True):
        assert fields == as_texts(vector.values), vector.name


def test_every_golden_message_reads_the_same(tool):
    decoded = tool.decode(SCHEMA, [vector.data[8:] for vector in GOLDEN])
    assert decoded == [(vector.template, vector.values) for vector in GOLDEN]


def test_any_message_of_any_template_reads_the_same(tool):
    some = list(random_messages.random_messages(seed=4, each=40))
    decoded = tool.decode(SCHEMA, [vector.data[8:] for vector in some])
    for (template, fields), vector in zip(decoded, some, strict=True):
        packet = parse(vectors.header(HEADER, 1) + vector.data)
        ours = decode(packet, packet.frames[0])
        assert ours is not None
        assert (template, fields) == (type(ours.body).__name__, values.of_body(ours.body)), vector.name
        assert fields == vector.values, vector.name


def test_today_s_schema_reads_what_a_later_feeder_sends(tool):
    newcomer = evolution.LATER.encode("Newcomer", evolution.NEWCOMER, 0, 3)[8:]
    decoded = tool.decode(SCHEMA, [newcomer, *map(later, TODAY)])
    assert decoded == [(None, {}), *((vector.template, vector.values) for vector in TODAY)]


def test_a_later_schema_reads_what_is_sent_today_and_finds_null_where_today_has_nothing(tool, later_schema):
    decoded = tool.decode(later_schema, [*(vector.data[8:] for vector in TODAY), *map(later, TODAY)])
    back, forth = decoded[: len(TODAY)], decoded[len(TODAY) :]
    assert back == [(vector.template, without_what_was_appended(vector)) for vector in TODAY]
    assert forth == [(vector.template, evolution.later_values(vector.template, vector.values)) for vector in TODAY]


def test_code_generated_of_a_later_schema_reads_what_is_sent_today(tool, later_schema, tmp_path):
    tool.compile(tool.generate(later_schema, tmp_path), tmp_path)
    decoded = tool.decode_generated(tmp_path, evolution.TODAY.templates, [vector.data[8:] for vector in TODAY])
    for fields, vector in zip(decoded, TODAY, strict=True):
        group = evolution.TODAY.templates[vector.template].group
        assert fields.pop("appended") == "-1", "the null of an unsigned number, as Java prints it"
        for entry in fields.get(group, []):
            assert entry.pop("appendedToEntry") == "65535"
        assert fields == as_texts(vector.values), vector.name
