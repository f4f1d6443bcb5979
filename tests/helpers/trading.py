"""A session of random orders against the simulated venue, with everything cut at random; and what must be at its end.

The venue's ledger is the truth; the account is what the SDK made of its streams and REST. Both run in one loop, so that
one look sees both at the same moment.
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from random import Random
from typing import Any, Literal, NamedTuple, cast

from feeder.bybit.rest import AmendRequest, BybitClient, CancelRequest, OrderRequest, SessionPool, Timeouts
from feeder.bybit.rest.results.orders import batch_outcome
from feeder.bybit.streams.account import Account
from feeder.bybit.streams.messages import ExecutionUpdate, OrderUpdate
from feeder.bybit.streams.order_entry import OrderEntry
from feeder.bybit.streams.private import PrivateStream
from feeder.errors import DuplicateOrderError, ParameterError, RefusedError, RestError
from feeder.simulator.keys import DEFAULT_KEY
from feeder.simulator.script import parse_fault
from feeder.simulator.server import Simulator, SimulatorConfig
from feeder.simulator.stops import STOP_LOSS, TAKE_PROFIT
from tests.helpers.quick_loop import LoopClock

CATEGORIES: tuple[Literal["linear", "inverse", "spot"], ...] = ("linear", "inverse", "spot")
_SYMBOLS = 6
_UPDATES_PER_SECOND = 30.0
_TRADERS = 8
_CUTS, _CONFUSIONS = 0.08, 0.5  # for each action
_LAST = 60  # orders of each of the last two phases
_READY_SECONDS = 3600.0  # of the loop's time: a key refused ten times in a row is tried again ever later
_ORDERS_FOR_HELD = 100
_ON_ITS_WAY = 50  # looks, 2 ms apart: so short that no later event mends what reconciliation did not

Via = BybitClient | OrderEntry


class Market(NamedTuple):
    category: Literal["linear", "inverse", "spot"]
    symbol: str
    tick: Decimal
    step: Decimal


@dataclass
class Report:
    """What happened in a session. `differences` is empty when all is as it must be."""

    seed: int
    placed: int = 0
    refused: int = 0
    unknown: int = 0
    amended: int = 0
    cancelled: int = 0
    mishaps: Counter[str] = field(default_factory=Counter)
    fills: int = 0
    found_by_rest: int = 0
    repeated_fills: int = 0
    reconciliations: int = 0
    failed_rounds: int = 0
    open_at_end: int = 0
    seconds: float = 0.0
    differences: list[str] = field(default_factory=list)


async def run_session(seed: int, orders: int = 1000) -> Report:
    """One session; see `Session`."""
    loop = asyncio.get_running_loop()
    clock = LoopClock(loop)
    random = Random(seed)
    config = SimulatorConfig(categories=CATEGORIES, symbols=_SYMBOLS, seed=seed, updates_per_second=_UPDATES_PER_SECOND)
    timeouts = Timeouts(turn=600.0, connect=5.0, answer=15.0)
    began = clock.monotonic()
    async with Simulator(config, clock) as sim, SessionPool(clock=clock, random=random, timeouts=timeouts) as pool:
        client = BybitClient(DEFAULT_KEY.key, DEFAULT_KEY.secret, pool=pool, base_url=sim.rest_url)
        stream = PrivateStream(client, url=sim.websocket_url, clock=clock, random=random)
        entry = OrderEntry(client, url=sim.websocket_url, random=random)
        account = Account(client, stream, categories=CATEGORIES, clock=clock, random=random)
        async with stream, entry, account:
            await account.ready()
            await entry.ready()
            session = Session(sim, client, entry, account, random, Report(seed), orders)
            await session.run()
            session.report.seconds = round(clock.monotonic() - began, 1)
    return session.report


class Session:
    """Traders that place, amend and cancel, and what goes wrong meanwhile."""

    def __init__(
        self,
        sim: Simulator,
        client: BybitClient,
        entry: OrderEntry,
        account: Account,
        random: Random,
        report: Report,
        orders: int,
    ) -> None:
        self.report = report
        self._sim = sim
        self._client = client
        self._entry = entry
        self._account = account
        self._random = random
        self._orders = orders
        self._markets: list[Market] = []
        self._fates: dict[str, bool] = {}  # by orderLinkId: whether the venue must have carried it out
        self._told: list[ExecutionUpdate] = []
        self._news = asyncio.Event()
        account.fills.on(self._told.append)
        for channel in (account.order_changes, account.fills, account.position_changes, account.wallet_changes):
            channel.on(lambda _: self._news.set())
        account.reconciled.on(lambda _: self._news.set())
        account.reconciled.on(self._on_reconciled)

    async def run(self) -> None:
        """Three phases. After the second and the third nothing that went wrong can be mended by what happens later.

        Most orders, with everything cut at random; then some while the private stream is away, so that REST alone tells
        what became of them; then some of which it tells twice, and in disorder, and is never cut.
        """
        for category in CATEGORIES:
            async for found in self._client.each_instrument(category):
                prices, sizes = found.price_filter, found.lot_size_filter
                assert prices is not None
                assert sizes is not None
                assert prices.tick_size is not None
                step = sizes.qty_step or sizes.base_precision
                assert step is not None
                self._markets.append(Market(category, found.symbol, prices.tick_size, step))
        await self._trade_until(self._orders - 3 * _LAST, self._cut, _CUTS)
        await self._knows()
        # Messages that were to be swapped are held until the next: they pass here, and not when nothing mends it.
        await self._trade_until(self._orders - 2 * _LAST)
        self._inject("auth", category="private", ret_code=10016, times=4)
        self._inject("disconnect", category="private")
        await self._trade_until(self._orders - _LAST)
        await self._close_positions()
        if await self._is_settled():
            await self._trade_until(self._orders - _LAST // 2, self._confuse, _CONFUSIONS)
            await self._trade_until(self._orders)
            await self._is_settled()
        self.report.differences = self._differences()
        health = self._account.health()
        self.report.fills = len(self._told)
        self.report.repeated_fills = health.repeated_fills
        self.report.reconciliations = health.reconciliations
        self.report.failed_rounds = health.failures
        self.report.open_at_end = len(self._account.orders)

    async def _is_settled(self) -> bool:
        """Whether both sides say the same as soon as the account says that it knows: what is on its way is let come."""
        try:
            await self._knows()
        except TimeoutError:
            return False
        # Counted and not timed: looking takes its time, on a busy machine more than the way of a message.
        for _ in range(_ON_ITS_WAY):
            if not self._differences():
                return True
            await asyncio.sleep(0.002)
        # A fill that is held, to change places with the next, comes with it; one that was lost, no other fill brings.
        for _ in range(_ORDERS_FOR_HELD):
            differences = self._differences()
            if not all(each.startswith("fill ") for each in differences):
                return False
            if not differences:
                return True
            await self._place(self._client)
        return False

    async def _knows(self) -> None:
        """Until the account says that it knows; its ready() would raise while the key is refused."""
        async with asyncio.timeout(_READY_SECONDS):
            while not self._account.is_reconciled:
                self._news.clear()
                await self._news.wait()

    # Trading

    async def _trade_until(self, placed: int, mishap: Callable[[], None] = lambda: None, often: float = 0.0) -> None:
        async with asyncio.TaskGroup() as traders:
            for _ in range(_TRADERS):
                traders.create_task(self._trade(placed, mishap, often))

    async def _trade(self, placed: int, mishap: Callable[[], None], often: float) -> None:
        while self.report.placed < placed:
            via: Via = self._random.choice((self._client, self._entry))
            roll = self._random.random()
            if roll < 0.55:
                await self._place(via)
            elif roll < 0.62:
                await self._place_several(via)
            elif roll < 0.78:
                await self._amend(via)
            elif roll < 0.94:
                await self._cancel(via)
            else:
                await self._manage()
            if self._random.random() < often:
                mishap()

    async def _close_positions(self) -> None:
        """Close those of every other market."""
        for market in self._markets[::2]:
            for held in list(self._account.positions.values()):
                if (held.category, held.symbol) == (market.category, market.symbol) and held.size:
                    side: Literal["Buy", "Sell"] = "Sell" if held.side == "Buy" else "Buy"
                    with suppress(RefusedError):  # it is not what it was
                        await self._client.place_order(
                            market.category, market.symbol, side, "Market", held.size, reduce_only=True
                        )

    async def _place(self, via: Via) -> None:
        market = self._random.choice(self._markets)
        request = await self._request(market)
        link = str(request["order_link_id"])
        try:
            await via.place_order(market.category, market.symbol, **request)
        except RestError as error:
            await self._on_failure(error, [link])
        else:
            self._fates[link] = True

    async def _place_several(self, via: Via) -> None:
        market = self._random.choice(self._markets)
        requests = [await self._request(market) for _ in range(self._random.randint(2, 5))]
        links = [str(request["order_link_id"]) for request in requests]
        batch = [OrderRequest(symbol=market.symbol, **request) for request in requests]
        try:
            entries = batch_outcome(await via.place_orders(market.category, batch))
        except RestError as error:
            await self._on_failure(error, links, market.category)
            return
        for link, entry in zip(links, entries, strict=True):
            self._fates[link] = entry.accepted
            self.report.refused += not entry.accepted

    async def _on_failure(self, error: RestError, links: Sequence[str], category: Any = None) -> None:
        """Nothing is sent again: the venue is asked what became of it."""
        if isinstance(error, DuplicateOrderError):
            self.report.differences.append(f"sent twice: {error}")
        if not error.unknown_outcome:
            self.report.refused += len(links)
            for link in links:
                self._fates[link] = False
            return
        self.report.unknown += 1
        for link in links:
            asked: RestError | str = link if category else error
            self._fates[link] = await self._outcome(asked, category) is not None

    async def _outcome(self, request: RestError | str, category: Any = None) -> OrderUpdate | None:
        while True:
            try:
                return await self._account.outcome(request, category)
            except RestError as error:
                if isinstance(error, RefusedError | ParameterError) and not error.retriable:
                    raise

    async def _request(self, market: Market) -> dict[str, Any]:
        """Any kind of order; most are good ones."""
        random = self._random
        self.report.placed += 1
        link = f"s{self.report.seed}-{self.report.placed}"
        side = random.choice(("Buy", "Sell"))
        bid, ask = await self._touch(market)
        price = bid if (side == "Buy") == (random.random() < 0.7) else ask
        price += random.randint(-5, 5) * market.tick
        price = max(price, market.tick)
        request: dict[str, Any] = {
            "side": side,
            "order_type": "Limit",
            "qty": self._qty(market, price),
            "price": price,
            "order_link_id": link,
        }
        kind = random.choice(("limit", "limit", "limit", "market", "IOC", "FOK", "PostOnly", "reduce", "conditional"))
        if kind == "market":
            self._make_market(request, market)
        elif kind in ("IOC", "FOK", "PostOnly"):
            request["time_in_force"] = kind
        elif kind == "reduce" and market.category != "spot":
            request["reduce_only"] = True
            if random.random() < 0.5:
                self._make_market(request, market)
        elif kind == "conditional":
            rises = random.random() < 0.5
            trigger = (ask if rises else bid) + (1 if rises else -1) * random.randint(2, 20) * market.tick
            request["trigger_price"] = max(trigger, market.tick)
            if market.category == "spot":
                request["order_filter"] = random.choice(("tpslOrder", "StopOrder"))
            else:
                request["trigger_direction"] = 1 if rises else 2
        elif random.random() < 0.15 and market.category != "spot":
            away = random.randint(20, 60) * market.tick * (1 if side == "Buy" else -1)
            request["take_profit"] = max(price + away, market.tick)
            request["stop_loss"] = max(price - away, market.tick)
        return request

    def _make_market(self, request: dict[str, Any], market: Market) -> None:
        request["order_type"] = "Market"
        del request["price"]
        if market.category == "spot":
            request["market_unit"] = "baseCoin"

    def _qty(self, market: Market, price: Decimal) -> Decimal:
        if market.category == "inverse":
            return market.step * self._random.randint(10, 300)
        least = math.ceil(Decimal(20) / price / market.step)
        return market.step * (least * self._random.randint(1, 20))

    async def _touch(self, market: Market) -> tuple[Decimal, Decimal]:
        while True:
            try:
                ticker = (await self._client.tickers(market.category, symbol=market.symbol)).result.entries[0]
            except RestError as error:
                if isinstance(error, RefusedError) and not error.retriable:
                    raise
            else:
                assert ticker.bid1_price is not None
                assert ticker.ask1_price is not None
                return ticker.bid1_price, ticker.ask1_price

    def _any_order(self) -> OrderUpdate | None:
        orders = list(self._account.orders.values())
        return self._random.choice(orders) if orders else None

    async def _amend(self, via: Via) -> None:
        order = self._any_order()
        if order is None:
            return
        category = cast("Any", order.category)
        market = next(each for each in self._markets if (each.category, each.symbol) == (category, order.symbol))
        change: dict[str, Any] = {}
        if order.price and self._random.random() < 0.7:
            change["price"] = max(order.price + self._random.randint(-4, 4) * market.tick, market.tick)
        if order.qty and self._random.random() < 0.4:
            change["qty"] = max(order.qty + self._random.randint(-3, 3) * market.step, market.step)
        if not change:
            return
        self.report.amended += 1
        try:
            if self._random.random() < 0.8:
                await via.amend_order(category, order.symbol, order_id=order.order_id, **change)
            else:
                await via.amend_orders(category, [AmendRequest(order.symbol, order_id=order.order_id, **change)])
        except RestError as error:
            if error.unknown_outcome and "request" not in error.parameters:
                await self._outcome(error)

    async def _cancel(self, via: Via) -> None:
        order = self._any_order()
        if order is None:
            return
        category = cast("Any", order.category)
        self.report.cancelled += 1
        try:
            if self._random.random() < 0.8:
                await via.cancel_order(category, order.symbol, order_id=order.order_id)
            else:
                await via.cancel_orders(category, [CancelRequest(order.symbol, order_id=order.order_id)])
        except RestError as error:
            if error.unknown_outcome and "request" not in error.parameters:
                await self._outcome(error)

    async def _manage(self) -> None:
        """Leverage, stops of a position, or the end of all orders of a symbol."""
        market = self._random.choice(self._markets)
        roll = self._random.random()
        try:
            if market.category == "spot" or roll < 0.1:
                await self._client.cancel_all_orders(market.category, symbol=market.symbol)
            elif roll < 0.5:
                leverage = self._random.randint(2, 20)
                await self._client.set_leverage(market.category, market.symbol, leverage, leverage)
            else:
                bid, ask = await self._touch(market)
                away = self._random.randint(20, 60) * market.tick
                await self._client.set_trading_stop(
                    market.category, market.symbol, "Full", 0, take_profit=ask + away, stop_loss=bid - away
                )
        except RestError:
            return  # refused, or nobody knows: the venue will tell what changed

    # What goes wrong

    def _confuse(self) -> None:
        """Messages come twice, or in another order. Wallets do not: of one millisecond, nobody could tell."""
        how = self._random.choice(("duplicated", "swapped"))
        self._inject("private", topic=self._random.choice(("order", "execution", "position")), how=how)

    def _cut(self) -> None:
        random = self._random
        topic = random.choice(("order", "execution", "position", "wallet"))
        name, fault = random.choice(
            (
                ("disconnect", {"category": "private"}),
                ("disconnect", {"category": "private"}),
                ("disconnect", {"category": "trade"}),
                ("disconnect", {}),
                ("half_open", {"category": "private"}),
                ("half_open", {"category": "trade"}),
                ("slow", {"category": "private", "seconds": 3, "delay": 0.7}),
                ("bursty", {"category": "private", "seconds": 2}),
                ("private", {"topic": topic, "how": "duplicated", "times": random.randint(1, 4)}),
                ("private", {"topic": topic, "how": "swapped"}),
                ("auth", {"category": "private", "ret_code": 10016, "times": 1}),
                ("order_entry", {"how": "lost", "times": 1}),
                ("order_entry", {"how": "unsent", "times": 1}),
                ("order_entry", {"how": "ignored", "times": 1}),
                ("order_entry", {"how": "late", "delay": random.choice((2, 20)), "times": 1}),
                ("rest", {"how": "lost", "method": "POST", "path": "/v5/order/", "times": 1}),
                ("rest", {"how": "late", "method": "POST", "delay": random.choice((2, 20)), "times": 1}),
                ("rest", {"how": "hang", "method": "POST", "times": 1}),
                ("rest", {"how": random.choice((500, 502, "truncated", "html")), "times": random.randint(1, 6)}),
                ("rest", {"how": "lost", "method": "GET", "times": random.randint(1, 3)}),
                ("rest", {"ret_code": 10016, "times": random.randint(1, 4)}),
                # More often than the client asks again by itself: a whole round of a reconciliation fails.
                ("rest", {"how": 503, "path": "/v5/execution/", "times": random.randint(4, 9)}),
                ("rest", {"how": "lost", "path": "/v5/position/list", "times": random.randint(4, 9)}),
            )
        )
        self._inject(name, **fault)

    def _inject(self, name: str, **fault: Any) -> None:
        self.report.mishaps[" ".join([name, *(str(fault[key]) for key in ("category", "how") if key in fault)])] += 1
        self._sim.inject(parse_fault({"fault": name, **fault}))

    def _on_reconciled(self, event: Any) -> None:
        self.report.found_by_rest += event.fills

    # What must be

    def _differences(self) -> list[str]:
        ledger = self._sim.ledger.account(DEFAULT_KEY.account)
        if not self._account.is_reconciled:
            return [f"not reconciled: {self._account.health().reason}"]
        return [
            *self.report.differences,
            *_orders(self._account, ledger),
            *_fills(self._told, ledger),
            *_positions(self._account, ledger),
            *_settings(self._account, ledger),
            *_wallet(self._account, ledger),
            *self._links(ledger),
        ]

    def _links(self, ledger: Any) -> Iterator[str]:
        carried_out = Counter(order.link_id for order in ledger.orders.values() if order.link_id in self._fates)
        for link, must in self._fates.items():
            if carried_out[link] != must:
                yield f"order {link} was carried out {carried_out[link]} times, and {int(must)} was right"
        if len(self._fates) < self.report.placed:
            yield f"of {self.report.placed} orders {len(self._fates)} came to something"


def _orders(account: Account, ledger: Any) -> Iterator[str]:
    known = {**account.closed_orders, **account.orders}
    for order_id in known.keys() - ledger.orders.keys():
        yield f"order {order_id} is not the venue's"
    for order_id, order in ledger.orders.items():
        told = known.get(order_id)
        if told is None:
            yield f"order {order_id} ({order.status}) is unknown"
            continue
        if (order_id in account.orders) != order.is_open:
            yield f"order {order_id} ({order.status}) is open on one side only"
        ours = (told.order_status, told.side, told.qty, told.price or 0, told.order_link_id or "", told.category)
        truth = (order.status, order.side, order.qty, order.price, order.link_id, order.listing.category)
        filled = (told.cum_exec_qty, told.cum_exec_value, told.avg_price or 0, told.updated_time)
        if ours != truth:
            yield f"order {order_id}: {ours} should be {truth}"
        if filled != (order.filled, order.value, order.average, order.updated_ms):
            yield f"order {order_id}: {filled} should be {order.filled, order.value, order.average, order.updated_ms}"


def _fills(told: Sequence[ExecutionUpdate], ledger: Any) -> Iterator[str]:
    counted = Counter((each.category, each.symbol, each.exec_id) for each in told)
    for key, times in counted.items():
        if times > 1:
            yield f"fill {key} was counted {times} times"
    ours = {each.exec_id: (each.order_id, each.exec_price, each.exec_qty, each.exec_fee) for each in told}
    truth = {each.exec_id: (each.order.order_id, each.price, each.qty, each.fee) for each in ledger.executions}
    for exec_id in ours.keys() | truth.keys():
        if ours.get(exec_id) != truth.get(exec_id):
            yield f"fill {exec_id}: {ours.get(exec_id)} should be {truth.get(exec_id)}"


def _positions(account: Account, ledger: Any) -> Iterator[str]:
    signs = {"Buy": 1, "Sell": -1}
    ours = {
        tuple(key): ((held.size or 0) * signs[held.side or ""], held.avg_price, held.cum_realised_pnl)
        for key, held in account.positions.items()
    }
    truth = {key: (held.size, held.average, held.realised) for key, held in ledger.positions.items() if held.size}
    for key in ours.keys() | truth.keys():
        if ours.get(key) != truth.get(key):
            yield f"position {key}: {ours.get(key)} should be {truth.get(key)}"


def _settings(account: Account, ledger: Any) -> Iterator[str]:
    """What changes of a position without a fill."""
    for key, held in account.positions.items():
        position = ledger.positions.get(tuple(key))
        if position is None:
            continue
        stops = [ledger.stop(position, kind) for kind in (TAKE_PROFIT, STOP_LOSS)]
        ours = (held.leverage, held.take_profit or 0, held.stop_loss or 0)
        truth = (
            ledger.leverage(position.listing)[position.size < 0],
            *(0 if order is None else order.trigger.price for order in stops),
        )
        if ours != truth:
            yield f"position {tuple(key)}: {ours} should be {truth}"


def _wallet(account: Account, ledger: Any) -> Iterator[str]:
    ours = {coin: balance.wallet_balance for coin, balance in account.wallet.items() if balance.wallet_balance}
    truth = {coin: cash.quantize(Decimal("1e-8")) for coin, cash in ledger.cash.items() if cash}
    for coin in ours.keys() | truth.keys():
        if ours.get(coin) != truth.get(coin):
            yield f"{coin}: {ours.get(coin)} should be {truth.get(coin)}"
