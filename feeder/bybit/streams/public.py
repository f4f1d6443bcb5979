"""The market beyond its books: tickers, bars, liquidations, trades. Source: Bybit v5, websocket/public/*.

Books with exact integers, continuity checks and resyncs are the feeder's own (`BybitPool`; the system's market).
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING, Any

import msgspec

from feeder.clock import Clock, SystemClock
from feeder.errors import MessageError, TopicError
from feeder.market.instrument import Category

from ..messages import DECODE_ERRORS
from ..pacing import Timing
from .channel import Channel
from .hosts import given_host, public_host
from .link import rows_of
from .messages import (
    Envelope,
    Kline,
    Liquidation,
    MarketTrade,
    TickerUpdate,
    decode_klines,
    decode_liquidations,
    decode_trades,
)
from .topic_stream import TopicStream

if TYPE_CHECKING:
    from ..rest.client import BybitClient

PATH = "/v5/public/"
INTERVALS = ("1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M")

_OPTION_NAMES = {  # what REST calls otherwise
    "bidPrice": "bid1Price",
    "bidSize": "bid1Size",
    "bidIv": "bid1Iv",
    "askPrice": "ask1Price",
    "askSize": "ask1Size",
    "askIv": "ask1Iv",
    "markPriceIv": "markIv",
}
_WITH_LIQUIDATIONS = (Category.LINEAR, Category.INVERSE)
_decode_fields = msgspec.json.Decoder(dict[str, Any]).decode


def ticker_topic(symbol: str) -> str:
    """A symbol's ticker."""
    return f"tickers.{symbol}"


def kline_topic(symbol: str, interval: str) -> str:
    """A symbol's bars; intervals are minutes, or D, W, M."""
    return f"kline.{interval}.{symbol}"


def liquidation_topic(symbol: str) -> str:
    """All liquidations of a symbol."""
    return f"allLiquidation.{symbol}"


