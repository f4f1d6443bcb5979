"""The hour's figures: growth from the end of the warm-up, and what its exchange says of its own books."""

import zlib

import pytest
from bench_market import FIRST_UPDATE, Shape, markets
from soak_exchange import Load
from soak_long import Sizes, growths


def sizes(feeder: list[int], *, rings: list[int] | None = None) -> list[Sizes]:
    """One every 10 s, beginning with the first."""
    held = rings or [0] * len(feeder)
    return [Sizes(10.0 * (n + 1), size, 1000, ring) for n, (size, ring) in enumerate(zip(feeder, held, strict=True))]


def test_growth_is_from_the_warm_ups_end_to_the_end():
    found = growths(sizes([1] * 5 + [100_000] * 6 + [150_000] * 8 + [100_500] * 6), warm_up=60.0)
    assert found is not None
    feeder, consumer = found
    assert feeder.share == pytest.approx(0.005)
    assert consumer.share == 0.0


def test_one_sample_that_is_larger_is_no_growth():
    found = growths(sizes([100] * 11 + [900]), warm_up=0.0)
    assert found is not None
    assert found[0].share == 0.0


def test_what_the_rings_took_on_is_told_apart():
    found = growths(sizes([100_000] * 6 + [120_000] * 6, rings=[0] * 6 + [19_500] * 6), warm_up=0.0)
    assert found is not None
    assert found[0].share == pytest.approx(0.2)
    assert found[0].share_apart_from_rings == pytest.approx(0.005)


def test_a_run_that_ends_in_its_warm_up_has_no_growth_to_tell():
    assert growths(sizes([100] * 30), warm_up=300.0) is None


def test_the_load_tells_each_book_at_any_update():
    shape = Shape(symbols=100)
    exchange = Load(shape)
    book, market = next(iter(zip(exchange.books, markets(shape), strict=True)))
    ((u, seq, checksum),) = exchange.checksums(book, [(FIRST_UPDATE + shape.cycle + 7, 99)])
    bids, asks = market.book(7)
    text = "".join(f"{float(price):.10f}".rstrip("0").rstrip(".") + f":{size};" for price, size in [*bids, *asks])
    assert (u, seq) == (FIRST_UPDATE + shape.cycle + 7, 99)
    assert checksum == zlib.crc32(text.encode("ascii"))
