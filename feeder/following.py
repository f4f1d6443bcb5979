"""What is followed: by the configuration, by the exchange's listings and turnover, and by hand; kept up to date.

Rules are settled against what is known at once: no book that stays waits for one that comes. What has to be asked of
the exchange first (a category's instruments, its turnover) is asked in the background, again until it answers; until
then the books of that category stay as they are.
"""

import asyncio
import gc
import math
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from random import Random

from feeder.bybit.instruments import InstrumentTable, listed_by
from feeder.bybit.pacing import backoff_delay
from feeder.bybit.pool import BybitPool, Subscription
from feeder.bybit.universe import Rule, Turnover, wanted
from feeder.clock import Clock
from feeder.config import Config, Top, usual_depth
from feeder.errors import ConfigError, InstrumentError, RestError
from feeder.log import logger
from feeder.log_outage import Outage
from feeder.market.instrument import InstrumentKey, instrument_id
from feeder.multicast.publisher import Publisher
from feeder.roster import Changes, Roster

_RETRY_FIRST, _RETRY_CAP = 0.5, 5.0  # seconds between attempts to learn what is missing
_JITTER = 0.1  # of the time between two refreshes: shards and feeders do not all ask at once
# Objects more than before until the collector looks for cycles: what an update makes goes by itself, so there are few.
_COLLECT_AFTER = 50_000

_log = logger("following")


