"""The public endpoints: /v5/market and /v5/system. Source: Bybit v5, the page of each."""

import itertools
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Any

from feeder.simulator import rest_parameters as read
from feeder.simulator.chart import INTERVALS, begin_of, end_of
from feeder.simulator.decimals import plain
from feeder.simulator.exchange import Exchange
from feeder.simulator.instruments import FUNDING_MS, MAX_LEVERAGE, instrument
from feeder.simulator.messages import Trade
from feeder.simulator.past import LAUNCH_MS
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.rest_reply import PARAMETER_ERROR, Answer, Endpoint, Parameters, Refused, cursor_of
from feeder.simulator.source import BookState
from feeder.simulator.tape import Bar
from feeder.simulator.venue import Category

FUTURES = ("linear", "inverse")
CHARTED = ("spot", "linear", "inverse")

_INTEREST_INTERVALS = {"5min": 5, "15min": 15, "30min": 30, "1h": 60, "4h": 240, "1d": 1440}
_RPI_DEPTH = 50
_RISK_PAGE = 15
_PREMIUM = "premium"


class MarketEndpoints:
    """Answers by path."""

    def __init__(self, exchange: Exchange, quotes: Quotes) -> None:
        self._exchange = exchange
        self._quotes = quotes

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """By method and path."""
        market: dict[str, Callable[[Parameters], Answer]] = {
            "instruments-info": self._instruments,
            "orderbook": self._orderbook,
            "rpi_orderbook": self._rpi_orderbook,
            "tickers": self._tickers,
            "recent-trade": self._recent_trades,
            "kline": self._kline,
            "mark-price-kline": self._mark_kline,
            "index-price-kline": self._index_kline,
            "premium-index-price-kline": self._premium_kline,
            "funding/history": self._funding,
            "open-interest": self._open_interest,
            "risk-limit": self._risk_limits,
            "price-limit": self._price_limit,
            "delivery-price": self._deliveries,
        }
        paths = {f"/v5/market/{name}": answer for name, answer in market.items()} | {"/v5/system/status": self._status}
        return {("GET", path): _public(answer) for path, answer in paths.items()}

    def _instruments(self, given: Parameters) -> Answer:
        category = read.category(given)
        limit = read.limit(given, 500, 1000)
        start = read.start_of_page(given)
        symbol, base, status = (read.text(given, name) for name in ("symbol", "baseCoin", "status"))
        if category.name == "option" and not symbol:
            base = base or "BTC"
        found = [
            quote
            for quote in self._quotes.all(category.name)
            if symbol in ("", quote.listing.symbol)
            and base in ("", quote.listing.base)
            and status in ("", quote.status)
        ]
        result: dict[str, Any] = {"category": category.name}
        if category.paginated:
            result["nextPageCursor"] = cursor_of(start + limit) if start + limit < len(found) else ""
            found = found[start : start + limit]
        return Answer(result | {"list": [instrument(each.listing, each.status, each.rank + 1) for each in found]})

    def _orderbook(self, given: Parameters) -> Answer:
        category = read.category(given)
        most = 25 if category.name == "option" else 1000
        limit = read.limit(given, category.rest_book_default_limit, most)
        symbol = read.text(given, "symbol")
        return Answer(_book(self._exchange.source.rest_book(category.name, symbol), limit))

    def _rpi_orderbook(self, given: Parameters) -> Answer:
        """The book of the 50-level topic; no order here is one of retail price improvement."""
        category = read.category(given, CHARTED)
        limit = read.whole(given, "limit", None, 1, _RPI_DEPTH)
        if limit is None:
            raise read.required("limit")
        symbol = read.text(given, "symbol")
        source = self._exchange.source
        book = _book(source.book(category.name, symbol, _RPI_DEPTH) or source.rest_book(category.name, symbol), limit)
        for side in "b", "a":
            book[side] = [[price, size, "0"] for price, size in book[side]]
        return Answer(book)

    def _tickers(self, given: Parameters) -> Answer:
        category = read.category(given)
        symbol, base, expiry = (read.text(given, name) for name in ("symbol", "baseCoin", "expDate"))
        option = category.name == "option"
        if option and not (symbol or base):
            raise Refused(PARAMETER_ERROR, "params error: symbol or baseCoin is required")
        rows = [
            quote.ticker()
            for quote in self._quotes.all(category.name)
            if quote.is_trading
            and symbol in ("", quote.listing.symbol)
            and (
                not option or (base in ("", quote.listing.base) and expiry in ("", quote.listing.symbol.split("-")[1]))
            )
        ]
        if symbol and not rows:
            raise read.no_symbol()
        return Answer({"category": category.name, "list": rows})

    def _recent_trades(self, given: Parameters) -> Answer:
        category = read.category(given)
        spot, option = category.name == "spot", category.name == "option"
        limit = read.limit(given, 60 if spot else 500, 60 if spot else 1000)
        symbol, base = read.text(given, "symbol"), read.text(given, "baseCoin", "BTC")
        kind = read.choice(given, "optionType", ("Call", "Put"))
        if option and not symbol:
            quotes = [
                quote
                for quote in self._quotes.all("option")
                if quote.listing.base == base and kind in ("", quote.listing.contract)
            ]
        else:
            quotes = [self._quote(category, given)]
        trades = [trade for quote in quotes for trade in quote.last_trades(limit)]
        if len(quotes) > 1:
            trades.sort(key=lambda trade: trade.time_ms, reverse=True)
        rows = [_trade(category, trade) for trade in trades[:limit]]
        return Answer({"category": category.name, "list": rows})

    def _kline(self, given: Parameters) -> Answer:
        return self._bars(given, CHARTED, lambda _, bar: [*map(plain, (bar.volume, bar.turnover))])

    def _mark_kline(self, given: Parameters) -> Answer:
        return self._bars(given, FUTURES, None)

    def _index_kline(self, given: Parameters) -> Answer:
        return self._bars(given, FUTURES, None, price=lambda quote, mark: quote.price(quote.index(mark)))

    def _premium_kline(self, given: Parameters) -> Answer:
        return self._bars(given, ("linear",), None, price=lambda quote, _: f"{quote.premium:f}")

    def _bars(
        self,
        given: Parameters,
        categories: Collection[str],
        more: Callable[[Quote, Bar], list[str]] | None,
        price: Callable[[Quote, Decimal], str] = Quote.price,
    ) -> Answer:
        """Rows newest first; of a request with `start` alone those from there on, else the last ones."""
        category = read.category({"category": read.text(given, "category", "linear")}, categories)
        interval = read.choice(given, "interval", INTERVALS)
        if not interval:
            raise read.required("interval")
        limit = read.limit(given, 200, 1000)
        start, end = read.whole(given, "start"), read.whole(given, "end")
        quote = self._quote(category, given)
        newest = min(quote.now_ms, quote.now_ms if end is None else end)
        if start is not None and end is None:
            last = begin_of(interval, min(max(start, begin_of(interval, LAUNCH_MS)), quote.now_ms) - 1)
            for _ in range(limit):
                last = end_of(interval, last)
            newest = min(newest, last)
        rows = []
        for begin, bar in itertools.islice(quote.chart.newest(interval, newest), limit):
            if start is not None and begin < start:
                break
            prices = [price(quote, each) for each in (bar.open, bar.high, bar.low, bar.close)]
            rows.append([str(begin), *prices, *(more(quote, bar) if more else [])])
        return Answer({"symbol": quote.listing.symbol, "category": category.name, "list": rows})

    def _funding(self, given: Parameters) -> Answer:
        category = read.category(given, FUTURES)
        limit = read.limit(given, 200, 200)
        start, end = read.whole(given, "startTime"), read.whole(given, "endTime")
        if start is not None and end is None:
            raise Refused(PARAMETER_ERROR, "params error: endTime is required when startTime is given")
        quote = self._quote(category, given)
        newest = min(quote.now_ms, quote.now_ms if end is None else end) // FUNDING_MS * FUNDING_MS
        times = itertools.takewhile(
            lambda time: time >= max(start or 0, LAUNCH_MS), itertools.count(newest, -FUNDING_MS)
        )
        rows = [
            {
                "symbol": quote.listing.symbol,
                "fundingRate": quote.funding_rate(time),
                "fundingRateTimestamp": str(time),
            }
            for time in itertools.islice(times, limit)
        ]
        return Answer({"category": category.name, "list": rows})

    def _open_interest(self, given: Parameters) -> Answer:
        category = read.category(given, FUTURES)
        interval = read.choice(given, "intervalTime", _INTEREST_INTERVALS)
        if not interval:
            raise read.required("intervalTime")
        limit = read.limit(given, 50, 200)
        start, end = read.whole(given, "startTime", 0), read.whole(given, "endTime")
        told = read.start_of_page(given)
        quote = self._quote(category, given)
        step = _INTEREST_INTERVALS[interval] * 60_000
        newest = min(quote.now_ms, quote.now_ms if end is None else end, told - 1 if told else quote.now_ms)
        times = range(newest // step * step, max(start, LAUNCH_MS) - 1, -step)
        rows = [{"openInterest": plain(quote.open_interest(time)), "timestamp": str(time)} for time in times[:limit]]
        cursor = cursor_of(times[limit - 1]) if len(times) > limit else ""
        symbol = quote.listing.symbol
        return Answer({"symbol": symbol, "category": category.name, "list": rows, "nextPageCursor": cursor})

    def _risk_limits(self, given: Parameters) -> Answer:
        """One tier for each symbol."""
        category = read.category(given, FUTURES)
        symbol, start = read.text(given, "symbol"), read.start_of_page(given)
        quotes = [self._quote(category, given)] if symbol else list(self._quotes.all(category.name))
        rows = [
            {
                "id": quote.rank + 1,
                "symbol": quote.listing.symbol,
                "riskLimitValue": "2000000",
                "maintenanceMargin": "0.005",
                "initialMargin": "0.01",
                "isLowestRisk": 1,
                "maxLeverage": f"{MAX_LEVERAGE:.2f}",
                "mmDeduction": "",
            }
            for quote in quotes[start : start + _RISK_PAGE]
        ]
        cursor = cursor_of(start + _RISK_PAGE) if start + _RISK_PAGE < len(quotes) else ""
        return Answer({"category": category.name, "list": rows, "nextPageCursor": cursor})

    def _price_limit(self, given: Parameters) -> Answer:
        category = read.category({"category": read.text(given, "category", "linear")}, CHARTED)
        quote = self._quote(category, given)
        highest, lowest = map(quote.price, quote.limits())
        symbol = quote.listing.symbol
        return Answer({"symbol": symbol, "buyLmt": highest, "sellLmt": lowest, "ts": str(quote.now_ms)})

    def _deliveries(self, given: Parameters) -> Answer:
        """Nothing is delivered here."""
        category = read.category(given, ("linear", "inverse", "option"))
        return Answer({"category": category.name, "nextPageCursor": "", "list": []})

    def _status(self, _given: Parameters) -> Answer:
        """No maintenance is announced here."""
        return Answer({"list": []}, message="")

    def _quote(self, category: Category, given: Parameters) -> Quote:
        quote = self._quotes.find(category.name, read.text(given, "symbol"))
        if quote is None:
            raise read.no_symbol()
        return quote


def _public(answer: Callable[[Parameters], Answer]) -> Endpoint:
    return lambda call: answer(call.parameters)


def _book(state: BookState | None, limit: int) -> dict[str, Any]:
    if state is None:
        raise read.no_symbol()
    bids, asks = state.sides(state.book.levels)
    return {
        "s": state.symbol,
        "b": bids[:limit],
        "a": asks[:limit],
        "ts": state.ts,
        "u": state.book.u,
        "seq": state.book.seq,
        "cts": state.cts,
    }


def _trade(category: Category, trade: Trade) -> dict[str, Any]:
    price = trade.scale.price(trade.price)
    row: dict[str, Any] = {
        "execId": trade.id,
        "symbol": trade.symbol,
        "price": price,
        "size": trade.scale.size(trade.size),
        "side": "Buy" if trade.buy else "Sell",
        "time": str(trade.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.seq),
    }
    if category.name == "option":  # as in the WebSocket's rows: the last price stands in for mark and index
        row |= {"mP": price, "iP": price, "mIv": "0.5", "iv": "0.5"}
    return row
