"""What an account has, merged from its private stream and REST, without either of them. The rules: account_rules.py.

`on_...` takes what the stream tells, `take_...` what REST tells. Each returns what there is to tell others, or None
where it changes nothing. A moment is how many events the stream has told: whoever asks REST says at which moment it
asked, and what the stream told since then is not undone by an answer that says no later time.
"""

from collections import OrderedDict, deque
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

import msgspec

from ..rest.results.account import CoinBalance, Wallet
from .account_rules import (
    ZERO,
    is_done,
    is_later_order,
    is_later_position,
    is_same_balance,
    is_same_order,
    is_same_position,
    is_waiting,
)
from .fills import KNOWN_FILLS, KnownFills
from .final_statuses import GONE
from .messages import ExecutionUpdate, OrderUpdate, PositionUpdate, WalletUpdate

CLOSED_ORDERS = 5_000  # some 14 MB
RECENT_FILLS = 1_000
_UNIFIED = "UNIFIED"
_EMPTY_POSITIONS = 5_000  # options come and go for ever


class PositionKey(NamedTuple):
    """`position_idx`: 0 one-way, 1 the buy side and 2 the sell side of hedge mode."""

    category: str
    symbol: str
    position_idx: int


class _Source(NamedTuple):
    """Who told what is known of a thing. `heard`: the moment at which the stream told it last, 0: it never did."""

    heard: int
    by_rest: bool


_NOBODY = _Source(0, by_rest=False)