class Following:
    """Decides what the roster follows. `run` learns what has to be learned; all else happens at once.

    `by_hand` has what an operator asked for beside the configuration: a subscription, or None for a book that is not
    wanted. It stands until the feeder ends or the operator says otherwise. `refreshes` counts them by result.
    """

    def __init__(
        self,
        config: Config,
        instruments: InstrumentTable,
        pool: BybitPool,
        publisher: Publisher,
        roster: Roster,
        clock: Clock,
        random: Random,
    ) -> None:
        self.roster = roster
        self.by_hand: dict[InstrumentKey, Subscription | None] = {}
        self.refreshes: Counter[str] = Counter()
        self._instruments = instruments
        self._pool = pool
        self._publisher = publisher
        self._clock = clock
        self._random = random
        self._ids = config.ids
        # By category whose instruments are known: as the exchange lists them, for options the base coins.
        self._loaded: dict[str, frozenset[str | None]] = {}
        self._turnover: dict[str, Turnover] = {}
        self._connected = False  # or about to be
        self._outage = Outage()
        self._failures: dict[str, str] = {}  # why what is missing was not learned the last time
        self._news = asyncio.Event()  # something else is wanted
        self._asked_again = True  # about what was refused: it may have been listed since the table was loaded
        self._rules: list[Rule] = []
        self._refresh_seconds: float | None = None
        self._take(config)

    def change(self, config: Config) -> Changes:
        """Follow what another configuration says. Raises ConfigError, and changes nothing, if none of it can be."""
        before = self._rules, self._refresh_seconds
        self._take(config)
        # Judged as a whole, other shards' books included and nothing by hand: all shards find the same.
        named = self._by_rules()
        if not self._missing() and not any(map(self._is_known, named)):
            self._rules, self._refresh_seconds = before
            raise _nothing_to_follow(next(iter(named), None))
        return self._settle_news()

    def subscribe(self, keys: Sequence[InstrumentKey], depth: int | None, *, trades: bool) -> Changes:
        """Follow these as well, until the feeder ends.

        Depth None: as it is followed or configured, otherwise as is usual for the category.
        """
        ruled = self._by_rules()
        present = ruled | self.roster.followed
        for key in keys:
            category, symbol = key
            known = present[key].depth if key in present else usual_depth(category)
            subscription = Subscription(category, symbol, depth or known, trades)
            if ruled.get(key) == subscription:
                self.by_hand.pop(key, None)  # it is what the configuration says: nothing is left to be said by hand
            else:
                self.by_hand[key] = subscription
        return self._settle_news(keys)

    def unsubscribe(self, keys: Sequence[InstrumentKey]) -> Changes:
        """Follow these no longer, whatever the configuration says, until the feeder ends."""
        for key in keys:
            if self._is_ruled(key):
                self.by_hand[key] = None
            else:  # wanted by hand alone, or by nobody: that is not to be remembered against a later configuration
                self.by_hand.pop(key, None)
        return self._settle_news()

    async def run(self) -> None:
        """Learn what is missing, connect, and refresh what is known, for ever.

        Raises ConfigError when there is nothing to follow at the start, RestError when it is no use to ask again.
        """
        refreshed_at = self._clock.monotonic()
        refresh_at = refreshed_at + self._until_refresh()
        learn_at = -math.inf
        attempt = 0
        while True:
            now = self._clock.monotonic()
            missing = self._missing()
            if missing and now >= learn_at:
                attempt += 1
                learn_at = now + await self._learn(missing, attempt)
            elif not missing and not self._connected:  # what could not be learned is not wanted any longer
                await self._connect()
            elif self._connected and (now >= refresh_at or not self._asked_again):
                self._asked_again = True
                await self.refresh()
                refreshed_at = self._clock.monotonic()
                refresh_at = refreshed_at + self._until_refresh()
            else:
                attempt = attempt if missing else 0
                if self._news.is_set():  # perhaps of another interval; however often there are news, it ends
                    refresh_at = refreshed_at + self._until_refresh()
                self._news.clear()
                await self._until(min(refresh_at, learn_at if missing else math.inf))

    # Rules -----------------------------------------------------------------------------------------------------------

    def _take(self, config: Config) -> None:
        self._refresh_seconds = config.universe.refresh_seconds
        self._rules = [
            Rule(
                entry.category,
                entry.depth,
                entry.trades,
                tuple(entry.symbols) if isinstance(entry.symbols, list) else None,
                entry.symbols.top if isinstance(entry.symbols, Top) else None,
            )
            for entry in config.subscriptions
        ]

    def _wanted(self) -> dict[InstrumentKey, Subscription]:
        """By rules and by hand, as far as this process serves it and what it needs is known."""
        missing = self._missing()
        result = {key: subscription for key, subscription in self.roster.followed.items() if key[0] in missing}
        result |= self._by_rules()
        for key, subscription in self.by_hand.items():
            if subscription is None:
                result.pop(key, None)
            elif key[0] not in missing:
                result[key] = subscription
        return {key: subscription for key, subscription in result.items() if self._publisher.serves(self.id_of(key))}

    def _by_rules(self) -> dict[InstrumentKey, Subscription]:
        """What the configuration says, whoever serves it, as far as what that needs is known."""
        missing = self._missing()
        rules = [rule for rule in self._rules if rule.category not in missing]
        trading = {rule.category: self._instruments.symbols(rule.category) for rule in rules}
        return wanted(rules, trading, self._turnover, self.roster.followed)

    def _is_ruled(self, key: InstrumentKey) -> bool:
        """Whether the configuration asks for the book."""
        if any(rule.category == key[0] and rule.symbols is not None and key[1] in rule.symbols for rule in self._rules):
            return True
        return key in self._by_rules() or (key in self.roster.followed and not self.by_hand.get(key))

    def _settle(self) -> Changes:
        """Have the roster follow what is wanted now."""
        changes = self.roster.follow(self._wanted())
        self._publisher.complete = not self.waiting_for()
        needed = self._needed()
        for known in (self._loaded, self._turnover):
            for category in known.keys() - needed:
                del known[category]  # it gets old: should the category be wanted again, it is learned anew
        if changes.subscribed or changes.unsubscribed:
            _log.info(
                "books followed",
                count=len(self.roster.followed),
                subscribed=len(changes.subscribed),
                unsubscribed=len(changes.unsubscribed),
                refused=len(changes.refused),
            )
        return changes

    def _settle_news(self, asked_for: Sequence[InstrumentKey] = ()) -> Changes:
        """Something else is wanted: follow it as far as it is known, and have `run` learn the rest.

        What was refused before is asked about again if it is just this that is asked for.
        """
        before = self.roster.refused.keys() - set(asked_for)
        changes = self._settle()
        self._asked_again &= changes.refused.keys() <= before
        self._news.set()
        return changes

    def waiting_for(self) -> dict[str, str]:
        """The configured categories of which too little is known to follow their books, and what was said last, if so.

        What is wanted by hand alone is not among them: the books of the configuration do not wait for it.
        """
        missing = self._missing() & {rule.category for rule in self._rules}
        return {category: self._failures.get(category, "") for category in sorted(missing)}

    def id_of(self, key: InstrumentKey) -> int:
        """The instrument id, whether or not the exchange lists it."""
        return self._ids[key] if key in self._ids else instrument_id(*key)

    def _is_known(self, key: InstrumentKey) -> bool:
        try:
            self._instruments.get(key)
        except InstrumentError:
            return False
        return True

    # What the exchange is asked --------------------------------------------------------------------------------------

    def _missing(self) -> set[str]:
        """The categories of which too little is known to settle their rules."""
        ranked = {rule.category for rule in self._rules if rule.top is not None}
        return self._unknown().keys() | (ranked - self._turnover.keys())

    def _needed(self) -> set[str]:
        """The categories of which something is wanted."""
        return {rule.category for rule in self._rules} | {key[0] for key, by_hand in self.by_hand.items() if by_hand}

    def _unknown(self) -> dict[str, list[str] | None]:
        """The categories whose instruments are not known, or not those of each base coin, with what is wanted of it."""
        wanted = {category: self._symbols(category) for category in sorted(self._needed())}
        return {
            category: symbols
            for category, symbols in wanted.items()
            if not self._loaded.get(category, frozenset()).issuperset(listed_by(category, symbols))
        }

    def _symbols(self, category: str) -> list[str] | None:
        """Those wanted by name; None for all. Options are listed per base coin, so that it matters."""
        listed: list[str] = [symbol for (of, symbol), by_hand in self.by_hand.items() if of == category and by_hand]
        for rule in self._rules:
            if rule.category == category:
                if rule.symbols is None:
                    return None
                listed += rule.symbols
        return listed

    async def _learn(self, missing: set[str], attempt: int) -> float:
        """Ask for what is missing and follow what can be; seconds until the next attempt at what is missing still."""
        unknown = self._unknown()
        failures = await self._instruments.load(unknown)
        for category in unknown.keys() - failures.keys():
            known = self._loaded.get(category, frozenset())
            self._loaded[category] = known.union(listed_by(category, unknown[category]))
        failures |= await self._rank(missing - failures.keys())
        self._failures = {category: str(error) for category, error in failures.items()}
        if not self._connected:
            if len(failures) == len(missing):
                for error in failures.values():
                    if not error.retriable:
                        raise error
            self._check_ids()
        self._settle()
        if len(failures) < len(missing):
            await self._connect()
        if not failures:
            self._outage.over()
            return 0.0
        say = _log.error if self._outage.failed(self._clock.monotonic()) else _log.debug  # ever less often
        delay = backoff_delay(attempt, _RETRY_FIRST, _RETRY_CAP, self._random)
        delay = max(delay, *(error.retry_after_seconds for error in failures.values()))
        for category, error in failures.items():
            say(
                "instruments not loaded",
                category=category,
                attempt=attempt,
                delay_seconds=round(delay, 1),
                error=str(error),
            )
        return delay

    async def _rank(self, categories: AbstractSet[str]) -> dict[str, RestError]:
        """Ask for the turnover of those categories whose symbols go by it; what failed."""
        failures: dict[str, RestError] = {}
        for category in sorted({rule.category for rule in self._rules if rule.top is not None} & categories):
            try:
                self._turnover[category] = await self._instruments.turnover(category)
            except RestError as error:
                failures[category] = error
        return failures

    async def _connect(self) -> None:
        """The first books are there, or more of those wanted at the start."""
        if not self._connected:
            named = self._by_rules()
            if named and not self._missing() and not any(map(self._is_known, named)):
                raise _nothing_to_follow(next(iter(named)))
            self._connected = True
            await self._pool.start()
        # What exists now lives as long as the process; the collector need not look at it again.
        gc.collect()
        gc.freeze()
        gc.set_threshold(_COLLECT_AFTER, 20, 100)

    def _check_ids(self) -> None:
        """Two instruments of one id would be one book to every consumer: not to be started with."""
        taken: dict[int, InstrumentKey] = {}
        for key in self._wanted():
            if self._is_known(key):  # otherwise it is named when it is subscribed
                other = taken.setdefault(self.id_of(key), key)
                if other != key:
                    raise ConfigError(
                        f"instrument_ids.{':'.join(key)}",
                        f"its id {self.id_of(key)} is that of {':'.join(other)}",
                        "give one of them another id here",
                    )

    def _until_refresh(self) -> float:
        seconds = self._refresh_seconds
        return math.inf if seconds is None else seconds * self._random.uniform(1 - _JITTER, 1 + _JITTER)

    async def _until(self, when: float) -> None:
        """Wait for that monotonic time, or until something else is wanted."""
        try:
            async with asyncio.timeout(None if when == math.inf else max(0.0, when - self._clock.monotonic())):
                await self._news.wait()
        except TimeoutError:
            return

    async def refresh(self) -> None:
        """Ask the exchange anew; a category of which it does not tell stays as it is until the next time."""
        asked = {category: self._symbols(category) for category in sorted(self._loaded)}
        errors: list[RestError] = []
        try:
            await self._pool.refresh(asked)
        except RestError as error:
            errors.append(error)
        await asyncio.sleep(0)  # a book that has just been closed says so itself, before it is followed no longer
        errors += (await self._rank(asked.keys())).values()
        for category in asked.keys() & self._loaded.keys():  # what is not asked for any more gets old
            self._loaded[category] = self._loaded[category].intersection(listed_by(category, asked[category]))
        for failure in errors:
            _log.warning("universe not refreshed", error=str(failure))
        self.refreshes["failed" if errors else "ok"] += 1
        self._settle()


def _nothing_to_follow(example: InstrumentKey | None) -> ConfigError:
    if example is None:
        return ConfigError("subscriptions", "nothing to follow", "name symbols, or ask for all of a category")
    name = ":".join(example)
    return ConfigError("subscriptions", f"the exchange lists none of them, such as {name}", "correct the symbols")
