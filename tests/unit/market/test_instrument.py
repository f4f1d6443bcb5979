"""What may be called a symbol, and the id that any language computes alike."""

import pytest

from feeder.market.instrument import Instrument, instrument_id, is_symbol


@pytest.mark.parametrize(
    "text", ["A", "7", "BTCUSDT", "1000PEPEUSDT", "BTC-27NOV26-90000-C-USDT", "BTC/USDT", "A.B_C", "X" * 32]
)
def test_symbols_as_the_venue_writes_them(text: str) -> None:
    assert is_symbol(text)


@pytest.mark.parametrize(
    "text", ["", "btcusdt", "-BTC", ".", "BTC USDT", "BTCUSDT\n", "X" * 33, "币USDT", "٣USDT", "ＢTC", "A:B", 'A"B']
)
def test_what_could_not_be_sent_or_published_is_no_symbol(text: str) -> None:
    assert not is_symbol(text)


def test_id_is_the_crc_of_category_and_symbol() -> None:
    assert instrument_id("linear", "BTCUSDT") == 0xDB8A850C
    assert instrument_id("spot", "BTCUSDT") != instrument_id("linear", "BTCUSDT")


def test_key_is_category_and_symbol() -> None:
    assert Instrument("spot", "BTCUSDT", 1, -2, -6, 1, 1).key == ("spot", "BTCUSDT")
