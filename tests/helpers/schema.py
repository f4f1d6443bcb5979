"""schema.xml as its text says it, read without feeder: where each field stands, and an encoder by that.

It knows the subset of SBE that feeder keeps to: named types, enums, explicit pads, at most one group, no variable data.
"""

import struct
import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import feeder.wire

TEXT = Path(feeder.wire.__file__).with_name("schema.xml").read_text("utf-8")
NAMESPACE = "{http://fixprotocol.io/2016/sbe}"

_CODES = {
    "char": "s",
    "uint8": "B",
    "uint16": "H",
    "uint32": "I",
    "uint64": "Q",
    "int8": "b",
    "int64": "q",
}

Values = Mapping[str, Any]
"""A message by the schema's names: enums by name, null as None, text without padding, groups as lists of the same."""


class Field(NamedTuple):
    """A field of a block. `code` is its struct format; `enum` value to name; `null` what stands for None."""

    name: str
    type: str
    code: str
    offset: int
    size: int
    enum: dict[int, str] | None
    null: int | None

    @property
    def is_pad(self) -> bool:
        """Whether it only keeps the next one aligned."""
        return self.name.startswith("pad")


class Block(NamedTuple):
    """A root block or a group's entry: its fields, and its size."""

    fields: tuple[Field, ...]
    size: int

    def encode(self, values: Values) -> bytes:
        """The block with these values, and zero in the pads; KeyError for a field without a value."""
        return b"".join(struct.pack("<" + f.code, 0 if f.is_pad else _raw(f, values[f.name])) for f in self.fields)


class Template(NamedTuple):
    """A message."""

    name: str
    id: int
    root: Block
    group: str | None
    entry: Block

    def names(self) -> list[str]:
        """What a reader is told, in order: the root's fields without pads, then the group."""
        return [f.name for f in self.root.fields if not f.is_pad] + ([self.group] if self.group else [])


class Schema:
    """All templates of a schema, by name."""

    def __init__(self, text: str = TEXT) -> None:
        root = ElementTree.fromstring(text)
        self.id = int(root.attrib["id"])
        self.version = int(root.attrib["version"])
        self.types = {e.attrib["name"]: e for e in root.iterfind("types/*")}
        self.composites = {name: self._block(e, "type") for name, e in self.types.items() if e.tag == "composite"}
        self.templates: dict[str, Template] = {}
        for element in root.iterfind(f"{NAMESPACE}message"):
            group = element.find("group")
            self.templates[element.attrib["name"]] = Template(
                element.attrib["name"],
                int(element.attrib["id"]),
                self._block(element),
                None if group is None else group.attrib["name"],
                Block((), 0) if group is None else self._block(group),
            )

    def enum(self, name: str) -> dict[int, str]:
        """Value to name."""
        return {int(e.text or ""): e.attrib["name"] for e in self.types[name]}

    def encode(self, template: str, values: Values, instrument_id: int, event_flags: int, size: int = 0) -> bytes:
        """A whole message, prefix to last pad byte, of at least `size` bytes."""
        message = self.templates[template]
        body = struct.pack("<HHHH", message.root.size, message.id, self.id, self.version) + message.root.encode(values)
        if message.group:
            entries = values[message.group]
            body += struct.pack("<HH", message.entry.size, len(entries))
            body += b"".join(map(message.entry.encode, entries))
        size = max(size, 8 + (len(body) + 7) // 8 * 8)
        return struct.pack("<HBBI", size, event_flags, 0, instrument_id) + body.ljust(size - 8, b"\0")

    def _block(self, parent: ElementTree.Element, tag: str = "field") -> Block:
        fields = []
        offset = 0
        for element in parent.findall(tag):
            declared = element if tag == "type" else self.types[element.attrib["type"]]
            enum = self.enum(declared.attrib["name"]) if declared.tag == "enum" else None
            code = _CODES[declared.attrib["primitiveType" if enum is None else "encodingType"]]
            if code == "s":
                code = declared.attrib["length"] + code
            null = declared.get("nullValue")
            size = struct.calcsize("<" + code)
            fields.append(
                Field(
                    element.attrib["name"],
                    declared.attrib["name"],
                    code,
                    offset,
                    size,
                    enum,
                    None if null is None else int(null),
                )
            )
            offset += size
        declared_size = parent.get("blockLength")
        if declared_size is not None and int(declared_size) != offset:
            raise ValueError(f"{parent.get('name')} has {offset} bytes of fields in a block of {declared_size}")
        return Block(tuple(fields), offset)


def _raw(field: Field, value: Any) -> int | bytes:
    if isinstance(value, str):
        if field.enum is None:
            return value.encode("ascii")
        return next(number for number, name in field.enum.items() if name == value)
    if value is None:
        if field.null is None:
            raise ValueError(f"{field.name} cannot be null")
        return field.null
    return int(value)
