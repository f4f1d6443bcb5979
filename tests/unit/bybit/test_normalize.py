"""Texts become exact integers or errors; times become nanoseconds; sides are mapped exhaustively."""

import pytest

from feeder.bybit.messages import BookData, Message, TradeData, decode
from feeder.bybit.normalize import Scale, book_update, needed_exponents, trade_update
from feeder.errors import FinerThanScale, FixedPointError, MessageError
from feeder.market.update import BookUpdate, Side

from .support import book_message, payload


def normalized(raw: bytes, scale: Scale) -> BookUpdate:
    message = decode(raw)
    assert isinstance(message.data, BookData)
    return book_update(message, message.data, scale, 42, 7)


def test_delta_becomes_flat_integers_with_four_named_times() -> None:
    update = normalized(payload("linear-orderbook-delta"), Scale(-2, -3))
    assert update == BookUpdate(
        snapshot=False,
        bids=[7870420, 0],
        asks=[7870440, 4900, 7870450, 250],
        update_id=9002,
        first_update_id=9002,
        venue_sequence=400100200309,
        match_time_ns=1_760_000_000_016_000_000,
        send_time_ns=1_760_000_000_020_000_000,
        receive_time_ns=42,
        generation=7,
    )


def test_unpadded_spot_prices_and_padded_linear_prices_are_the_same_number() -> None:
    spot = normalized(book_message("orderbook.1.X", "snapshot", 1, [["78715", "1"]], []), Scale(-2, 0))
    linear = normalized(book_message("orderbook.1.X", "snapshot", 1, [["78715.000", "1.0"]], []), Scale(-2, 0))
    assert spot.bids == linear.bids == [7871500, 1]


def test_old_capture_without_matching_time_has_the_send_time() -> None:
    update = normalized(payload("option-orderbook-old-capture"), Scale(-2, 0))
    assert update.match_time_ns == update.send_time_ns == 1_760_000_000_000_000_000
    assert update.venue_sequence == 0


@pytest.mark.parametrize("text", ["", ".", "-1", "+1", "1e3", "1_0", " 1", "NaN", "0x1", "1.2.3", "٣", "9" * 30])
@pytest.mark.parametrize("place", ["price", "quantity"])
def test_no_number_never_becomes_zero(text: str, place: str) -> None:
    level = [text, "1"] if place == "price" else ["1", text]
    with pytest.raises(FixedPointError):
        normalized(book_message("orderbook.1.X", "snapshot", 1, [level], []), Scale(-2, -3))


def test_failed_text_fails_again() -> None:
    scale = Scale(-2, -3)
    for _ in range(2):
        with pytest.raises(FixedPointError):
            normalized(book_message("orderbook.1.X", "snapshot", 1, [["1.2.3", "1"]], []), scale)


def test_finer_number_is_told_from_no_number() -> None:
    raw = book_message("orderbook.1.X", "snapshot", 1, [["1.001", "1"], ["1.0001", "0.5"]], [["2", "0.25"]])
    with pytest.raises(FinerThanScale):
        normalized(raw, Scale(-2, 0))
    message = decode(raw)
    assert isinstance(message.data, BookData)
    assert needed_exponents(message.data, Scale(-2, 0)) == (-4, -2)
    assert needed_exponents(message.data, Scale(-6, -3)) == (-6, -3), "never coarser than it is"
    assert normalized(raw, Scale(-4, -2)).bids == [10010, 100, 10001, 50]


def test_number_finer_than_any_scale_has_no_needed_exponent() -> None:
    data = BookData(b=[("1." + "0" * 18 + "1", "1")], a=[], u=1)
    with pytest.raises(FixedPointError, match="finer than"):
        needed_exponents(data, Scale(-18, 0))


@pytest.mark.parametrize("place", ["price", "quantity"])
def test_number_may_be_six_digits_finer_than_the_scale_and_no_more(place: str) -> None:
    def data(text: str) -> BookData:
        return BookData(b=[(text, "1") if place == "price" else ("1", text)], a=[], u=1)

    assert min(needed_exponents(data("1.00000001"), Scale(-2, -2))) == -8
    with pytest.raises(FixedPointError, match=r"more than 6 digits finer than 10\^-2"):
        needed_exponents(data("1.000000001"), Scale(-2, -2))
    with pytest.raises(FixedPointError, match="more than 0 digits"):
        needed_exponents(data("1.001"), Scale(-2, -2, finer_digits=0))


def test_trade_needs_an_exponent_like_a_level() -> None:
    assert needed_exponents(trade(price="1.005", size="2"), Scale(-2, -1)) == (-3, -1)


@pytest.mark.parametrize("kind", ["", "Snapshot", "snap", "COMMAND_RESP"])
def test_book_message_that_is_neither_snapshot_nor_delta_is_an_error(kind: str) -> None:
    with pytest.raises(MessageError):
        book_update(Message(topic="orderbook.1.X", type=kind), BookData(b=[], a=[], u=1), Scale(0, 0), 1, 1)


@pytest.mark.parametrize("text", ["1_0", "+1", "-1", " 1", "1e3", "٣", "1.٣", "1.2.3", "", "."])
def test_what_int_would_take_for_a_number_but_the_venue_never_writes_is_refused(text: str) -> None:
    for level in ([text, "1"], ["1", text]):
        with pytest.raises(FixedPointError):
            normalized(book_message("orderbook.1.X", "delta", 1, [level], []), Scale(-2, -2))


def trade(side: str = "Buy", identity: str = "a", price: str = "1", size: str = "2") -> TradeData:
    return TradeData(T=5, s="BTCUSDT", S=side, v=size, p=price, i=identity, seq=9)


def test_aggressor_is_what_the_venue_says() -> None:
    assert trade_update(trade("Buy"), 6, Scale(0, 0), 7).aggressor is Side.BUY
    assert trade_update(trade("Sell"), 6, Scale(0, 0), 7).aggressor is Side.SELL


@pytest.mark.parametrize("side", ["BUY", "buy", "", "Bid", "None"])
def test_any_other_side_is_an_error(side: str) -> None:
    with pytest.raises(MessageError, match="side"):
        trade_update(trade(side), 6, Scale(0, 0), 7)


def test_trade_keeps_its_times_and_its_id() -> None:
    update = trade_update(trade(identity="x" * 40, price="1.5", size="0.25"), 6, Scale(-1, -2), 7)
    assert (update.price, update.quantity, update.trade_id, update.venue_sequence) == (15, 25, "x" * 40, 9)
    assert (update.match_time_ns, update.send_time_ns, update.receive_time_ns) == (5_000_000, 6_000_000, 7)


@pytest.mark.parametrize("identity", ["x" * 41, "é"])
def test_trade_id_that_does_not_fit_downstream_is_an_error(identity: str) -> None:
    with pytest.raises(MessageError, match="id"):
        trade_update(trade(identity=identity), 6, Scale(0, 0), 7)
