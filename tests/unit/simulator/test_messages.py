import pytest

from feeder.simulator.decimals import Scale
from feeder.simulator.messages import BookFacts, Trade, book_message, trade_message

FACTS = BookFacts(u=7, seq=99, ts=1_700_000_000_010, cts=1_700_000_000_003)
CHANGES = [~7870430, 1500, ~7870420, 0, 7870440, 20]
LINEAR, SPOT = Scale(2, 3, pads_prices=True), Scale(2, 3, pads_prices=False)
SPOT_DATA = (
    '"data":{"s":"BTCUSDT","b":[["78704.3","1.5"],["78704.2","0"]],"a":[["78704.4","0.02"]],"u":7,"seq":99},'
    '"cts":1700000000003'
)
LINEAR_DATA = SPOT_DATA.replace("78704.3", "78704.30").replace("78704.2", "78704.20").replace("78704.4", "78704.40")


@pytest.mark.parametrize(
    ("category", "topic", "snapshot", "expected"),
    [
        ("linear", "orderbook.50.BTCUSDT", False, f'"type":"delta","ts":1700000000010,{LINEAR_DATA}}}'),
        ("inverse", "orderbook.200.BTCUSDT", True, f'"type":"snapshot","ts":1700000000010,{LINEAR_DATA}}}'),
        ("linear", "orderbook.1.BTCUSDT", True, f'"ts":1700000000010,"type":"snapshot",{LINEAR_DATA}}}'),
        ("linear", "orderbook.1000.BTCUSDT", False, f'"type":"delta","ts":1700000000010,{LINEAR_DATA}}}'),
        ("spot", "orderbook.50.BTCUSDT", False, f'"ts":1700000000010,"type":"delta",{SPOT_DATA}}}'),
    ],
)
def test_keys_stand_in_each_categorys_order(category: str, topic: str, snapshot: bool, expected: str) -> None:
    scale = SPOT if category == "spot" else LINEAR
    text = book_message(category, topic, "BTCUSDT", scale, snapshot=snapshot, changes=CHANGES, facts=FACTS)
    assert text.decode() == f'{{"topic":"{topic}",{expected}'


def test_option_books_carry_an_id() -> None:
    topic = "orderbook.25.BTC-25DEC26-100000-C"
    text = book_message("option", topic, "X", Scale(0, 2, pads_prices=False), snapshot=True, changes=[], facts=FACTS)
    assert text.decode() == (
        f'{{"id":"{topic}-99-1700000000010","topic":"{topic}","ts":1700000000010,'
        '"data":{"s":"X","b":[],"a":[],"u":7,"seq":99},"cts":1700000000003,"type":"snapshot"}'
    )


def _trade(scale: Scale) -> Trade:
    return Trade(
        symbol="BTCUSDT",
        scale=scale,
        buy=False,
        price=7870430,
        size=1500,
        id="42",
        tick_direction="MinusTick",
        seq=99,
        time_ms=1_700_000_000_003,
    )


@pytest.mark.parametrize(
    ("category", "expected"),
    [
        (
            "linear",
            '{"topic":"publicTrade.X","type":"snapshot","ts":5,"data":[{"T":1700000000003,"s":"BTCUSDT","S":"Sell",'
            '"v":"1.5","p":"78704.30","L":"MinusTick","i":"42","BT":false,"RPI":false,"seq":99}]}',
        ),
        (
            "spot",
            '{"topic":"publicTrade.X","ts":5,"type":"snapshot","data":[{"i":"42","T":1700000000003,"p":"78704.3",'
            '"v":"1.5","S":"Sell","seq":99,"s":"BTCUSDT","BT":false,"RPI":false}]}',
        ),
        (
            "option",
            '{"id":"publicTrade.X-99-5","topic":"publicTrade.X","ts":5,"data":[{"p":"78704.3","v":"1.5","i":"42",'
            '"T":1700000000003,"BT":false,"s":"BTCUSDT","S":"Sell","mP":"78704.3","iP":"78704.3","mIv":"0.5",'
            '"iv":"0.5","RPI":false,"seq":99}],"type":"snapshot"}',
        ),
    ],
)
def test_trades_have_each_categorys_rows(category: str, expected: str) -> None:
    scale = LINEAR if category == "linear" else SPOT
    assert trade_message(category, "publicTrade.X", [_trade(scale)], 5).decode() == expected
