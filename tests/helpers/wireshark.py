"""Packets through Wireshark: a capture file written byte by byte, read by tshark with deploy/wireshark/feeder.lua."""

import os
import struct
import subprocess
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.helpers.require import require
from tests.helpers.schema import Block, Schema

SCRIPT = Path(__file__).parents[2] / "deploy" / "wireshark" / "feeder.lua"
SCHEMA = Schema()

_EXPERTS = ("malformed", "impossible", "cut", "later")
_RENAMED = {"TradingStatus": "tradingStatus", "RejectReason": "rejectReason"}
_RAW_IP = 101  # link type: packets begin with their IP header
_FRAME = 16  # of a message: prefix and SBE header


class Dissected(NamedTuple):
    """A message as Wireshark shows it. `values` as in tests.helpers.values; `texts` beside numbers, by field name."""

    template: str
    instrument_id: int
    event_flags: int
    sequence: int
    values: dict[str, Any]
    texts: dict[str, list[str]]


class Shown(NamedTuple):
    """A packet as Wireshark shows it: the header's fields and expert infos by filter name, the Info column."""

    header: dict[str, str]
    messages: list[Dissected]
    experts: set[str]
    info: str


def write_capture(path: Path, datagrams: Iterable[tuple[int, bytes]], cuts: Iterable[int] = ()) -> None:
    """A pcap file of UDP datagrams, each with its destination port; of the first ones only `cuts` bytes were kept."""
    kept = iter(cuts)
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, _RAW_IP))
        for index, (port, data) in enumerate(datagrams):
            udp = struct.pack("!HHHH", 40000, port, 8 + len(data), 0) + data
            addresses = bytes([127, 0, 0, 1]), bytes([239, 77, 0, 1])
            ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 1, 17, 0, *addresses) + udp
            held = ip[: 28 + next(kept, len(data))]
            file.write(struct.pack("<IIII", 1_700_000_000, index, len(held), len(ip)) + held)


def dissect(capture: Path, *options: str) -> list[Shown | None]:
    """What becomes of every packet; None when it was not taken for feeder's. Fails on any error of the script."""
    shown: list[Shown | None] = []
    for packet in ElementTree.fromstring(run(capture, "-T", "pdml", *options)):
        protocols = {proto.get("name"): proto for proto in packet.iterfind("proto")}
        tree = protocols.get("feeder")
        shown.append(None if tree is None else _packet(tree))
    return shown


def run(capture: Path, *options: str) -> str:
    """What tshark prints."""
    # No settings and plugins of whoever runs the tests.
    environment = {**os.environ, "WIRESHARK_CONFIG_DIR": str(capture.parent / "wireshark")}
    command = [require("tshark"), "-X", f"lua_script:{SCRIPT}", "-n", "-r", str(capture), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
    assert done.returncode == 0, done.stderr
    assert "Lua" not in done.stderr, done.stderr
    assert "Lua Error" not in done.stdout
    return done.stdout


def _packet(tree: ElementTree.Element) -> Shown:
    found = {field.attrib["name"]: field.get("show", "") for field in tree.iter("field")}
    header = {name: show for name, show in found.items() if name.startswith("feeder.packet.")}
    experts = {name for name in found if name.count(".") == 1 and name.split(".")[1] in _EXPERTS}
    messages = [_message(field) for field in tree.iterfind("field[@name='feeder.message']")]
    return Shown(header, messages, experts, tree.attrib["showname"].partition(", ")[2])


def _message(tree: ElementTree.Element) -> Dissected:
    direct = {field.attrib["name"]: field for field in tree}
    frame = {name.split(".")[2]: f.attrib["show"] for name, f in direct.items() if name.startswith("feeder.frame.")}
    name = direct["feeder.frame.template"].attrib["showname"].split(": ")[1].split(" (")[0]
    values: dict[str, Any] = {}
    texts: dict[str, list[str]] = {}
    template = SCHEMA.templates.get(name)
    if template is not None and "feeder.impossible" not in {field.get("name") for field in tree.iter("field")}:
        begin = int(tree.attrib["pos"]) + _FRAME
        values = _block(tree, template.root, begin, texts)
        if template.group:
            entries = tree.findall("field/field[@name='feeder.entry']")
            values[template.group] = [_block(e, template.entry, int(e.attrib["pos"]), texts) for e in entries]
    instrument_id, event_flags, sequence = (int(frame[n], 0) for n in ("instrumentId", "eventFlags", "sequence"))
    return Dissected(name, instrument_id, event_flags, sequence, values, texts)


def _block(tree: ElementTree.Element, block: Block, begin: int, texts: dict[str, list[str]]) -> dict[str, Any]:
    """The fields of a block, each of which must be shown once and where the schema has it."""
    values: dict[str, Any] = {}
    for field in block.fields:
        filter_name = f"feeder.{_RENAMED.get(field.type, field.name)}"
        found = tree.findall(f"field[@name='{filter_name}']")
        if field.is_pad:
            assert not found
            continue
        (shown,) = found
        assert (int(shown.attrib["pos"]), int(shown.attrib["size"])) == (begin + field.offset, field.size), filter_name
        text = shown.attrib["showname"].partition(": ")[2]
        texts.setdefault(field.name, []).append(text)
        raw = shown.attrib["show"]
        if field.code.endswith("s"):
            values[field.name] = raw
        elif field.enum is not None:
            values[field.name] = text.partition(" (")[0]
            assert field.enum.get(int(raw), "Unknown") == values[field.name]
        else:
            number = int(raw, 0)
            values[field.name] = None if number == field.null else number
    return values