class AccountState:
    """Orders, fills, positions and coins. The open orders, positions and coins are as many as the venue allows."""

    def __init__(
        self,
        *,
        closed_orders: int = CLOSED_ORDERS,
        recent_fills: int = RECENT_FILLS,
        known_fills: int = KNOWN_FILLS,
    ) -> None:
        if closed_orders < 1:
            raise ValueError(f"{closed_orders} closed orders: a late event would open one again; give at least 1")
        self.moment = 1
        self.fills = KnownFills(known_fills)
        self.recent_fills: deque[ExecutionUpdate] = deque(maxlen=recent_fills)
        self.outdated = 0  # rows that told what was over
        self.totals: WalletUpdate | None = None
        self._totals_heard = 0
        self._closed_orders = closed_orders
        self._open: dict[str, OrderUpdate] = {}
        self._closed: OrderedDict[str, OrderUpdate] = OrderedDict()
        self._order_sources: dict[str, _Source] = {}
        self._links: dict[str, str] = {}
        self._positions: dict[PositionKey, PositionUpdate] = {}
        self._empty: OrderedDict[PositionKey, PositionUpdate] = OrderedDict()
        self._position_sources: dict[PositionKey, _Source] = {}
        self._coins: dict[str, CoinBalance] = {}
        self._coin_sources: dict[str, _Source] = {}
        self._coins_told: dict[str, int] = {}  # the stream's time, ms
        # As others see it
        self.orders: Mapping[str, OrderUpdate] = MappingProxyType(self._open)
        self.closed: Mapping[str, OrderUpdate] = MappingProxyType(self._closed)
        self.positions: Mapping[PositionKey, PositionUpdate] = MappingProxyType(self._positions)
        self.coins: Mapping[str, CoinBalance] = MappingProxyType(self._coins)

    def order(self, name: str) -> OrderUpdate | None:
        """By orderId or orderLinkId; None for one that is not known, or not any more."""
        order_id = self._links.get(name, name)
        return self._open.get(order_id) or self._closed.get(order_id)

    def orders_before(self, category: str, moment: int) -> list[OrderUpdate]:
        """Those that something may still come of, and that the stream has not told of since a moment."""
        sources = self._order_sources
        triggered = (order for order in self._closed.values() if not is_done(order))
        return [
            order
            for order in (*self._open.values(), *triggered)
            if order.category == category and sources[order.order_id].heard <= moment
        ]

    def positions_before(self, category: str, moment: int) -> list[PositionKey]:
        """Those, not empty, that the stream has not told of since a moment."""
        sources = self._position_sources
        return [key for key in self._positions if key.category == category and sources[key].heard <= moment]

    # Orders

    def on_order(self, order: OrderUpdate) -> OrderUpdate | None:
        """The stream tells of an order."""
        self.moment += 1
        return self._take_order(order, None)

    def take_order(self, order: OrderUpdate, asked: int) -> OrderUpdate | None:
        """REST tells of an order, asked at a moment."""
        return self._take_order(order, asked)

    def forget_order(self, order_id: str, asked: int) -> OrderUpdate | None:
        """REST, asked for an order by its id at a moment, does not know it, neither open nor as history."""
        order = self.order(order_id)
        if order is None or self._order_sources[order_id].heard > asked:
            return None
        return self.take_order(msgspec.structs.replace(order, order_status=GONE), asked)

    def _take_order(self, order: OrderUpdate, asked: int | None) -> OrderUpdate | None:
        """`asked`: when REST was; None: it is the stream's."""
        order_id = order.order_id
        before = self._order_sources.get(order_id, _NOBODY)
        source = _Source(before.heard if asked is not None else self.moment, by_rest=asked is not None)
        known = self._open.get(order_id) or self._closed.get(order_id)
        if known is not None:
            if not is_later_order(order, known, on_tie=asked is None or before.heard <= asked):
                self.outdated += 1
                return None
            loosely = before.by_rest != source.by_rest
            if is_same_order(order, known, loosely=loosely):
                # As it was told, with what one of the two leaves out; but what is older than this is outdated.
                order = msgspec.structs.replace(known, updated_time=order.updated_time) if loosely else order
                self._keep_order(order, _Source(source.heard, before.by_rest))
                return None
        self._keep_order(order, source)
        return order

    def _keep_order(self, order: OrderUpdate, source: _Source) -> None:
        order_id = order.order_id
        self._order_sources[order_id] = source
        if order.order_link_id is not None:
            self._name(order, order.order_link_id)
        if is_waiting(order):
            self._closed.pop(order_id, None)
            self._open[order_id] = order
            return
        self._open.pop(order_id, None)
        self._closed[order_id] = order
        if len(self._closed) > self._closed_orders:
            forgotten_id, forgotten = self._closed.popitem(last=False)
            del self._order_sources[forgotten_id]
            link = forgotten.order_link_id
            if link is not None and self._links.get(link) == forgotten_id:
                del self._links[link]

    def _name(self, order: OrderUpdate, link: str) -> None:
        """Of two orders with one orderLinkId, the later is meant."""
        other = self.order(link)
        if other is None or (order.created_time or 0) >= (other.created_time or 0):
            self._links[link] = order.order_id

    # Fills

    def take_fill(self, fill: ExecutionUpdate) -> ExecutionUpdate | None:
        """The stream or REST tells of a fill; None for one that was counted."""
        if not self.fills.add(fill):
            return None
        self.recent_fills.append(fill)
        return fill

    # Positions

    def on_position(self, position: PositionUpdate) -> PositionUpdate | None:
        """The stream tells of a position."""
        self.moment += 1
        return self._take_position(position, None)

    def take_position(self, position: PositionUpdate, asked: int) -> PositionUpdate | None:
        """REST tells of a position, asked at a moment."""
        return self._take_position(position, asked)

    def forget_position(self, key: PositionKey, asked: int) -> PositionUpdate | None:
        """REST, asked for a symbol at a moment, does not have this position any more, not even as an empty one."""
        position = self._positions.get(key)
        if position is None or self._position_sources[key].heard > asked:
            return None
        empty = msgspec.structs.replace(position, size=ZERO, side=None, avg_price=None, position_value=None)
        return self.take_position(empty, asked)

    def _take_position(self, position: PositionUpdate, asked: int | None) -> PositionUpdate | None:
        """`asked`: when REST was; None: it is the stream's."""
        key = PositionKey(position.category, position.symbol, position.position_idx or 0)
        before = self._position_sources.get(key, _NOBODY)
        source = _Source(before.heard if asked is not None else self.moment, by_rest=asked is not None)
        known = self._positions.get(key) or self._empty.get(key)
        told = bool(position.size)
        if known is not None:
            if not is_later_position(position, known, on_tie=asked is None or before.heard <= asked):
                self.outdated += 1
                return None
            told = not is_same_position(position, known, loosely=before.by_rest != source.by_rest)
        self._position_sources[key] = source
        if position.size:
            self._empty.pop(key, None)
            self._positions[key] = position
        else:
            self._positions.pop(key, None)
            self._empty[key] = position
            if len(self._empty) > _EMPTY_POSITIONS:
                forgotten, _ = self._empty.popitem(last=False)
                del self._position_sources[forgotten]
        return position if told else None

    # The wallet

    def on_wallet(self, wallet: WalletUpdate) -> WalletUpdate | None:
        """The stream tells of the coins that changed."""
        self.moment += 1
        if wallet.account_type not in (None, _UNIFIED):  # an account of its own, with coins of its own
            return None
        time_ms = wallet.creation_time
        changed = []
        for balance in wallet.coins:
            coin = balance.coin
            if time_ms < self._coins_told.get(coin, 0):
                self.outdated += 1
                continue
            self._coins_told[coin] = time_ms
            if self._keep_balance(balance, _Source(self.moment, by_rest=False)):
                changed.append(balance)
        if self.totals is None or time_ms >= self.totals.creation_time:
            self.totals = _with_coins(wallet, [], time_ms)
            self._totals_heard = self.moment
        return _with_coins(wallet, changed, time_ms) if changed else None

    def take_wallet(self, wallet: Wallet, asked: int, time_ms: int) -> WalletUpdate | None:
        """REST, asked at a moment, tells of the coins that are not zero. It says no time: later events are believed."""
        changed = []
        gone = self._coins.keys() - {balance.coin for balance in wallet.coins}
        for balance in [*wallet.coins, *(CoinBalance(coin, equity=ZERO, wallet_balance=ZERO) for coin in sorted(gone))]:
            heard = self._coin_sources.get(balance.coin, _NOBODY).heard
            if heard > asked:
                continue
            if self._keep_balance(balance, _Source(heard, by_rest=True)):
                changed.append(balance)
            if balance.coin in gone:
                del self._coins[balance.coin]
        if self._totals_heard <= asked:
            # With no time: an event that was made before this answer may come after it, and is right.
            self.totals = _with_coins(wallet, [], 0)
        return _with_coins(wallet, changed, time_ms) if changed else None

    def _keep_balance(self, balance: CoinBalance, source: _Source) -> bool:
        """Whether it is another than before."""
        coin = balance.coin
        known, before = self._coins.get(coin), self._coin_sources.get(coin, _NOBODY)
        self._coins[coin], self._coin_sources[coin] = balance, source
        return known is None or not is_same_balance(balance, known, loosely=before.by_rest != source.by_rest)


def _with_coins(wallet: Wallet, coins: list[CoinBalance], time_ms: int) -> WalletUpdate:
    fields = {name: getattr(wallet, name) for name in Wallet.__struct_fields__ if name != "coins"}
    return WalletUpdate(**fields, coins=coins, creation_time=time_ms)
