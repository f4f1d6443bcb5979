"""Numbers and identities of what an exchange counts: the same ones for the same seed and the same order of things."""

import random
import uuid


class Numbers:
    """One count of each kind; and a cross sequence of each symbol that only grows."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._counts: dict[str, int] = {}
        self._sequences: dict[tuple[str, str], int] = {}  # one for each symbol that was traded

    def peek(self, kind: str) -> int:
        """The number that is next."""
        return self._counts.get(kind, 0) + 1

    def take(self, kind: str) -> int:
        """The next number."""
        self._counts[kind] = number = self.peek(kind)
        return number

    def identity(self, kind: str, number: int, category: str) -> str:
        """The orderId or execId that goes with a number: digits on spot, a UUID elsewhere."""
        rng = random.Random(f"ledger:{self._seed}:{kind}:{number}")  # noqa: S311 - no secret
        if category == "spot":
            return f"1{rng.randrange(10**18):018d}"
        return str(uuid.UUID(int=rng.getrandbits(128), version=4))

    def sequence(self, category: str, symbol: str, market: int) -> int:
        """The cross sequence of what happens now: the market's, or one more than the last one told."""
        last = self._sequences.get((category, symbol), 0)
        self._sequences[category, symbol] = following = max(market, last + 1)
        return following
