"""What REST knows of each symbol at this moment: its prices, its last 24 hours, its funding.

It is read off the market that the WebSocket publishes. The mark price is the last price; the index price stands off it
by a small share that is each symbol's own and never changes.
"""

import itertools
import math
import random
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import cached_property

from feeder.simulator.chart import Chart
from feeder.simulator.decimals import plain
from feeder.simulator.exchange import Exchange
from feeder.simulator.instruments import FUNDING_MS, LIMIT_RATIO, TRADING
from feeder.simulator.messages import Trade
from feeder.simulator.past import Past
from feeder.simulator.source import Source, Touch
from feeder.simulator.tape import HOUR_MS, Tape
from feeder.simulator.turnover import Turnovers
from feeder.simulator.universe import Listing

GONE = "gone"
"""The status of a symbol that REST does not know any more, whatever is asked for."""

_DAY_MS = 24 * HOUR_MS
_DOLLARS = ("USDT", "USDC", "USD")
_MOST_PREMIUM = 0.0005
_IV = "0.5"  # flat: volatility is not simulated
_INTEREST_SHARE = Decimal("0.5")  # open interest, of a usual day's volume
_INTEREST_SWING = 0.1
_INTEREST_PERIOD_MS = 5 * _DAY_MS


class Quotes:
    """The symbols of an exchange as REST sees them."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self._exchange = exchange
        self._seed = seed
        self._pasts: dict[tuple[str, str], Past] = {}
        self._shares: dict[tuple[str, str, str], float] = {}

    def now_ms(self, category: str) -> int:
        """What time it is in the market; a recording goes on at the time it was made."""
        return self._exchange.source.time_ms(category)

    def all(self, category: str) -> Iterator["Quote"]:
        """The symbols of a category that REST still knows, in the exchange's order."""
        exchange = self._exchange
        for rank, listing in enumerate(exchange.source.listings(category)):
            status = exchange.delisted.get((category, listing.symbol), TRADING)
            if status != GONE:
                yield Quote(self, listing, rank, status)

    def find(self, category: str, symbol: str) -> "Quote | None":
        """One symbol; None if REST does not know it."""
        status = self._exchange.delisted.get((category, symbol), TRADING)
        if status == GONE:
            return None
        found = self._exchange.source.find(category, symbol)
        return None if found is None else Quote(self, found[1], found[0], status)

    def usd(self, coin: str) -> Decimal | None:
        """A coin's price in dollars; None if nothing that is listed tells it."""
        if coin in _DOLLARS:
            return Decimal(1)
        for category, symbol in (("linear", f"{coin}USDT"), ("spot", f"{coin}USDT"), ("inverse", f"{coin}USD")):
            quote = self.find(category, symbol)
            if quote is not None:
                return quote.last
        return None

    @property
    def source(self) -> Source:
        """Where the market comes from."""
        return self._exchange.source

    @property
    def turnovers(self) -> Turnovers:
        """Of the last 24 hours."""
        return self._exchange.turnovers

    def past(self, listing: Listing, rank: int, tape: Tape, touch: Touch) -> Past:
        """A symbol's past up to where its tape begins."""
        key = listing.category, listing.symbol
        known = self._pasts.get(key)
        if known is not None:
            return known
        price = tape.first_price or touch.middle() or Decimal(listing.price)
        end_ms = self.now_ms(listing.category) if tape.begun_ms is None else tape.begun_ms
        usual = self.turnovers.usual(rank)
        volume = usual if listing.category == "inverse" else usual / price
        past = Past.made(listing, self._seed, end_ms, price, volume)
        if tape.begun_ms is not None:  # a recording that has not begun may begin at any time
            self._pasts[key] = past
        return past

    def share(self, name: str, listing: Listing) -> float:
        """From 0 to 1, each symbol's own for ever."""
        key = name, listing.category, listing.symbol
        share = self._shares.get(key)
        if share is None:
            share = self._shares[key] = self.random(*key).random()
        return share

    def random(self, *parts: object) -> random.Random:
        """Always the same for the same parts."""
        return random.Random(":".join(map(str, ("quotes", self._seed, *parts))))  # noqa: S311 - no secret


