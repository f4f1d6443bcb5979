"""What the market's stream takes for a topic, and what it makes of messages: whole tickers above all."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.pool import SessionPool
from feeder.bybit.streams.messages import decode_envelope
from feeder.bybit.streams.public import PublicStream, kline_topic, liquidation_topic, ticker_topic
from feeder.errors import MessageError, TopicError


def told(stream: PublicStream, topic: str, data: Any, kind: str = "snapshot", ts: int = 5, **more: Any) -> None:
    text = msgspec.json.encode({"topic": topic, "type": kind, "ts": ts, "data": data} | more)
    stream.deliver(decode_envelope(text), 0)


def test_the_address_is_that_of_the_clients_environment() -> None:
    assert PublicStream("spot").url == "wss://stream.bybit.com/v5/public/spot"
    testnet = BybitClient(testnet=True, pool=SessionPool())
    assert PublicStream("linear", client=testnet).url == "wss://stream-testnet.bybit.com/v5/public/linear"
    demo = BybitClient(demo=True, pool=SessionPool())
    assert PublicStream("linear", client=demo).url.startswith("wss://stream.bybit.com/"), "demo has mainnet's market"


def test_a_category_that_is_none_is_refused() -> None:
    with pytest.raises(TopicError, match="futures: no category; use one of"):
        PublicStream("futures")


@pytest.mark.parametrize(
    ("topic", "said"),
    [
        (
            "ticker.BTCUSDT",
            r"no topic of the spot stream; there are tickers\.\{symbol\}, kline\.\{interval\}\.\{symbol\},"
            r" publicTrade\.\{symbol\}$",
        ),
        ("tickers.", "no topic"),
        ("kline.2.BTCUSDT", "no such interval; use one of 1, 3, 5"),
        ("kline.1.", "no topic"),
        ("allLiquidation.BTCUSDT", "no topic of the spot stream"),
        ("orderbook.50.BTCUSDT", "^orderbook.50.BTCUSDT: not on this stream; exact books are Market's"),
        ("tickers.btcusdt", "^tickers.btcusdt: symbols are upper-case, as the venue writes them: BTCUSDT$"),
        ("publicTrade.BtcUSDT", "symbols are upper-case"),
        ("kline.1.btcusdt", "symbols are upper-case"),
    ],
)
def test_a_topic_that_is_none_is_refused_by_name(topic: str, said: str) -> None:
    with pytest.raises(TopicError, match=said):
        PublicStream("spot", topics=["tickers.BTCUSDT", topic])


def test_the_topics_that_are_named_are_those_of_the_category() -> None:
    linear, option = PublicStream("linear"), PublicStream("option")
    with pytest.raises(TopicError, match=r"publicTrade\.\{symbol\}, allLiquidation\.\{symbol\}$"):
        linear.subscribe("nonsense")
    with pytest.raises(TopicError, match=r", publicTrade\.\{base coin\}$"):
        option.subscribe("nonsense")
    with pytest.raises(TopicError, match="symbols are upper-case"):
        linear.subscribe("allLiquidation.btcusdt")


def test_topics_are_given_one_by_one() -> None:
    stream = PublicStream("linear", topics=["tickers.BTCUSDT"])
    said = r"^linear: a topic is text, not list; give topics one by one: {}\(\*topics\)$"
    with pytest.raises(TypeError, match=said.format("subscribe")):
        stream.subscribe("tickers.ETHUSDT", ["tickers.SOLUSDT"])  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=said.format("unsubscribe")):
        stream.unsubscribe("tickers.BTCUSDT", ["tickers.BTCUSDT"])  # type: ignore[arg-type]
    assert stream.topics == ["tickers.BTCUSDT"], "nothing has changed"


@pytest.mark.parametrize("symbol", ["BTCUSDT", "BTC-29SEP23", "BTC-2JAN26-30000-C", "1000PEPEUSDT"])
def test_a_symbol_as_the_venue_writes_it_is_none_of_our_business(symbol: str) -> None:
    assert PublicStream("linear", topics=[f"tickers.{symbol}"]).topics == [f"tickers.{symbol}"]


def test_one_bad_topic_of_several_changes_nothing() -> None:
    stream = PublicStream("linear")
    with pytest.raises(TopicError):
        stream.subscribe("tickers.BTCUSDT", "nonsense")
    assert stream.topics == []


def test_a_ticker_is_told_whole_whatever_the_delta_leaves_out() -> None:
    stream = PublicStream("linear", topics=[ticker_topic("BTCUSDT")])
    seen: list[Any] = []
    stream.tickers.on(seen.append)
    first = {"symbol": "BTCUSDT", "lastPrice": "100.10", "bid1Price": "100", "fundingRate": "0.0001", "preQty": ""}
    told(stream, "tickers.BTCUSDT", first, ts=1, cs=9)
    told(stream, "tickers.BTCUSDT", {"symbol": "BTCUSDT", "lastPrice": "101"}, "delta", ts=2, cs=10)
    told(stream, "tickers.BTCUSDT", {"symbol": "BTCUSDT", "fundingRate": ""}, "delta", ts=3)
    one, two, three = seen
    assert (one.last_price, one.bid1_price, one.pre_qty, one.time_ms, one.cs) == (Decimal("100.10"), 100, None, 1, 9)
    assert (two.last_price, two.bid1_price, two.funding_rate, two.cs) == (101, 100, Decimal("0.0001"), 10)
    assert (three.funding_rate, three.last_price, three.bid1_price) == (None, 101, 100), (
        "an empty value is one, and replaces"
    )
    assert one.last_price == Decimal("100.10"), "what was told is not changed afterwards"


def test_a_snapshot_replaces_all_of_the_ticker_before_it() -> None:
    stream = PublicStream("linear", topics=[ticker_topic("BTCUSDT")])
    seen: list[Any] = []
    stream.tickers.on(seen.append)
    told(stream, "tickers.BTCUSDT", {"symbol": "BTCUSDT", "lastPrice": "100", "bid1Price": "99"})
    told(stream, "tickers.BTCUSDT", {"symbol": "BTCUSDT", "lastPrice": "101"})
    assert (seen[1].last_price, seen[1].bid1_price) == (101, None)


def test_two_symbols_do_not_mix() -> None:
    stream = PublicStream("linear", topics=["tickers.A", "tickers.B"])
    seen: list[Any] = []
    stream.tickers.on(seen.append)
    told(stream, "tickers.A", {"symbol": "A", "bid1Price": "1"})
    told(stream, "tickers.B", {"symbol": "B", "lastPrice": "2"})
    assert seen[1].bid1_price is None


def test_an_option_has_the_names_that_rest_gives_it() -> None:
    stream = PublicStream("option", topics=["tickers.BTC-1JAN27-1-C"])
    seen: list[Any] = []
    stream.tickers.on(seen.append)
    told(stream, "tickers.BTC-1JAN27-1-C", {"symbol": "X", "bidPrice": "1", "askIv": "0.5", "markPriceIv": "0.4"})
    assert (seen[0].bid1_price, seen[0].ask1_iv, seen[0].mark_iv) == (1, Decimal("0.5"), Decimal("0.4"))


def test_a_ticker_that_cannot_be_understood_leaves_the_one_before_it() -> None:
    stream = PublicStream("linear", topics=["tickers.A"])
    told(stream, "tickers.A", {"symbol": "A", "lastPrice": "1"})
    unreadable: list[Any] = [{"lastPrice": "x"}, ["A"], {"lastPrice": {}}]
    for data in unreadable:
        with pytest.raises(MessageError):
            told(stream, "tickers.A", data, "delta")
    seen: list[Any] = []
    stream.tickers.on(seen.append)
    told(stream, "tickers.A", {"bid1Price": "2"}, "delta")
    assert (seen[0].last_price, seen[0].bid1_price) == (1, 2)


def test_a_bar_knows_its_symbol_and_when_it_is_finished() -> None:
    stream = PublicStream("linear", topics=[kline_topic("BTCUSDT", "5")])
    seen: list[Any] = []
    stream.klines.on(seen.append)
    row = {"start": 1, "end": 2, "interval": "5", "open": "1", "high": "2", "low": "0.5", "close": "1.5"}
    told(stream, "kline.5.BTCUSDT", [row | {"volume": "3", "turnover": "4", "confirm": True, "timestamp": 2}])
    (bar,) = seen
    assert (bar.symbol, bar.category, bar.interval, bar.confirm, bar.low) == (
        "BTCUSDT",
        "linear",
        "5",
        True,
        Decimal("0.5"),
    )


def test_liquidations_and_trades_have_readable_names() -> None:
    stream = PublicStream("linear", topics=[liquidation_topic("S"), "publicTrade.S"])
    seen: list[Any] = []
    stream.liquidations.on(seen.append)
    stream.trades.on(seen.append)
    told(stream, "allLiquidation.S", [{"T": 1, "s": "S", "S": "Buy", "v": "2", "p": "3"}])
    told(
        stream, "publicTrade.S", [{"T": 1, "s": "S", "S": "Sell", "v": "2", "p": "3", "i": "id", "BT": True, "seq": 4}]
    )
    liquidation, trade = seen
    assert (liquidation.side, liquidation.qty, liquidation.price, liquidation.time_ms) == ("Buy", 2, 3, 1)
    assert (trade.side, trade.trade_id, trade.block_trade, trade.seq) == ("Sell", "id", True, 4)


def test_a_connection_that_is_full_is_followed_by_another() -> None:
    stream = PublicStream("linear")
    stream.subscribe(*(ticker_topic(f"COIN{number}USDT") for number in range(450)))
    assert [len(each.connection.session.topics) for each in stream._streams] == [200, 200, 50]


def test_a_topic_wanted_twice_is_one_and_one_unwanted_twice_is_none() -> None:
    stream = PublicStream("linear", topics=["tickers.A", "tickers.A"])
    stream.subscribe("tickers.A")
    assert stream.topics == ["tickers.A"]
    stream.unsubscribe("tickers.A", "tickers.B")
    stream.unsubscribe("tickers.A")
    assert stream.topics == []
