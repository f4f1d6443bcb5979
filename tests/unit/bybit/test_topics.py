"""Topics are built, split and packed by the venue's rules."""

from datetime import date

import pytest

from feeder.bybit.topics import (
    DEPTHS,
    BookTopic,
    TradeTopic,
    book_topic,
    has_room,
    last_day,
    pack,
    parse_topic,
    trade_topic,
)
from feeder.errors import VenueError


@pytest.mark.parametrize(
    ("topic", "meaning"),
    [
        ("orderbook.1.BTCUSDT", BookTopic(1, "BTCUSDT")),
        ("orderbook.1000.BTCUSDT", BookTopic(1000, "BTCUSDT")),
        ("orderbook.25.BTC-30JUN23-45000-P", BookTopic(25, "BTC-30JUN23-45000-P")),
        ("publicTrade.BTC", TradeTopic("BTC")),
        ("orderbook.rpi.BTCUSDT", None),
        ("orderbook.full.BTCUSDT", None),
        ("orderbook.50.", None),
        ("orderbook.50", None),
        ("publicTrade.", None),
        ("publicTrade", None),
        ("tickers.BTCUSDT", None),
        ("", None),
    ],
)
def test_topic_is_read_by_its_parts(topic: str, meaning: BookTopic | TradeTopic | None) -> None:
    assert parse_topic(topic) == meaning


def test_what_is_built_is_read_back() -> None:
    for category, depths in DEPTHS.items():
        for depth in depths:
            assert parse_topic(book_topic(category, depth, "X-1")) == BookTopic(depth, "X-1")


@pytest.mark.parametrize(("category", "depth"), [("linear", 500), ("linear", 25), ("option", 50), ("spread", 25)])
def test_depth_the_venue_lacks_is_an_error_that_names_the_choice(category: str, depth: int) -> None:
    with pytest.raises(VenueError, match="use one of"):
        book_topic(category, depth, "BTCUSDT")


def test_option_trades_come_per_base_coin() -> None:
    assert trade_topic("option", "BTC-27NOV26-90000-C") == "publicTrade.BTC"
    assert trade_topic("linear", "BTC-27NOV26") == "publicTrade.BTC-27NOV26"


def test_spot_requests_carry_ten_args_at_most() -> None:
    topics = [f"orderbook.50.COIN{n}USDT" for n in range(25)]
    batches = list(pack("spot", topics))
    assert [len(batch) for batch in batches] == [10, 10, 5]
    assert [topic for batch in batches for topic in batch] == topics


def test_futures_requests_are_bounded_by_characters_alone() -> None:
    topics = [f"orderbook.50.COIN{n:04}USDT" for n in range(1200)]
    batches = list(pack("linear", topics))
    assert len(batches) == 2
    assert all(len('","'.join(batch)) <= 21_000 for batch in batches)


def test_option_requests_carry_two_thousand_args_at_most() -> None:
    assert max(len(batch) for batch in pack("option", [f"o{n}" for n in range(4500)])) == 2000


def test_nothing_to_pack_is_no_request() -> None:
    assert list(pack("spot", [])) == []


def test_connection_is_full_by_count_or_by_characters() -> None:
    assert has_room(["x"] * 199, ["y"])
    assert not has_room(["x"] * 199, ["y", "z"])
    assert not has_room(["x" * 1000] * 20, ["y" * 1000])


@pytest.mark.parametrize(
    ("symbol", "day"),
    [
        ("BTC-30JUN23-45000-P", date(2023, 6, 30)),
        ("ETH-1JAN27-3000-C-USDT", date(2027, 1, 1)),
        *((odd, date.max) for odd in ("BTCUSDT", "BTC-", "BTC-31JUN26-1-C", "BTC-1XXX26-1-C", "BTC-PERP", "")),
    ],
)
def test_last_day_of_an_option_is_in_its_symbol(symbol: str, day: date) -> None:
    assert last_day(symbol) == day