@dataclass(frozen=True)
class Quote:
    """One symbol now; what is looked at twice is the same."""

    quotes: Quotes
    listing: Listing
    rank: int
    status: str

    @cached_property
    def touch(self) -> Touch:
        """The best levels."""
        touch = self.quotes.source.touch(self.listing.category, self.listing.symbol)
        assert touch is not None
        return touch

    @cached_property
    def chart(self) -> Chart:
        """Its bars."""
        tape = self.quotes.source.tape(self.listing.category, self.listing.symbol)
        assert tape is not None
        return Chart(self.quotes.past(self.listing, self.rank, tape, self.touch), tape)

    @cached_property
    def last(self) -> Decimal:
        """The last price, which is the mark price as well."""
        trades = self.chart.tape.trades
        if trades:
            return Decimal(trades[-1].price).scaleb(-trades[-1].scale.price_digits)
        return self.chart.past.price_at(self.chart.past.end_ms - 1)

    @cached_property
    def premium(self) -> Decimal:
        """By what share the mark price is above the index price."""
        return Decimal(f"{(2 * self.quotes.share('premium', self.listing) - 1) * _MOST_PREMIUM:.6f}")

    @property
    def is_trading(self) -> bool:
        """Whether it can be traded now."""
        return self.status == TRADING

    @property
    def now_ms(self) -> int:
        """What time it is in its market."""
        return self.quotes.now_ms(self.listing.category)

    def last_trades(self, count: int) -> list[Trade]:
        """The last trades of its tape, and as many of its past as it takes."""
        chart = self.chart
        return list(itertools.islice(itertools.chain(reversed(chart.tape.trades), chart.past.trades()), count))

    def best(self, *, bid: bool) -> tuple[Decimal, Decimal] | None:
        """Price and size of the best level of a side."""
        found, scale = self.touch.best(bid=bid), self.touch.scale
        if found is None:
            return None
        return Decimal(found[0]).scaleb(-scale.price_digits), Decimal(found[1]).scaleb(-scale.size_digits)

    def at_market(self, *, buy: bool) -> Decimal:
        """What a market order trades at: the best price of the other side, or the last one when nobody is there."""
        best = self.best(bid=not buy)
        return self.last if best is None else best[0]

    def price(self, price: Decimal) -> str:
        """A price as the category writes it, rounded to the tick's digits."""
        scale = self.touch.scale
        return scale.price(int(price.scaleb(scale.price_digits).to_integral_value(ROUND_HALF_EVEN)))

    def index(self, mark: Decimal) -> Decimal:
        """The index price under a mark price."""
        return mark / (1 + self.premium)

    def limits(self) -> tuple[Decimal, Decimal]:
        """The highest price of a buy order and the lowest of a sell order, on the tick."""
        tick = Decimal(self.listing.tick)
        highest = (self.last * (1 + LIMIT_RATIO) / tick).to_integral_value(ROUND_FLOOR) * tick
        lowest = (self.last * (1 - LIMIT_RATIO) / tick).to_integral_value(ROUND_CEILING) * tick
        return highest, lowest

    def funding_rate(self, time_ms: int) -> str:
        """The rate that is settled at a funding time."""
        rng = self.quotes.random("funding", self.listing.category, self.listing.symbol, time_ms)
        return plain(Decimal(f"{rng.uniform(-0.0002, 0.0004):.8f}"))

    def open_interest(self, time_ms: int) -> Decimal:
        """Contracts or coins, at any time."""
        volume = self.chart.past.steps * Decimal(_DAY_MS // self.chart.past.beat_ms)
        phase = self.quotes.share("interest", self.listing)
        swing = 1 + _INTEREST_SWING * math.sin(2 * math.pi * (time_ms / _INTEREST_PERIOD_MS + phase))
        steps = max(1, int(volume * _INTEREST_SHARE * Decimal(f"{swing:.6f}")))
        return Decimal(self.listing.step) * steps

    def ticker(self) -> dict[str, str]:
        """Its row of tickers."""
        row = {"symbol": self.listing.symbol} | self._touch_row() | self._day_row()
        match self.listing.category:
            case "spot":
                return row | {"usdIndexPrice": row["lastPrice"] if self.listing.quote in _DOLLARS else ""}
            case "option":
                return row | self._option_row(row)
        return row | self._futures_row()

    def _touch_row(self) -> dict[str, str]:
        row, scale = {}, self.touch.scale
        for name, bid in (("bid1", True), ("ask1", False)):
            price, size = self.touch.best(bid=bid) or (None, 0)
            row[f"{name}Price"] = "" if price is None else scale.price(price)
            row[f"{name}Size"] = scale.size(size)
        return row

    def _day_row(self) -> dict[str, str]:
        now = self.now_ms
        day = self.chart.bar(now - now % HOUR_MS - _DAY_MS, now + 1)
        before = self.chart.price_before(now - _DAY_MS)
        # Turnover is counted in the coin that is paid with: for inverse contracts of a dollar, the base coin.
        turnover = self.quotes.turnovers.of(self.listing, self.rank)
        inverse = self.listing.category == "inverse"
        volume, paid = (turnover, turnover / self.last) if inverse else (turnover / self.last, turnover)
        digits = "1e-6" if inverse or self.listing.category == "linear" else "1e-4"
        change = ((self.last - before) / before).quantize(Decimal(digits))
        return {
            "lastPrice": self.price(self.last),
            "prevPrice24h": self.price(before),
            "price24hPcnt": f"{change:f}",
            "highPrice24h": self.price(max(day.high, before, self.last)),
            "lowPrice24h": self.price(min(day.low, before, self.last)),
            "volume24h": f"{volume:.4f}",
            "turnover24h": f"{paid:.8f}",
        }

    def _futures_row(self) -> dict[str, str]:
        now = self.now_ms
        funded = now - now % FUNDING_MS + FUNDING_MS
        interest = self.open_interest(now)
        value = interest / self.last if self.listing.category == "inverse" else interest * self.last
        return {
            "prevPrice1h": self.price(self.chart.price_before(now - HOUR_MS)),
            "markPrice": self.price(self.last),
            "indexPrice": self.price(self.index(self.last)),
            "openInterest": plain(interest),
            "openInterestValue": f"{value:.2f}",
            "fundingRate": self.funding_rate(funded),
            "nextFundingTime": str(funded),
            "fundingIntervalHour": str(FUNDING_MS // HOUR_MS),
            "fundingCap": "0.005",
            "predictedDeliveryPrice": "",
            "basisRate": "",
            "basisRateYear": "",
            "basis": "",
            "deliveryFeeRate": "",
            "deliveryTime": "0",
            "preOpenPrice": "",
            "preQty": "",
            "curPreListingPhase": "",
        }

    def _option_row(self, row: dict[str, str]) -> dict[str, str]:
        under = self.quotes.usd(self.listing.base)
        underlying = "" if under is None else plain(under)
        told = {
            "bid1Iv": _IV,
            "ask1Iv": _IV,
            "markPrice": row["lastPrice"],
            "markIv": _IV,
            "indexPrice": underlying,
            "underlyingPrice": underlying,
            "openInterest": plain(self.open_interest(self.now_ms)),
            "totalVolume": row["volume24h"],
            "totalTurnover": row["turnover24h"],
            "delta": "0",
            "gamma": "0",
            "vega": "0",
            "theta": "0",
            "predictedDeliveryPrice": "0",
            "change24h": row["price24hPcnt"],
        }
        for name in ("prevPrice24h", "price24hPcnt"):
            del row[name]
        return told
