"""The checksum by which anyone, in any language, proves that two books are equal."""

import struct
import zlib


def checksum(bids: list[int], asks: list[int]) -> int:
    """CRC-32 over all bids descending, then all asks ascending, each price and quantity as i64 little-endian.

    Both sides are flat lists, best first, as `OrderBook.levels` gives them. Raises struct.error on a number beyond
    64 bits.
    """
    return zlib.crc32(struct.pack(f"<{len(bids) + len(asks)}q", *bids, *asks))
