"""Random sessions of accounts against a random market: what must hold whatever happens. No float, no clock."""

import random
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Any, cast

import pytest

from feeder.clock import ManualClock
from feeder.simulator.account import FIRST_BALANCES, Account
from feeder.simulator.exchange import Exchange
from feeder.simulator.executions import Execution
from feeder.simulator.ledger import Ledger
from feeder.simulator.orders import FILLED, PARTLY_FILLED, UNTRIGGERED, Order
from feeder.simulator.position_rows import private_position_row
from feeder.simulator.quotes import Quotes
from feeder.simulator.rest_reply import Refused
from feeder.simulator.source import Source
from feeder.simulator.told import Told
from feeder.simulator.universe import universe
from feeder.simulator.wallet import private_wallet_row
from tests.unit.simulator.hand_market import HandMarket

SYMBOLS = {
    "linear": ("BTCUSDT", 78000, "0.001"),
    "inverse": ("BTCUSD", 78000, "1"),
    "spot": ("BTCUSDT", 78000, "0.000001"),
    "option": ("BTC-25DEC26-100000-C", 5400, "0.01"),
}
ACTIONS = 150


class Session:
    """One seed's market and accounts. Each account's wishes depend on its own name and the seed alone."""

    def __init__(self, seed: int, names: tuple[str, ...] = ("1",)) -> None:
        self.clock = ManualClock()
        self.market = HandMarket(universe(["linear", "spot", "inverse", "option"], 12), self.clock)
        self.quotes = Quotes(Exchange(cast(Source, self.market), seed, self.clock), seed)
        self.ledger = Ledger(self.quotes, seed, self.clock)
        self.accounts = {name: self.ledger.account(name) for name in names}
        self.told: dict[str, list[Told]] = {name: [] for name in names}
        self.placed: dict[str, list[Order]] = {name: [] for name in names}
        self._random = random.Random(f"market:{seed}")
        self._wishes = {name: random.Random(f"{name}:{seed}") for name in names}
        self._prices = {category: price for category, (_, price, _) in SYMBOLS.items()}
        self._there: dict[tuple[str, bool], Decimal] = {}  # what was put on a side of a category's book
        self._since: dict[str, int] = {}  # executions of account 1 before that
        for name in names:
            self.ledger.listen(name, self.told[name].append)
            if seed % 2:
                self.accounts[name].hedged.add(("linear", "BTCUSDT"))

    def run(self, actions: int = ACTIONS) -> Iterator[None]:
        """One action after the other."""
        for category in SYMBOLS:
            self._move(category)
        for _ in range(actions):
            self.clock.advance(self._random.random())
            if self._random.random() < 0.35:
                self._move(self._random.choice(list(SYMBOLS)))
                self.ledger.advance()
            for name, account in self.accounts.items():
                self._act(name, account, self._wishes[name])
            yield

    def _move(self, category: str) -> None:
        symbol, usual, step = SYMBOLS[category]
        rng = self._random
        self._prices[category] = price = max(usual // 2, self._prices[category] + rng.randint(-300, 300))
        unit = Decimal(step) * (1000 if category == "inverse" else 100)
        sides = [
            [(str(price + sign * (1 + 10 * n)), str(unit * rng.randint(1, 40))) for n in range(rng.randint(0, 5))]
            for sign in (-1, 1)
        ]
        self.check_taken()
        self.market.put(sides[0], sides[1], category, symbol)
        for buy, side in ((False, sides[0]), (True, sides[1])):
            self._there[category, buy] = sum((Decimal(size) for _, size in side), Decimal(0))
        self._since[category] = len(self.accounts["1"].executions)
        if rng.random() < 0.6:
            self.market.trade(str(price), category, symbol)

    def check_taken(self) -> None:
        """Nobody got more of a book than there was, since it was put there."""
        executions = list(self.accounts["1"].executions)
        for (category, buy), there in self._there.items():
            taken = [
                each.qty
                for each in executions[self._since[category] :]
                if (each.order.listing.category, each.order.buy) == (category, buy)
            ]
            assert sum(taken) <= there

    def _act(self, name: str, account: Account, rng: random.Random) -> None:
        roll, known = rng.random(), self.placed[name]
        try:
            if roll < 0.55 or not known:
                known.append(self.ledger.place(account, self._order(account, rng)))
            elif roll < 0.7:
                order = rng.choice(known[-20:])
                change = {"qty": _qty(order.listing.category, rng)} if rng.random() < 0.5 else {}
                if order.kind == "Limit" and rng.random() < 0.7:
                    change["price"] = str(self._prices[order.listing.category] + rng.randint(-200, 200))
                self.ledger.amend(account, _naming(order) | change)
            elif roll < 0.85:
                self.ledger.cancel(account, _naming(rng.choice(known[-20:])))
            elif roll < 0.95:
                self.ledger.set_stops(account, self._stops(rng))
            elif roll < 0.97:
                self.ledger.cancel_all(account, lambda order: order.listing.category == "spot")
            else:
                listing = next(iter(account.positions.values())).listing
                leverage = Decimal(rng.randint(2, 20))
                self.ledger.set_leverage(account, listing, (leverage, leverage))
        except (Refused, StopIteration):
            pass  # most wishes are reasonable; the rest must change nothing

    def _order(self, account: Account, rng: random.Random) -> dict[str, Any]:
        category = rng.choice(("linear", "linear", "linear", "spot", "inverse", "option"))
        symbol, _, _ = SYMBOLS[category]
        price = self._prices[category]
        side = rng.choice(("Buy", "Sell"))
        given: dict[str, Any] = {"category": category, "symbol": symbol, "side": side, "qty": _qty(category, rng)}
        if rng.random() < 0.35:
            given |= {"orderType": "Market"}
            if category == "spot" and (side == "Buy" or rng.random() < 0.5):
                given |= {"qty": str(rng.randint(10, 20000)), "marketUnit": "quoteCoin"}
        else:
            force = rng.choice(("GTC", "GTC", "GTC", "IOC", "FOK", "PostOnly"))
            given |= {"orderType": "Limit", "price": str(price + rng.randint(-150, 150)), "timeInForce": force}
        if category == "option":
            given["orderLinkId"] = f"o{rng.getrandbits(60)}"
        if category == "linear" and ("linear", symbol) in account.hedged:
            given["positionIdx"] = rng.choice((1, 2))
        if category != "spot" and rng.random() < 0.2:
            given["reduceOnly"] = True
        if category != "option" and rng.random() < 0.2:
            up = rng.random() < 0.5
            given["triggerPrice"] = str(price + rng.randint(0, 400) * (1 if up else -1))
            given |= {"orderFilter": rng.choice(("tpslOrder", "StopOrder"))} if category == "spot" else {}
            given |= {"triggerDirection": 1 if up else 2} if category != "spot" else {}
        if category != "option" and rng.random() < 0.2:
            sign = 1 if side == "Buy" else -1
            given |= {"takeProfit": str(price + sign * 500), "stopLoss": str(price - sign * 500)}
            given |= {"tpslMode": "Partial"} if rng.random() < 0.5 else {}
        return given

    def _stops(self, rng: random.Random) -> dict[str, Any]:
        price = self._prices["linear"]
        given: dict[str, Any] = {"category": "linear", "symbol": "BTCUSDT", "positionIdx": rng.randint(0, 2)}
        given |= {"tpslMode": rng.choice(("Full", "Partial")), "tpSize": "0.1", "slSize": "0.1"}
        up, down = str(price + rng.randint(1, 500)), str(price - rng.randint(1, 500))
        given |= dict(rng.choice(((("takeProfit", up), ("stopLoss", down)), (("takeProfit", down), ("stopLoss", up)))))
        return given | ({"trailingStop": str(rng.randint(0, 1) * 100)} if rng.random() < 0.3 else {})


def _qty(category: str, rng: random.Random) -> str:
    return str(Decimal(SYMBOLS[category][2]) * rng.randint(1, 4000) * (10 if category == "inverse" else 1))


def _naming(order: Order) -> dict[str, Any]:
    listing = order.listing
    return {"category": listing.category, "symbol": listing.symbol, "orderId": order.order_id}


def _by_order(account: Account) -> dict[str, list[Execution]]:
    found: dict[str, list[Execution]] = defaultdict(list)
    for execution in account.executions:
        found[execution.order.order_id].append(execution)
    return found


def _check_orders(account: Account) -> None:
    fills = _by_order(account)
    for order in account.orders.values():
        own = fills[order.order_id]
        assert order.filled == sum(each.qty for each in own)
        assert order.fee == sum(each.fee for each in own)
        if own:
            if order.listing.category == "inverse":
                mean = sum(Fraction(each.qty) for each in own) / sum(
                    Fraction(each.qty) / Fraction(each.price) for each in own
                )
            else:
                mean = sum(Fraction(each.qty) * Fraction(each.price) for each in own) / Fraction(order.filled)
            assert abs(mean - Fraction(order.average)) <= Fraction(1, 10**8)
        assert order.left >= 0
        assert (order.status == FILLED) <= (order.left == 0 or order.by_value)
        assert (order.status == PARTLY_FILLED) <= (order.filled > 0)
        if order.time_in_force == "FOK":
            assert order.filled in (0, order.qty)
        if order.time_in_force == "PostOnly":
            assert all(each.maker for each in own)
        if order.reduces:
            assert all(each.closed == each.qty for each in own), "it opened a position"


def _check_positions(account: Account) -> None:
    sizes: dict[tuple[str, str, int], Decimal] = defaultdict(Decimal)
    for each in account.executions:
        listing = each.order.listing
        if listing.category != "spot":
            key = listing.category, listing.symbol, each.order.position_idx
            sizes[key] += each.qty if each.order.buy else -each.qty
    for key, position in account.positions.items():
        assert position.size == sizes[key]
        assert position.idx == 0 or position.size == 0 or (position.size > 0) == (position.idx == 1)
        assert position.cost >= 0
        assert bool(position.size) == bool(position.cost)
        for order in account.open_orders_of(position.listing):
            if order.reduces and order.position_idx == position.idx and order.is_active:
                assert order.left <= abs(position.size)
                assert (position.size > 0) != order.buy


def _check_value(account: Account) -> None:
    """Cash is what it was, and what each fill paid: of contracts what was got for less what was given, and what the
    open positions have cost."""
    cash: dict[str, Decimal] = defaultdict(Decimal, FIRST_BALANCES)
    for each in account.executions:
        listing, sign = each.order.listing, 1 if each.order.buy else -1
        cash[each.fee_coin] -= each.fee
        if listing.category == "spot":
            cash[listing.base] += sign * each.qty
            cash[listing.quote] -= sign * each.value
        else:
            cash[listing.settle] -= sign * each.value * (-1 if listing.category == "inverse" else 1)
    for position in account.positions.values():
        if position.listing.category != "option" and position.size:
            sign = 1 if position.size > 0 else -1
            inverse = -1 if position.listing.category == "inverse" else 1
            cash[position.listing.settle] += sign * position.cost * inverse
    for coin, amount in cash.items():
        rounding = Decimal("1e-8") * len(account.executions) if coin == "BTC" else Decimal(0)
        assert abs(account.cash[coin] - amount) <= rounding, coin


def _check_told(session: Session, name: str) -> None:
    """Whoever kept the last row of each thing knows what there is."""
    account, quotes = session.accounts[name], session.quotes
    orders: dict[str, dict[str, Any]] = {}
    positions: dict[tuple[str, str, int], dict[str, Any]] = {}
    executed: list[str] = []
    wallet: dict[str, Any] = {}
    for told in session.told[name]:
        for row in told.rows:
            match told.topic:
                case "order":
                    orders[row["orderId"]] = row
                case "execution":
                    executed.append(row["execId"])
                case "position":
                    positions[row["category"], row["symbol"], row["positionIdx"]] = row
                case "wallet":
                    wallet = row
    assert orders == {order.order_id: order.private_row() for order in account.orders.values()}
    assert executed == [each.exec_id for each in account.executions]
    moving = ("markPrice", "unrealisedPnl", "positionIM", "positionMM", "positionBalance")
    for key, position in account.positions.items():
        now = private_position_row(account, position, quotes)
        for field in now.keys() - set(moving):
            assert positions[key][field] == now[field], field
    now = private_wallet_row(account, quotes)
    for then, coin in zip(wallet["coin"], now["coin"], strict=True):
        for field in ("coin", "walletBalance", "locked", "totalOrderIM", "cumRealisedPnl"):
            assert then[field] == coin[field], (coin["coin"], field)


@pytest.mark.parametrize("seed", range(24))
def test_whatever_happens_the_sums_are_right_and_everything_was_told(seed: int) -> None:
    session = Session(seed)
    for number, _ in enumerate(session.run()):
        if number % 10 == 0:
            _check_positions(session.accounts["1"])
    account = session.accounts["1"]
    assert len(account.executions) > 20
    _check_orders(account)
    _check_positions(account)
    _check_value(account)
    _check_told(session, "1")


@pytest.mark.parametrize("seed", range(4))
def test_the_same_seed_gives_the_same_session(seed: int) -> None:
    first, second = Session(seed), Session(seed)
    for session in first, second:
        for _ in session.run(60):
            pass
    assert first.told == second.told


@pytest.mark.parametrize("seed", range(4))
def test_an_account_does_the_same_whoever_else_is_there(seed: int) -> None:
    alone, together = Session(seed), Session(seed, ("1", "2"))
    for session in alone, together:
        for _ in session.run(80):
            pass
    alike = []
    for session in alone, together:
        account = session.accounts["1"]
        fills = [(each.price, each.qty, each.maker, each.fee, each.closed) for each in account.executions]
        alike.append((fills, account.cash, [order.status for order in session.placed["1"]]))
    assert alike[0] == alike[1]
    assert together.accounts["2"].executions


def test_the_sessions_try_everything() -> None:
    statuses, kinds = set(), set()
    for seed in range(6):
        session = Session(seed)
        for _ in session.run():
            pass
        for told in session.told["1"]:
            if told.topic == "order":
                statuses |= {row["orderStatus"] for row in told.rows}
                kinds |= {row["stopOrderType"] for row in told.rows if row["orderStatus"] != UNTRIGGERED}
    assert statuses >= {
        "New",
        "PartiallyFilled",
        "Filled",
        "Cancelled",
        "PartiallyFilledCanceled",
        "Rejected",
        "Untriggered",
        "Triggered",
        "Deactivated",
    }
    assert kinds >= {"Stop", "tpslOrder", "TakeProfit", "StopLoss", "PartialTakeProfit", "PartialStopLoss"}
