"""The symbols of the simulated exchange: well-known ones from a table, then as many more as asked for, by rule."""

import csv
import itertools
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from importlib import resources

from feeder.errors import FeederError
from feeder.simulator.decimals import Scale, digits_of, to_units
from feeder.simulator.venue import CATEGORIES

_QUOTES = ("USDT", "USDC", "PERP", "USD", "BTC", "ETH", "EUR")


@dataclass(frozen=True, slots=True)
class Listing:
    """One traded symbol. `tick`, `step` and `price` (where it trades about) are decimal texts.

    `contract` is LinearPerpetual or InversePerpetual, on option Call or Put, and empty on spot, as `settle` is.
    """

    category: str
    symbol: str
    base: str
    quote: str
    settle: str
    contract: str
    tick: str
    step: str
    price: str

    @property
    def scale(self) -> Scale:
        """How the symbol's numbers are written."""
        return Scale(digits_of(self.tick), digits_of(self.step), CATEGORIES[self.category].pads_prices)

    def with_steps(self, tick: str, step: str) -> "Listing":
        """The same with another tick and step. FeederError unless the old ones are whole numbers of them."""
        for name, old, new in (("tick", self.tick, tick), ("step", self.step, step)):
            if not Decimal(new) or Decimal(old) % Decimal(new) or digits_of(new) < digits_of(old):
                raise FeederError(
                    f"{self.category} {self.symbol} cannot have {name} {new}: its orders stand at multiples of {old};"
                    f" give a finer one that divides it, such as {Decimal(old) / 10:f}"
                )
        return replace(self, tick=tick, step=step)

    @property
    def tick_units(self) -> int:
        """The tick in units of the price's last digit."""
        return to_units(self.tick, digits_of(self.tick))

    @property
    def step_units(self) -> int:
        """The step in units of the size's last digit."""
        return to_units(self.step, digits_of(self.step))

    @property
    def mid_ticks(self) -> int:
        """Where it trades about, in ticks."""
        return max(1, round(Decimal(self.price) / Decimal(self.tick)))

    @property
    def delivery_ms(self) -> int:
        """When an option ends, ms since the epoch: 08:00 UTC on the day in its symbol. 0 for what tells no such day."""
        parts = self.symbol.split("-")
        try:
            return round(datetime.strptime(f"{parts[1]} 08 +0000", "%d%b%y %H %z").timestamp()) * 1000
        except (IndexError, ValueError):
            return 0


def universe(categories: Sequence[str], count: int) -> list[Listing]:
    """`count` listings spread evenly over the categories, the busiest first; always the same for the same question."""
    if count < 1:
        raise FeederError(f"a market of {count} symbols has nothing to send; ask for at least 1")
    unknown = [name for name in categories if name not in CATEGORIES]
    if unknown or not categories:
        raise FeederError(f"unknown categories {unknown}; choose from {', '.join(CATEGORIES)}")
    if len(set(categories)) < len(categories):
        raise FeederError(f"a category is named twice in {', '.join(categories)}; name each once")
    sources = itertools.cycle([listings(name) for name in categories])
    return [next(source) for source in itertools.islice(sources, count)]


def new_listing(category: str, symbol: str, tick: str, step: str, price: str) -> Listing:
    """A symbol by name; its coins are read from it as the exchange writes them."""
    if category == "option":
        contract = "Put" if "-P" in symbol else "Call"
        return Listing(category, symbol, symbol.split("-")[0], "USDC", "USDC", contract, tick, step, price)
    quote = next((coin for coin in _QUOTES if symbol.endswith(coin) and symbol != coin), "")
    base = symbol.removesuffix(quote)
    quote = {"PERP": "USDC", "": "USDT"}.get(quote, quote)
    settle = {"linear": quote, "inverse": base}.get(category, "")
    contract = {"linear": "LinearPerpetual", "inverse": "InversePerpetual"}.get(category, "")
    return Listing(category, symbol, base, quote, settle, contract, tick, step, price)


