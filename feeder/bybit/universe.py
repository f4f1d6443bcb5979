"""Which books follow from the configuration, from what the exchange trades now and from its turnover. Sans-IO.

The exchange's ranking moves all day. So that a book at its edge does not come and go with each refresh, one that is
followed stays while it is ranked within N + N/5 (at least one more): at most a fifth more books than asked for.
"""

from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from decimal import Decimal

from feeder.errors import RestError
from feeder.market.instrument import InstrumentKey

from .pool import Subscription

Turnover = Mapping[str, Decimal | int]
"""By symbol, of the last 24 hours: see InstrumentTable.turnover."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of `subscriptions`: symbols of a category, all of them (None), or the `top` with the most turnover."""

    category: str
    depth: int
    trades: bool
    symbols: tuple[str, ...] | None
    top: int | None = None  # only with symbols None


def wanted(
    rules: Sequence[Rule],
    trading: Mapping[str, Collection[str]],
    turnover: Mapping[str, Turnover],
    followed: Collection[InstrumentKey],
) -> dict[InstrumentKey, Subscription]:
    """What to follow: listed symbols in their order, all by name, the top by rank. Of two rules the first counts.

    `trading` has the symbols the exchange trades now by category, `turnover` that of a category as far as it is known,
    `followed` what is followed now. While a category's turnover is not known, what is followed of it stays, if the
    exchange trades it still. Raises RestError, to be tried again, when nothing is followed of it either: a choice by
    name would be none.
    """
    result: dict[InstrumentKey, Subscription] = {}
    present = frozenset(followed)
    for rule in rules:
        for symbol in _symbols(rule, trading.get(rule.category, ()), turnover.get(rule.category, {}), present):
            result.setdefault((rule.category, symbol), Subscription(rule.category, symbol, rule.depth, rule.trades))
    return result


def _symbols(
    rule: Rule, trading: Collection[str], turnover: Turnover, followed: AbstractSet[InstrumentKey]
) -> Sequence[str]:
    if rule.symbols is not None:
        return rule.symbols
    if rule.top is None:
        return sorted(trading)
    present = {symbol for symbol in trading if (rule.category, symbol) in followed}
    if not turnover:
        if trading and not present:
            raise RestError(
                f"the turnover of {rule.category} is not known, and nothing of it is followed yet:"
                f" its top {rule.top} cannot be chosen",
                retriable=True,
            )
        return sorted(present)
    # Of equal turnover by name: the second sort keeps the first's order. A minus would round.
    ranked = sorted(sorted(trading), key=lambda symbol: turnover.get(symbol, 0), reverse=True)
    edge = rule.top + max(1, rule.top // 5)
    return ranked[: rule.top] + [symbol for symbol in ranked[rule.top : edge] if symbol in present]
