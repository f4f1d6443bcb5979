"""Messages of every template with values drawn at random from all that their fields can hold, extremes more often."""

from collections.abc import Iterator
from random import Random
from typing import Any

from tests.helpers.schema import Block, Field, Schema
from tests.helpers.vectors import MessageVector

SCHEMA = Schema()
_SYMBOL = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def random_messages(seed: int, each: int) -> Iterator[MessageVector]:
    """`each` messages of every template."""
    random = Random(seed)
    for template in SCHEMA.templates.values():
        for index in range(each):
            fields = _block(random, template.root)
            if template.group:
                fields[template.group] = [_block(random, template.entry) for _ in range(random.choice((0, 1, 5, 40)))]
                if "bidCount" in fields:
                    fields["bidCount"] = random.randint(0, len(fields[template.group]))
            instrument_id = random.getrandbits(32)
            event_flags = random.randrange(16)
            data = SCHEMA.encode(template.name, fields, instrument_id, event_flags)
            name = f"{template.name} {index} of seed {seed}"
            yield MessageVector(name, template.name, instrument_id, event_flags, len(data), fields, data)


def _block(random: Random, block: Block) -> dict[str, Any]:
    return {field.name: _value(random, field) for field in block.fields if not field.is_pad}


def _value(random: Random, field: Field) -> Any:
    if field.enum is not None:
        return random.choice(list(field.enum.values()))
    if field.type == "Exponent":
        return random.randint(-18, 0)
    if field.code.endswith("s"):
        return "".join(random.choice(_SYMBOL) for _ in range(random.choice((1, field.size // 2, field.size))))
    bits = 8 * field.size
    least = -(1 << bits - 1) if field.code.islower() else 0
    most = least + (1 << bits) - 1
    value = random.choice((least, most, 0, 1, random.randint(least, most), random.randint(least, most)))
    return None if value == field.null else value
