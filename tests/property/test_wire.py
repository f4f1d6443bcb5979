"""Encoder and decoder against an SBE decoder that nobody here wrote, and any bytes at all against the parser."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import feeder.wire
from feeder.errors import WireError
from feeder.market.update import BookUpdate
from feeder.wire import encoder
from feeder.wire.decoder import decode
from feeder.wire.packet import parse
from tests.helpers.wire_samples import packet, samples

sbe = pytest.importorskip("sbe", reason="the foreign SBE decoder comes with the extra `dev`")
with Path(feeder.wire.__file__).with_name("schema.xml").open() as _file:
    SCHEMA = sbe.Schema.parse(_file)

u64 = st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63) + 1, 2**63 - 1)
exponent = st.integers(-18, 0)


@given(
    st.integers(0, 2**32 - 1), u64, u64, u64, exponent, exponent,
    st.lists(st.tuples(i64, i64), max_size=40), st.lists(st.tuples(i64, i64), max_size=41),
)  # fmt: skip
def test_book_delta_reads_the_same_by_a_foreign_decoder(instrument, sequence, update_id, time, pe, qe, bids, asks):
    update = BookUpdate(False, [], [], update_id, update_id, 5, time, time, time)
    flat = [value for level in [*bids, *asks] for value in level]
    data = encoder.book_delta(instrument, 3, sequence, update, pe, qe, len(bids), flat)
    foreign = SCHEMA.decode(data[8:]).value
    assert [(e["price"], e["quantity"]) for e in foreign["levels"]] == [*bids, *asks]
    assert (foreign["instrumentSequence"], foreign["venueUpdateId"]) == (sequence, update_id)
    assert (foreign["priceExponent"], foreign["quantityExponent"]) == (pe, qe)
    assert foreign["bidCount"] == len(bids)
    parsed = parse(packet(data))
    ours = decode(parsed, parsed.frames[0])
    assert ours is not None
    assert ours.instrument_id == instrument
    assert ours.body.levels == tuple(flat)  # type: ignore[union-attr]


def test_every_template_reads_the_same_by_a_foreign_decoder():
    for body, data in samples():
        foreign = SCHEMA.decode(data[8:])
        assert foreign.message_name == type(body).__name__
        values = [v for k, v in foreign.value.items() if not k.startswith("pad")]
        assert len(values) == len(body)
        for theirs, ours in zip(values, body, strict=True):
            if isinstance(theirs, list):
                rows = [[v for k, v in row.items() if not k.startswith("pad")] for row in theirs]
                flat = [v for row in rows for v in row]
                assert flat in ([*ours], [v for line in ours if isinstance(line, tuple) for v in line])
            else:
                assert theirs == (ours.name if hasattr(ours, "name") else ours)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_packet_or_a_wire_error(data):
    with pytest.raises(WireError):
        parse(data)


@given(st.data())
def test_a_damaged_packet_never_raises_anything_else(data):
    whole = bytearray(packet(*(raw for _, raw in samples())))
    for _ in range(data.draw(st.integers(1, 6))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(whole)))
    try:
        parsed = parse(bytes(whole[:cut]))
        for frame in parsed.frames:
            decode(parsed, frame)
    except WireError:
        return
