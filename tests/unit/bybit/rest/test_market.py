"""The public endpoints: what is sent, and what the venue's answers are read as."""

from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest

from feeder.bybit.rest.endpoint import Endpoint
from feeder.bybit.rest.endpoints import typed
from feeder.bybit.rest.results import market as results

from .recorder import Recorder, arguments, assert_same, raw_result, result_of, unseen

CALLS: dict[str, Callable[[Recorder], Awaitable[Any]]] = {
    "server-time": lambda venue: venue.server_time(),
    "system-status": lambda venue: venue.system_status(),
    "tickers-linear": lambda venue: venue.tickers("linear"),
    "tickers-spot": lambda venue: venue.tickers("spot"),
    "tickers-option": lambda venue: venue.tickers("option", base_coin="SOL"),
    "instruments-linear": lambda venue: venue.instruments("linear"),
    "instruments-option": lambda venue: venue.instruments("option", base_coin="SOL"),
    "instruments-spot": lambda venue: venue.instruments("spot"),
    "order-book": lambda venue: venue.order_book("linear", "SOLUSDT", limit=2),
    "order-book-option": lambda venue: venue.order_book("option", "SOL-30OCT26-150-C-USDT"),
    "rpi-order-book": lambda venue: venue.rpi_order_book("SOLUSDT", 50, category="linear"),
    "recent-trades-option": lambda venue: venue.recent_trades("option", base_coin="SOL"),
    "recent-trades-spot": lambda venue: venue.recent_trades("spot", symbol="SOLUSDC"),
    "klines": lambda venue: venue.klines("linear", "SOLUSDT", "1"),
    "mark-price-klines": lambda venue: venue.mark_price_klines("linear", "SOLUSDT", "1"),
    "premium-index-klines": lambda venue: venue.premium_index_klines("SOLUSDT", "1"),
    "funding-history": lambda venue: venue.funding_history("linear", "SOLUSDT"),
    "open-interest": lambda venue: venue.open_interest("linear", "SOLUSDT", "5min"),
}

DOCUMENTED = {
    "server_time": "",
    "system_status": "id state",
    "tickers": "category symbol baseCoin expDate",
    "instruments": "category symbol symbolType status baseCoin limit cursor",
    "order_book": "category symbol limit",
    "rpi_order_book": "category symbol limit",
    "recent_trades": "category symbol baseCoin optionType limit",
    "klines": "category symbol interval start end limit",
    "mark_price_klines": "category symbol interval start end limit",
    "index_price_klines": "category symbol interval start end limit",
    "premium_index_klines": "category symbol interval start end limit",
    "funding_history": "category symbol startTime endTime limit",
    "open_interest": "category symbol intervalTime startTime endTime limit cursor",
}
ANSWERS = {
    "server_time": "server-time",
    "order_book": "order-book",
    "rpi_order_book": "rpi-order-book",
}


@pytest.mark.parametrize("payload", list(CALLS))
async def test_every_field_of_the_answer_is_there_with_its_value(payload: str) -> None:
    reply = await CALLS[payload](Recorder(payload))
    assert_same(reply.result, raw_result(payload))


async def test_no_field_is_without_a_payload_that_shows_it() -> None:
    seen: set[tuple[type, str]] = set()
    for payload, call in CALLS.items():
        assert_same((await call(Recorder(payload))).result, raw_result(payload), payload, seen)
    kinds = [kind for kind in vars(results).values() if getattr(kind, "__module__", "") == results.__name__]
    assert unseen(seen, *kinds) == set()


@pytest.mark.parametrize("method", list(DOCUMENTED))
async def test_every_documented_parameter_is_sent_under_the_venue_s_name(method: str) -> None:
    venue = Recorder(ANSWERS.get(method, "nothing"))
    call = getattr(venue, method)
    await call(**arguments(call))
    assert set(venue.parameters) == set(DOCUMENTED[method].split())


async def test_a_ticker_has_exact_prices_rates_as_fractions_and_times_in_ms() -> None:
    ticker, future = (await Recorder("tickers-linear").tickers("linear")).result.entries
    assert ticker.last_price == Decimal("143.250")
    assert str(ticker.last_price) == "143.250"
    assert ticker.price_24h_pcnt == Decimal("0.023945")
    assert ticker.funding_rate == Decimal("-0.00003125")
    assert ticker.next_funding_time == 1790006400000
    assert ticker.funding_interval_hour == 8
    assert ticker.basis_rate is None
    assert future.funding_rate is None
    assert future.basis_rate_year == Decimal("0.17215910")


