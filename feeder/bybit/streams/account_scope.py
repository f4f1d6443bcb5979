"""What an account is followed in: which categories, and what REST and the stream must be asked for."""

from collections.abc import Iterable
from typing import NamedTuple

from feeder.errors import ParameterError, TopicError

from ..rest.words import Category

CATEGORIES: tuple[Category, ...] = ("linear", "inverse", "spot", "option")


class Scope(NamedTuple):
    """The categories; linear contracts are listed by the coin that they settle in."""

    categories: tuple[Category, ...]
    settle_coins: tuple[str, ...]

    @classmethod
    def of(cls, categories: Iterable[Category], settle_coins: Iterable[str]) -> "Scope":
        """Each of both once. Raises ParameterError for what cannot be followed."""
        scope = cls(tuple(dict.fromkeys(categories)), tuple(dict.fromkeys(settle_coins)))
        unknown = [category for category in scope.categories if category not in CATEGORIES]
        if unknown or not scope.categories:
            raise ParameterError("Account", "categories", f"{unknown or 'none'}; give some of {', '.join(CATEGORIES)}")
        if "linear" in scope.categories and not scope.settle_coins:
            raise ParameterError("Account", "settle_coins", "linear contracts need at least one, as USDT")
        return scope

    def coins_of(self, category: Category) -> tuple[str | None, ...]:
        """For each of which a listing is asked for."""
        return self.settle_coins if category == "linear" else (None,)

    def topics_of(self, wanted: Iterable[str]) -> frozenset[str]:
        """Those among the wanted that the account is followed by.

        Raises TopicError for one that is missing, without which what is told would not be the whole.
        """
        topics = frozenset(wanted)
        needed: set[str] = set()
        for kind in ("order", "execution", "position"):
            for category in self.categories:
                if (kind, category) == ("position", "spot"):
                    continue
                found = topics & {kind, f"{kind}.{category}"}
                if not found:
                    topic = f"{kind}.{category}"
                    raise TopicError(topic, f"an Account of {category} needs it; subscribe to it or to {kind}")
                needed |= found
        if "wallet" not in topics:
            raise TopicError("wallet", "an Account needs it; subscribe to it")
        return frozenset(needed | {"wallet"})
