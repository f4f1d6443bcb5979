"""The checksum by which anyone, in any language, proves that two books are equal."""

import functools
import struct
import zlib


def checksum(bids: list[int], asks: list[int]) -> int:
    """CRC-32 over all bids descending, then all asks ascending, each price and quantity as i64 little-endian.

    Both sides are flat lists, best first, as `OrderBook.levels` gives them. Raises struct.error on a number beyond
    64 bits.
    """
    return zlib.crc32(pack(bids, asks))


def pack(bids: list[int], asks: list[int]) -> bytes:
    """What the checksum is over: every level as two i64 little-endian, 16 bytes, as it is on the wire."""
    return _numbers(len(bids) + len(asks)).pack(*bids, *asks)


@functools.lru_cache(maxsize=2048)
def _numbers(count: int) -> struct.Struct:
    """So many numbers. Books have few different counts of levels, and Struct itself is slow to make."""
    return struct.Struct(f"<{count}q")