async def test_a_word_that_the_venue_invents_does_not_make_a_reply_unreadable() -> None:
    reply = await Recorder("instruments-linear").instruments("linear")
    body = reply.raw.replace(b'"PreLaunch"', b'"AuctionBreak"').replace(b'"symbolId"', b'"newField": {}, "symbolId"')
    text = body[body.index(b'"result": ') + 10 : body.index(b'"retExtInfo"')].rstrip().rstrip(b",")
    page = result_of(typed.INSTRUMENTS_INFO, text)
    assert [entry.status for entry in page.entries] == ["Trading", "AuctionBreak"]


async def test_an_instrument_of_each_category_has_its_own_filters() -> None:
    solana, newco = (await Recorder("instruments-linear").instruments("linear")).result.entries
    assert solana.price_filter is not None
    assert solana.price_filter.tick_size == Decimal("0.010")
    assert solana.lot_size_filter is not None
    assert solana.lot_size_filter.qty_step == Decimal("0.1")
    assert solana.pre_listing_info is None
    assert newco.pre_listing_info is not None
    phases = newco.pre_listing_info.phases
    assert phases is not None
    assert [phase.end_time for phase in phases] == [1790003000000, None]
    (token,) = (await Recorder("instruments-spot").instruments("spot")).result.entries
    assert token.lot_size_filter is not None
    assert token.lot_size_filter.base_precision == Decimal("0.0001")
    assert token.st_tag is True
    assert token.innovation is False


async def test_a_book_has_levels_with_price_and_size() -> None:
    book = (await Recorder("order-book").order_book("linear", "SOLUSDT")).result
    assert [(level.price, level.size) for level in book.bids] == [
        (Decimal("143.250"), Decimal("1033.1")),
        (Decimal("143.240"), Decimal("87.0")),
    ]
    assert (book.update_id, book.time_ms, book.matching_time_ms) == (71120334, 1790000000101, 1790000000097)
    rpi = (await Recorder("rpi-order-book").rpi_order_book("SOLUSDT", 1)).result
    assert rpi.asks[0].rpi_size == Decimal("40.5")


def test_a_level_or_candle_that_grows_by_a_value_is_still_read() -> None:
    text = b'{"s": "SOLUSDT", "b": [["1.5", "2", "9"]], "a": [], "ts": 1, "u": 2}'
    assert result_of(typed.ORDER_BOOK, text).bids == [results.Level(Decimal("1.5"), Decimal(2))]
    candle = result_of(typed.MARK_PRICE_KLINES, b'{"list": [["60000", "1", "2", "0.5", "1.5", "77"]]}').entries[0]
    assert candle == results.PriceCandle(60000, Decimal(1), Decimal(2), Decimal("0.5"), Decimal("1.5"))


async def test_a_candle_has_its_start_and_exact_prices() -> None:
    page = (await Recorder("klines").klines("linear", "SOLUSDT", "1")).result
    assert page.symbol == "SOLUSDT"
    assert page.entries[0].start_ms == 1789999980000
    assert page.entries[0].turnover == Decimal("116342.405")


async def test_each_instrument_asks_for_whole_pages_until_there_are_no_more() -> None:
    venue = Recorder("instruments-linear", "instruments-option")
    symbols = [entry.symbol async for entry in venue.each_instrument("linear", status="Trading")]
    assert symbols == ["SOLUSDT", "NEWCOUSDT", "SOL-30OCT26-150-C-USDT"]
    first, second = (given for _, given in venue.sent)
    assert first == {"category": "linear", "status": "Trading", "limit": 1000}
    assert second == {**first, "cursor": "first%3DNEWCOUSDT%26last%3DSOLUSDT"}


async def test_each_open_interest_takes_the_longest_pages() -> None:
    venue = Recorder("open-interest")
    assert [entry.timestamp async for entry in venue.each_open_interest("linear", "SOLUSDT", "1h", start_time=5)]
    assert venue.parameters == {
        "category": "linear",
        "symbol": "SOLUSDT",
        "intervalTime": "1h",
        "startTime": 5,
        "limit": 200,
    }


def test_public_endpoints_need_no_key_and_are_all_questions() -> None:
    public = [endpoint for endpoint in typed.TYPED if not endpoint.signed]
    assert {endpoint.method for endpoint in public} == {"GET"}
    assert {endpoint.path.split("/")[2] for endpoint in public} == {"market", "system"}
    signed = [endpoint for endpoint in typed.TYPED if endpoint.signed]
    assert not any(endpoint.path.startswith("/v5/market/") for endpoint in signed)


def test_the_tuple_has_every_endpoint_once() -> None:
    constants = [value for value in vars(typed).values() if isinstance(value, Endpoint)]
    assert list(typed.TYPED) == constants
    assert len({(endpoint.method, endpoint.path) for endpoint in constants}) == len(constants)