def listings(category: str) -> Iterator[Listing]:
    """All listings of a category without end: the table's, then those made by rule."""
    known = set()
    for listing in _table():
        if listing.category == category:
            known.add(listing.symbol)
            yield listing
    made = _options() if category == "option" else _coins(category)
    yield from (listing for listing in made if listing.symbol not in known)


def _table() -> list[Listing]:
    text = resources.files("feeder.simulator").joinpath("instruments.csv").read_text(encoding="ascii")
    return [Listing(**row) for row in csv.DictReader(text.splitlines())]


def _coins(category: str) -> Iterator[Listing]:
    """Perpetuals or spot pairs of coins nobody knows: prices from 0.0001 to 1,000, five to six significant digits."""
    rng = random.Random(f"coins:{category}")  # noqa: S311 - a market to look at, no secret
    quote, settle, contract = {
        "linear": ("USDT", "USDT", "LinearPerpetual"),
        "inverse": ("USD", "", "InversePerpetual"),
        "spot": ("USDT", "", ""),
    }[category]
    for base in _coin_names():
        magnitude = rng.uniform(-4, 3)
        price = Decimal(f"{10**magnitude:.4g}")
        price_digits = max(0, 5 - math.ceil(magnitude))
        # A step is worth about a tenth of a quote unit, on spot a hundredth, on inverse one dollar.
        step = "1" if category == "inverse" else _power_of_ten(round(-1 - magnitude) - (category == "spot"))
        yield Listing(
            category=category,
            symbol=base + quote,
            base=base,
            quote=quote,
            settle=base if category == "inverse" else settle,
            contract=contract,
            tick=_power_of_ten(-price_digits),
            step=step,
            price=f"{price:f}",
        )


def _coin_names() -> Iterator[str]:
    onsets, vowels, codas = "BDFGKLMNPRSTVZ", "AEIOU", ("", "N", "R", "X", "L")
    for length in itertools.count(2):
        for parts in itertools.product(itertools.product(onsets, vowels), repeat=length):
            for coda in codas:
                yield "".join(onset + vowel for onset, vowel in parts) + coda


def _options() -> Iterator[Listing]:
    """Calls and puts of three coins over expiries and strikes; a premium as a rule of thumb gives it."""
    coins = (("BTC", 78_700, 2_000, "5", "0.01"), ("ETH", 2_950, 100, "0.1", "0.1"), ("SOL", 172, 5, "0.01", "1"))
    for year in itertools.count(27):
        for month, (expiry, coin) in enumerate(
            itertools.product((f"26MAR{year}", f"25JUN{year}", f"24SEP{year}", f"31DEC{year}"), coins)
        ):
            base, spot, gap, tick, step = coin
            years = year - 26 + (month // 3) / 4
            for distance, kind in itertools.product(range(1, 41), ("C", "P")):
                # 1, 2, 3, ... become 0, +1, -1, +2, -2, ... strikes from the money.
                strike = round(spot / gap) * gap + gap * (distance // 2) * (1 if distance % 2 == 0 else -1)
                if strike <= 0:
                    continue
                inner = max(0, spot - strike if kind == "C" else strike - spot)
                outer = 0.2 * spot * math.sqrt(years) * math.exp(-2 * abs(strike - spot) / spot)
                ticks = max(20, round(Decimal(inner + outer) / Decimal(tick)))
                yield Listing(
                    category="option",
                    symbol=f"{base}-{expiry}-{strike}-{kind}",
                    base=base,
                    quote="USDC",
                    settle="USDC",
                    contract="Call" if kind == "C" else "Put",
                    tick=tick,
                    step=step,
                    price=f"{ticks * Decimal(tick):f}",
                )


def _power_of_ten(exponent: int) -> str:
    return f"{Decimal(1).scaleb(exponent):f}"
