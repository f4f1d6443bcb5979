"""Wireshark's view of the feed, through deploy/wireshark/feeder.lua: every field of every template, and any bytes."""

from decimal import Decimal
from pathlib import Path
from random import Random

from feeder.errors import WireError
from feeder.wire.messages import SCHEMA_VERSION
from feeder.wire.packet import parse
from tests.helpers import evolution, random_messages, vectors, wireshark
from tests.helpers.vectors import MessageVector
from tests.helpers.wireshark import Shown

GOLDEN = [vector for version in range(1, SCHEMA_VERSION + 1) for vector in vectors.load(version).messages]
PACKETS = vectors.load(SCHEMA_VERSION).packets
NAMED = {vector.name: vector for vector in vectors.load(SCHEMA_VERSION).messages}
PORT = 20000


def packet(*messages: bytes, channel_id: int = 0, flags: int = 1, sequence: int = 42) -> bytes:
    header = {
        "channelId": channel_id,
        "packetFlags": flags,
        "sessionId": 1_618_677_780_000_000_000,
        "sequence": sequence,
        "sendingTime": 1_700_000_000_000_000_000,
    }
    return vectors.header(header, len(messages)) + b"".join(messages)


def shown(tmp_path: Path, datagrams: list[bytes], *options: str, port: int = PORT) -> list[Shown | None]:
    """What becomes of each; None of what is not taken for feeder's."""
    capture = tmp_path / "capture.pcap"
    wireshark.write_capture(capture, [(port, data) for data in datagrams])
    return wireshark.dissect(capture, *options)


def dissect(tmp_path: Path, datagrams: list[bytes]) -> list[Shown]:
    """All of which are feeder's."""
    found = [each for each in shown(tmp_path, datagrams) if each is not None]
    assert len(found) == len(datagrams)
    return found


def test_every_field_of_every_golden_message_is_shown_as_it_is(tmp_path):
    some = [*GOLDEN, *random_messages.random_messages(seed=11, each=20)]
    for vector, seen in zip(some, dissect(tmp_path, [packet(vector.data) for vector in some]), strict=True):
        (message,) = seen.messages
        assert message[:4] == (vector.template, vector.instrument_id, vector.event_flags, 42)
        assert message.values == vector.values, vector.name
        assert not seen.experts


def test_every_golden_packet_is_shown_as_it_is(tmp_path):
    for vector, seen in zip(PACKETS, dissect(tmp_path, [vector.data for vector in PACKETS]), strict=True):
        names = {
            "channelId": "channelId",
            "packetFlags": "flags",
            "sessionId": "sessionId",
            "sequence": "sequence",
            "sendingTime": "sendingTime",
        }
        for name, filter_name in names.items():
            assert int(seen.header[f"feeder.packet.{filter_name}"], 0) == vector.header[name]
        first = vector.header["sequence"]
        assert [m[:5] for m in seen.messages] == [
            (m.template, m.instrument_id, m.event_flags, first + index, m.values)
            for index, m in enumerate(vector.messages)
        ]
        assert not seen.experts


def test_prices_and_quantities_are_shown_as_decimals(tmp_path):
    deltas = [v for v in random_messages.random_messages(seed=5, each=60) if v.template == "BookDelta"]
    for vector, seen in zip(deltas, dissect(tmp_path, [packet(v.data) for v in deltas]), strict=True):
        for name, exponent in (("price", "priceExponent"), ("quantity", "quantityExponent")):
            levels = [level[name] for level in vector.values["levels"]]
            texts = [text.split("(")[1].rstrip(")") for text in seen.messages[0].texts.get(name, [])]
            exact = [Decimal(f"{mantissa}E{vector.values[exponent]}") for mantissa in levels]
            assert list(map(Decimal, texts)) == exact
            places = -vector.values[exponent]
            assert all(len(text.partition(".")[2]) == places for text in texts)


def test_a_snapshot_s_levels_have_the_exponents_of_its_beginning_and_an_empty_side_is_null(tmp_path):
    names = ["snapshot begins", "snapshot levels", "bbo without asks"]
    levels, alone = dissect(
        tmp_path, [packet(*(NAMED[name].data for name in names), channel_id=3), packet(NAMED[names[1]].data)]
    )
    assert levels.messages[1].texts["price"] == ["5610050 (56100.50)", "5610100 (56101.00)"]
    assert levels.messages[2].texts["askPrice"] == ["-9223372036854775808 (null)"]
    assert levels.messages[2].texts["bidPrice"] == ["5610050 (56100.50)"]
    assert alone.messages[0].texts["price"] == ["5610050", "5610100"], "of another channel: no exponent is known"


