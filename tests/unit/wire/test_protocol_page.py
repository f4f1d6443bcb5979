"""PROTOCOL.md tells the truth: its worked example decodes to what it says, its tables have the code's numbers."""

import re
from pathlib import Path

from feeder.market.instrument import instrument_id
from feeder.wire import layout
from feeder.wire.decoder import decode
from feeder.wire.messages import SCHEMA_VERSION, BookDelta, Template
from feeder.wire.packet import parse

PAGE = (Path(__file__).parents[3] / "PROTOCOL.md").read_text("utf-8")


def test_worked_example_decodes_to_what_it_says():
    block = re.search(r"```text\n(.*?)```", PAGE, re.DOTALL)
    assert block is not None
    data = bytes.fromhex(
        "".join(re.match(r"(?:[0-9a-f]{2} ?)+(?= )", line)[0] for line in block[1].splitlines())  # type: ignore[index]
    )
    packet = parse(data)
    assert (packet.channel_id, packet.sequence, packet.next_sequence) == (0, 42, 43)
    message = decode(packet, packet.frames[0])
    assert message is not None
    assert message.instrument_id == instrument_id("linear", "BTCUSDT")
    assert isinstance(message.body, BookDelta)
    assert message.body.venue_update_id == 1001
    assert message.body.levels == (5610050, 366, 5610100, 0)
    assert (message.body.bid_count, message.body.price_exponent, message.body.quantity_exponent) == (1, -2, -3)


def test_every_template_stands_in_the_table_with_its_size():
    rows = re.findall(r"^\| (\d+) \| (\w+) \| (\d+)(?: \+ .*?)? \|", PAGE, re.MULTILINE)
    listed = {int(number): (name, int(size)) for number, name, size in rows}
    for template in Template:
        name, size = listed.pop(int(template))
        assert name.upper() == template.name.replace("_", "")
        assert size == layout.ROOTS[template].size
    assert not listed


def test_instrument_ids_on_the_page_are_right():
    for text, number in re.findall(r"`(\w+:\w+)` is (\d+)", PAGE):
        assert instrument_id(*text.split(":")) == int(number)


def test_page_tells_of_every_version_of_the_schema():
    versions = PAGE.partition("| version | brought |")[2].partition("\n## ")[0]
    assert [int(number) for number in re.findall(r"^\| (\d+) \|", versions, re.MULTILINE)] == [
        *range(1, SCHEMA_VERSION + 1)
    ]
