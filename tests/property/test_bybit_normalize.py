"""Normalising against decimal.Decimal, which computes another way."""

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st

from feeder.bybit.messages import BookData, Message, decode
from feeder.bybit.normalize import Scale, book_update, needed_exponents
from feeder.errors import FinerThanScale, FixedPointError
from feeder.market.fixed_point import FINER_DIGITS
from tests.unit.bybit.support import book_message

digits = st.text("0123456789", min_size=1, max_size=9)
decimals = st.builds(
    lambda whole, rest: f"{whole}.{rest}" if rest else whole, digits, st.text("0123456789", max_size=10)
)
exponents = st.integers(-12, 0)
texts = st.lists(st.tuples(decimals, decimals), max_size=20)


def naive(text: str, exponent: int) -> int | None:
    """The integer, or None when the number is finer than the exponent."""
    scaled = Decimal(text).scaleb(-exponent)
    return int(scaled) if scaled == scaled.to_integral_value() else None


@given(bids=texts, asks=texts, price_exponent=exponents, quantity_exponent=exponents)
def test_every_level_is_exact_or_the_message_is_refused(
    bids: list[tuple[str, str]], asks: list[tuple[str, str]], price_exponent: int, quantity_exponent: int
) -> None:
    message = decode(book_message("orderbook.50.X", "delta", 7, [list(b) for b in bids], [list(a) for a in asks]))
    assert isinstance(message.data, BookData)
    wanted = [
        [value for price, size in side for value in (naive(price, price_exponent), naive(size, quantity_exponent))]
        for side in (bids, asks)
    ]
    fits = all(value is None or value < 1 << 63 for side in wanted for value in side)
    try:
        update = book_update(message, message.data, Scale(price_exponent, quantity_exponent), 1, 1)
    except FinerThanScale:
        assert any(value is None for side in wanted for value in side)
    except FixedPointError:
        assert not fits
    else:
        assert [update.bids, update.asks] == wanted


@given(levels=st.lists(st.tuples(decimals, decimals), max_size=20), present=st.tuples(exponents, exponents))
def test_the_exponents_said_to_be_needed_are_enough_and_not_finer_than_need_be(
    levels: list[tuple[str, str]], present: tuple[int, int]
) -> None:
    data = BookData(b=levels, a=[], u=1)
    try:
        price_exponent, quantity_exponent = needed_exponents(data, Scale(*present))
    except FixedPointError:
        finest = [naive(level[n], present[n] - FINER_DIGITS) for level in levels for n in (0, 1)]
        assert any(value is None or value >= 1 << 63 for value in finest)
        return
    for exponent, coarsest in zip((price_exponent, quantity_exponent), present, strict=True):
        assert coarsest - FINER_DIGITS <= exponent <= coarsest
    message = Message(type="snapshot")
    try:
        book_update(message, data, Scale(price_exponent, quantity_exponent), 1, 1)
    except FinerThanScale as error:
        raise AssertionError("the exponent said to be needed does not hold the number") from error
    except FixedPointError:
        pass  # exact, but over 64 bits
    for column, exponent in ((0, price_exponent), (1, quantity_exponent)):
        if exponent < present[column]:
            assert any(naive(level[column], exponent + 1) is None for level in levels)