def test_info_column_says_what_a_person_wants_to_know(tmp_path):
    of = {p.name: p.data for p in PACKETS}
    cases = {
        of[
            "data, a book restarts"
        ]: "books p2 seq 4711-4715 InstrumentDefinition, BookClear, BookDelta, InstrumentStatus, "
        "BookChecksum linear:BTCUSDT",
        of["data"]: "books p2 seq 42 BookDelta linear:BTCUSDT 2 levels",
        of["retransmit answer"]: "books p2 seq 4711-4713 [again] BookDelta x2, BookChecksum linear:BTCUSDT",
        of["heartbeat"]: "books p2 seq 42 heartbeat",
        of["end of session"]: "books p2 seq 9001 end of session",
        of["test data"]: "books p2 seq 42 [test] BookDelta linear:BTCUSDT 2 levels",
        of["best bid and offer"]: "bbo p2 seq 42-43 Bbo x2 linear:BTCUSDT",
        of["retransmit request with padding"]: "retransmit p2 RetransmitRequest books p2 from 4711, 12 messages",
        of[
            "retransmit reject"
        ]: "retransmit p2 RetransmitReject RATE, books p2 from 4711, 12 messages; held 5000 to before "
        "9000, retry after 0.250000000 s",
        packet(NAMED["trade, a sell"].data, channel_id=1): "trades p0 seq 42 Trade 2121218484 SELL 0.014 at 56100.50",
        packet(NAMED["bbo"].data): "books p0 seq 42 Bbo linear:BTCUSDT 0.366 56100.50 / 56101.00 0.005",
        packet(NAMED["delta"].data)[:-8]: "books p0 seq 42 MALFORMED",
    }
    capture = tmp_path / "capture.pcap"
    wireshark.write_capture(capture, [(PORT, data) for data in cases])
    lines = wireshark.run(capture, "-T", "fields", "-e", "_ws.col.Protocol", "-e", "_ws.col.Info").splitlines()
    assert lines == [f"feeder\t{line}" for line in cases.values()]


def test_what_a_later_feeder_sends_is_shown_but_for_what_is_new(tmp_path):
    newcomer = evolution.LATER.encode("Newcomer", evolution.NEWCOMER, 0, 3)

    def later(vector: MessageVector) -> bytes:
        return evolution.encode_later(vector.template, vector.values, vector.instrument_id, vector.event_flags)

    some = list(NAMED.values())
    header = PACKETS[0].header
    datagrams = [evolution.later_packet(header, [newcomer, later(vector)]) for vector in some]
    for vector, seen in zip(some, dissect(tmp_path, datagrams), strict=True):
        unknown, message = seen.messages
        assert (unknown.template, unknown.values) == ("Unknown", {})
        assert (message.template, message.values) == (vector.template, vector.values), vector.name
        assert seen.experts == {"feeder.later"}
        assert seen.header["feeder.packet.headerLength"] == "56"


def test_enum_values_of_a_later_version_are_shown_as_unknown(tmp_path):
    fields = {**NAMED["status LIVE"].values, "status": "LATER", "reason": "LATER"}
    data = packet(evolution.encode_later("InstrumentStatus", fields, 7, 3))
    (seen,) = dissect(tmp_path, [data])
    assert seen.messages[0].values == {**fields, "status": "Unknown", "reason": "Unknown"}
    assert seen.info == "books p0 seq 42 InstrumentStatus 7 unknown unknown"


def test_a_text_that_is_none_is_shown_escaped(tmp_path):
    data = bytearray(NAMED["definition"].data)
    data[16:25] = b"BTC\xff\x1b[2J\0"
    (seen,) = dissect(tmp_path, [packet(bytes(data))])
    assert seen.messages[0].values["symbol"] == r"BTC\xff\x1b[2J"


def test_whatever_consumers_refuse_is_marked_and_nothing_else_and_no_bytes_break_the_script(tmp_path):
    random = Random(1234)
    datagrams = []
    for vector in PACKETS * 40:
        data = bytearray(vector.data)
        for _ in range(random.randint(0, 3)):
            # Mostly where lengths, counts and templates stand.
            index = random.randrange(len(data)) if random.random() < 0.5 else random.randrange(min(len(data), 80))
            data[index] = random.choice((0, 1, 8, 255, random.getrandbits(8)))
        datagrams.append(bytes(data[: random.choice((len(data), random.randint(2, len(data))))]))
    refused = 0
    for data, seen in zip(datagrams, shown(tmp_path, datagrams), strict=True):
        if data[:2] != b"\x42\x46":
            assert seen is None, "not ours"
            continue
        assert seen is not None
        try:
            parse(data)
        except WireError:
            refused += 1
            assert "feeder.malformed" in seen.experts, data.hex()
        else:
            assert "feeder.malformed" not in seen.experts, data.hex()
    assert 100 < refused < len(datagrams) - 100


def test_a_packet_that_the_capture_cut_short_is_shown_as_far_as_it_goes(tmp_path):
    data, cuts = packet(NAMED["delta"].data, NAMED["status LIVE"].data), [1, 2, 3, 31, 32, 47, 48, 60, 136, 140]
    capture = tmp_path / "capture.pcap"
    wireshark.write_capture(capture, [(PORT, data)] * len(cuts), cuts)
    unknown, *known = wireshark.dissect(capture)
    assert unknown is None
    assert [each and each.experts for each in known] == [{"feeder.cut"}] * len(known)
    assert [each and len(each.messages) for each in known] == [0] * 7 + [1, 1]


def test_packets_are_known_by_their_ports_or_by_their_first_bytes(tmp_path):
    data = packet(NAMED["delta"].data)
    no_guess = ["--disable-heuristic", "feeder_udp"]
    assert shown(tmp_path, [data], port=31000) != [None]
    assert shown(tmp_path, [data], *no_guess, port=31000) == [None]
    assert shown(tmp_path, [data], *no_guess, port=20255) != [None]
    assert shown(tmp_path, [data], *no_guess, "-o", "feeder.ports:31000-31010", port=31000) != [None]
    assert shown(tmp_path, [data], *no_guess, "-o", "feeder.ports:31000-31010", port=20255) == [None]
