"""What feeder knows of a traded instrument, and the key and id by which everybody names it."""

import enum
import re
import zlib
from dataclasses import dataclass

InstrumentKey = tuple[str, str]
"""(category, symbol): spot BTCUSDT and linear BTCUSDT are two instruments."""


class Category(enum.StrEnum):
    """The venue's product categories."""

    SPOT = "spot"
    LINEAR = "linear"
    INVERSE = "inverse"
    OPTION = "option"


class TradingStatus(enum.IntEnum):
    """Whether the venue trades an instrument; the values are those on the wire."""

    TRADING = 1
    PRELAUNCH = 2
    DELIVERING = 3
    CLOSED = 4


_SYMBOL = re.compile(r"[A-Z0-9][A-Z0-9._/-]{0,31}")


def is_symbol(text: str) -> bool:
    """Whether `text` can name an instrument: 1 to 32 of A-Z, 0-9, and after the first also `.`, `_`, `/`, `-`."""
    return _SYMBOL.fullmatch(text) is not None


def instrument_id(category: str, symbol: str) -> int:
    """CRC-32 of "category:SYMBOL" in ASCII, so that a consumer in any language computes the same."""
    return zlib.crc32(f"{category}:{symbol}".encode("ascii"))


@dataclass(frozen=True, slots=True)
class Instrument:
    """One instrument's scale and steps.

    Prices are integers at 10^price_exponent, quantities at 10^quantity_exponent (both between -18 and 0); tick_size
    and quantity_step are given in those units, 0 when the venue did not say. definition_version grows by one with
    every change; within a session exponents only get finer.
    """

    category: str
    symbol: str
    id: int
    price_exponent: int
    quantity_exponent: int
    tick_size: int
    quantity_step: int
    definition_version: int = 1
    status: TradingStatus = TradingStatus.TRADING

    @property
    def key(self) -> InstrumentKey:
        """(category, symbol)."""
        return (self.category, self.symbol)