class PublicStream(TopicStream):
    """The market of one category. Any number of topics: more connections are made when one is full.

        async with PublicStream("linear", topics=[ticker_topic("BTCUSDT")]) as stream:
            async for ticker in stream.tickers.events(): ...

    Channels, and the topics that they tell of: `tickers` (tickers.{symbol}), `klines` (kline.{interval}.{symbol}),
    `liquidations` (allLiquidation.{symbol}), `trades` (publicTrade.{symbol}, of options publicTrade.{base coin}). A
    ticker is told whole each time: what the venue leaves out has not changed. `resumed` tells the number of a
    connection (1, 2, ...) that is up, `lost` why one went down, `errors` what is wrong meanwhile, and what callbacks
    raised.

    `client` tells the environment and the venue's clock; without it, mainnet and our own. `url`, without a path, is
    needed where the client has a `base_url` that is not one of the venue's own.
    """

    def __init__(
        self,
        category: str,
        *,
        client: "BybitClient | None" = None,
        url: str | None = None,
        topics: Iterable[str] = (),
        timing: Timing | None = None,
        clock: Clock | None = None,
        random: Random | None = None,
    ) -> None:
        if category not in tuple(Category):
            raise TopicError(category, f"no category; use one of {', '.join(Category)}")
        base_url = "https://api.bybit.com" if client is None else client.base_url
        host = public_host(base_url) if url is None else given_host("PublicStream", url)
        super().__init__(
            category,
            host + PATH + category,
            category,
            authenticator=None,
            timing=timing,
            clock=clock or SystemClock(),
            random=random or Random(),  # noqa: S311 - for delays
            venue_ms=None if client is None else client.venue_ms,
        )
        self.category = category
        self.tickers: Channel[TickerUpdate] = Channel(f"{category} tickers", self.report)
        self.klines: Channel[Kline] = Channel(f"{category} klines", self.report)
        self.liquidations: Channel[Liquidation] = Channel(f"{category} liquidations", self.report)
        self.trades: Channel[MarketTrade] = Channel(f"{category} trades", self.report)
        self._ticker_fields: dict[str, dict[str, Any]] = {}  # by topic
        self._rows: dict[str, tuple[Callable[[Any], list[Any]], Channel[Any]]] = {
            "kline": (decode_klines, self.klines),
            "allLiquidation": (decode_liquidations, self.liquidations),
            "publicTrade": (decode_trades, self.trades),
        }
        self.subscribe(*topics)

    def _check(self, topics: Sequence[str]) -> None:
        for topic in topics:
            self._check_one(topic)

    def _check_one(self, topic: str) -> None:
        match topic.split("."):
            case ["tickers" | "publicTrade", symbol] if symbol:
                pass
            case ["kline", interval, symbol] if symbol:
                if interval not in INTERVALS:
                    raise TopicError(topic, f"no such interval; use one of {', '.join(INTERVALS)}")
            case ["allLiquidation", symbol] if symbol and self.category in _WITH_LIQUIDATIONS:
                pass
            case ["orderbook", *_]:
                raise TopicError(topic, "not on this stream; exact books are Market's, or BybitSystem's")
            case _:
                topics = ", ".join(self._kinds_of_topics())
                raise TopicError(topic, f"no topic of the {self.category} stream; there are {topics}")
        if symbol != symbol.upper():
            raise TopicError(topic, f"symbols are upper-case, as the venue writes them: {symbol.upper()}")

    def _kinds_of_topics(self) -> Iterable[str]:
        yield "tickers.{symbol}"
        yield "kline.{interval}.{symbol}"
        yield "publicTrade.{base coin}" if self.category == Category.OPTION else "publicTrade.{symbol}"
        if self.category in _WITH_LIQUIDATIONS:
            yield "allLiquidation.{symbol}"

    def _begins_with_snapshot(self, topic: str) -> bool:
        # Of spot and options every ticker is a whole one, and a quiet one may not come for long.
        return topic.startswith("tickers.") and self.category in (Category.LINEAR, Category.INVERSE)

    def _forget(self, topic: str) -> None:
        self._ticker_fields.pop(topic, None)

    def _take(self, envelope: Envelope) -> None:
        kind, _, rest = envelope.topic.partition(".")
        if kind == "tickers":
            self.tickers.publish(self._ticker(envelope))
            return
        decode_rows, channel = self._rows[kind]
        symbol = rest.partition(".")[2]
        for row in rows_of(envelope, decode_rows):
            row.category = self.category  # type: ignore[attr-defined]  # each kind of row has it
            if kind == "kline":
                row.symbol = symbol  # type: ignore[attr-defined]
            channel.publish(row)

    def _ticker(self, envelope: Envelope) -> TickerUpdate:
        """The whole ticker: what a delta leaves out is as it was. The session lets no delta pass before a snapshot."""
        try:
            fields = _named(_decode_fields(envelope.data))
            merged = fields if envelope.type == "snapshot" else self._ticker_fields.get(envelope.topic, {}) | fields
            ticker = msgspec.convert(merged, TickerUpdate, strict=False)
        except DECODE_ERRORS as error:
            raise MessageError(str(error)) from error
        self._ticker_fields[envelope.topic] = merged
        ticker.category, ticker.time_ms, ticker.cs = self.category, envelope.time_ms, envelope.cs
        return ticker

    def _channels(self) -> Iterable[Channel[Any]]:
        return [self.tickers, self.klines, self.liquidations, self.trades]


def _named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """By REST's names, None for "" as everywhere."""
    named = {_OPTION_NAMES.get(name, name): value if value != "" else None for name, value in fields.items()}
    delivery = named.get("deliveryTime")
    if isinstance(delivery, str) and not delivery.isdigit():
        # Here a dated future tells it as text, 2026-12-25T08:00:00Z; REST tells ms.
        moment = msgspec.convert(delivery, datetime)
        named["deliveryTime"] = round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1000)
    return named
