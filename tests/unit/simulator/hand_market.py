"""A market that stands where a test puts it: levels and last prices by hand."""

from decimal import Decimal

from feeder.clock import Clock
from feeder.simulator.messages import Trade
from feeder.simulator.source import Touch
from feeder.simulator.tape import Tape
from feeder.simulator.universe import Listing

Side = list[tuple[str, str]]


class HandMarket:
    """What a ledger needs of a source. Every symbol begins with one level of plenty on each side of its middle."""

    def __init__(self, listings: list[Listing], clock: Clock) -> None:
        self._clock = clock
        self._listings = {(each.category, each.symbol): each for each in listings}
        self._levels: dict[tuple[str, str], dict[int, int]] = {}
        self._tapes = {key: self._new_tape(listing) for key, listing in self._listings.items()}
        self.seq = 100

    def listings(self, category: str) -> list[Listing]:
        return [listing for key, listing in self._listings.items() if key[0] == category]

    def find(self, category: str, symbol: str) -> tuple[int, Listing] | None:
        listings = self.listings(category)
        return next(((n, each) for n, each in enumerate(listings) if each.symbol == symbol), None)

    def touch(self, category: str, symbol: str, depth: int = 1) -> Touch | None:
        listing = self._listings.get((category, symbol))
        if listing is None:
            return None
        middle = listing.mid_ticks * listing.tick_units
        usual = {~(middle - listing.tick_units): 10**13, middle: 10**13}
        levels = self._levels.get((category, symbol), usual)
        kept = [key for bid in (True, False) for key in sorted(k for k in levels if (k < 0) == bid)[:depth]]
        return Touch(listing.scale, {key: levels[key] for key in kept}, self.seq)

    def tape(self, category: str, symbol: str) -> Tape | None:
        return self._tapes.get((category, symbol))

    def time_ms(self, category: str) -> int:
        return self._clock.wall_ns() // 1_000_000

    def book_topics(self, category: str, symbol: str) -> list[str]:
        return []

    def enlist(self, listing: Listing) -> None:
        self._listings[listing.category, listing.symbol] = listing
        self._tapes[listing.category, listing.symbol] = self._new_tape(listing)

    def refine(self, tick: str, step: str, category: str = "linear", symbol: str = "BTCUSDT") -> None:
        """A finer tick and step from now on; put a book and a trade then, the old ones are in the old units."""
        self._listings[category, symbol] = self._listings[category, symbol].with_steps(tick, step)

    def put(self, bids: Side, asks: Side, category: str = "linear", symbol: str = "BTCUSDT") -> None:
        """The whole book from now on."""
        scale = self._listings[category, symbol].scale
        levels = {}
        for side, bid in ((bids, True), (asks, False)):
            for price, size in side:
                units = int(Decimal(price).scaleb(scale.price_digits))
                levels[~units if bid else units] = int(Decimal(size).scaleb(scale.size_digits))
        self._levels[category, symbol] = levels
        self.seq += 10

    def trade(self, price: str, category: str = "linear", symbol: str = "BTCUSDT") -> None:
        """The last price from now on."""
        scale = self._listings[category, symbol].scale
        units = int(Decimal(price).scaleb(scale.price_digits))
        now_ms = self.time_ms(category)
        self.seq += 10
        trade = Trade(symbol, scale, True, units, 1, f"t{self.seq}", "PlusTick", self.seq, now_ms)
        self._tapes[category, symbol].add(trade)

    def _new_tape(self, listing: Listing) -> Tape:
        first = Decimal(listing.tick) * listing.mid_ticks
        return Tape(listing.category, self._clock.wall_ns() // 1_000_000, first)
