"""An account as it is now: its orders, fills, positions and wallet, from its private stream, mended by REST."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from random import Random
from types import TracebackType
from typing import Any, cast

from feeder.clock import Clock, SystemClock
from feeder.errors import ParameterError, RestError, StreamError, TopicError

from ..pacing import backoff_delay
from ..rest.client import BybitClient
from ..rest.results.account import CoinBalance
from ..rest.words import Category
from .account_health import AccountHealth as AccountHealth  # from here, for whoever has an Account
from .account_health import Reconciled as Reconciled
from .account_orders import OrderName, UnknownOrders, find_order_within, name_of
from .account_scope import CATEGORIES, Scope
from .account_state import CLOSED_ORDERS, AccountState, PositionKey
from .account_wait import until_up
from .channel import Channel
from .fills import WITHOUT_ORDER
from .messages import ExecutionUpdate, OrderUpdate, PositionUpdate, WalletUpdate
from .private import PrivateStream
from .reconcile import OVERLAP_MS, Change, Reconciliation

LATE_SECONDS = 15.0
"""After a reconciliation fills are asked for once more: REST may list them later than the stream was back."""

_EPOCH_MS = 1_500_000_000_000  # no fill is older; a time before this is one in seconds
_RETRY_FIRST, _RETRY_CAP = 0.5, 30.0  # seconds between rounds of a reconciliation
_READY_SECONDS = 30.0
_WITHIN_SECONDS = 15.0  # beyond the usual recv_window, after which the venue takes a late request no more

_log = logging.getLogger("feeder.bybit.account")


class Account:
    """What the account of a private stream has.

        async with PrivateStream(client) as stream, Account(client, stream) as account:
            await account.ready()
            account.fills.on(print)

    `categories` are those traded, and `settle_coins` those of the linear contracts: REST lists by them. Others are
    followed as well as the stream tells them, but what becomes of their positions while it is away is not known.
    `fills_since`, ms: from when on fills are told that happened before; without it, from the start.

    Each channel tells of a change once, when the properties show it already: `order_changes`, `fills` (also funding,
    settlement and delivery; see `exec_type`), `position_changes`, `wallet_changes` (with the coins that changed). They
    are merged by the rules in account_rules.py. `reconciled` tells when the stream was lost or returned, and when REST
    has told what happened meanwhile; until then `is_reconciled` is False, and what is known is of before. Some seconds
    later REST is asked for fills once more, as it may list them late: those are told then.

    An order that the venue does not know any more, though it was open, ends with `order_status` "Gone".
    """

    def __init__(
        self,
        client: BybitClient,
        stream: PrivateStream,
        *,
        categories: Sequence[Category] = CATEGORIES,
        settle_coins: Sequence[str] = ("USDT", "USDC"),
        fills_since: int | None = None,
        closed_orders: int = CLOSED_ORDERS,
        clock: Clock | None = None,
        random: Random | None = None,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._stream = stream
        self._scope = Scope.of(categories, settle_coins)
        self._scope.topics_of(stream.topics)
        if fills_since is not None and fills_since < _EPOCH_MS:
            raise ParameterError("Account", "fills_since", f"{fills_since}; give ms since the epoch")
        self._clock = clock or SystemClock()
        self._random = random or Random()  # noqa: S311 - for delays
        self._sleep = sleep
        self._state = AccountState(closed_orders=closed_orders)
        self.order_changes: Channel[OrderUpdate] = Channel("order changes", stream.report)
        self.fills: Channel[ExecutionUpdate] = Channel("fills", stream.report)
        self.position_changes: Channel[PositionUpdate] = Channel("position changes", stream.report)
        self.wallet_changes: Channel[WalletUpdate] = Channel("wallet changes", stream.report)
        self.reconciled: Channel[Reconciled] = Channel("reconciled", stream.report)
        self._channels: dict[type[Change], Channel[Any]] = {
            OrderUpdate: self.order_changes,
            ExecutionUpdate: self.fills,
            PositionUpdate: self.position_changes,
            WalletUpdate: self.wallet_changes,
        }
        self._fills_since = fills_since
        self._fills_until = 0  # the venue's time, ms: until then all are known, but for those that REST lists late
        self._late_fills_known = False
        self._started_at: float | None = None
        self._connected = False
        self._asked = 0  # the moment since which the stream tells everything
        self._reason = "not started"
        self._counts = {"reconciliations": 0, "failures": 0, "fills": 0}
        self._closed = False
        self._settled = False  # all of it is known to be true
        self._news = asyncio.Event()  # for who waits for that: set once, then there is another
        self._reconciling: asyncio.Task[None] | None = None
        self._unknown = UnknownOrders(client, self._state, self._on_order_found, random=self._random, sleep=sleep)
        self._ends: list[Callable[[], None]] = []

    # What there is

    @property
    def orders(self) -> Mapping[str, OrderUpdate]:
        """The open orders by orderId, whoever placed them."""
        return self._state.orders

    @property
    def closed_orders(self) -> Mapping[str, OrderUpdate]:
        """The last that were closed, by orderId, the oldest first."""
        return self._state.closed

    def order(self, name: str) -> OrderUpdate | None:
        """By orderId or orderLinkId, open or closed; None for one that is not known, or not any more."""
        return self._state.order(name)

    @property
    def positions(self) -> Mapping[PositionKey, PositionUpdate]:
        """Those that are not empty, by (category, symbol, position_idx).

        What the market moves, as `mark_price` and `unrealised_pnl`, is of the last change or reconciliation.
        """
        return self._state.positions

    @property
    def wallet(self) -> Mapping[str, CoinBalance]:
        """By coin. What the market moves, as `equity` and `unrealised_pnl`, is of the last change or reconciliation."""
        return self._state.coins

    @property
    def totals(self) -> WalletUpdate | None:
        """The account as a whole, in USD, without its coins; None before it was told."""
        return self._state.totals

    @property
    def executions(self) -> Sequence[ExecutionUpdate]:
        """The last 1,000 that were told by `fills`, the oldest first."""
        return tuple(self._state.recent_fills)

    @property
    def is_reconciled(self) -> bool:
        """Whether all of it is known to be true."""
        return self._settled

    def health(self) -> AccountHealth:
        """How it is now."""
        state = self._state
        return AccountHealth(
            reconciled=self.is_reconciled,
            reason=self._reason,
            reconciliations=self._counts["reconciliations"],
            failures=self._counts["failures"],
            open_orders=len(state.orders),
            positions=len(state.positions),
            fills=self._counts["fills"],
            repeated_fills=state.fills.repeated,
            outdated=state.outdated,
        )

    # Its life

    async def __aenter__(self) -> "Account":
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def start(self) -> None:
        """Follow the stream, which may be started before or after; returns at once, see `ready`."""
        if self._started_at is not None or self._closed:
            return
        self._started_at = self._clock.monotonic()
        stream, state = self._stream, self._state
        self._ends = [
            stream.orders.on(lambda order: self._on_change(state.on_order(order))),
            stream.executions.on(self._on_fill),
            stream.positions.on(lambda position: self._on_change(state.on_position(position))),
            stream.wallets.on(lambda wallet: self._on_change(state.on_wallet(wallet))),
            stream.resumed.on(lambda number: self._on_resumed(f"connection {number}")),
            stream.lost.on(self._on_lost),
        ]
        self._reason = "the stream is not up yet"
        if stream.health().state == "live":
            self._on_resumed("the start")

    async def aclose(self) -> None:
        """Follow it no longer, then end iterators and callbacks, which first get what waits for them."""
        for end in self._ends:
            end()
        self._ends.clear()
        self._closed, self._connected, self._reason = True, False, "closed"
        self._settle(settled=False)
        reconciling = self._reconciling
        self._stop_reconciling()
        if reconciling is not None:
            await asyncio.gather(reconciling, return_exceptions=True)
        await self._unknown.aclose()
        for channel in (*self._channels.values(), self.reconciled):
            await channel.aclose()

    async def ready(self, seconds: float = _READY_SECONDS) -> None:
        """Return when all is known to be true.

        Raises StreamAuthError when the key is refused, TopicError when a topic is that the account needs, StreamError,
        which says why not, when the time is over, or the account or its stream closed.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._until_reconciled(0)
        except TimeoutError:
            raise StreamError(f"the account is not reconciled within {seconds:g} s: {self._reason}") from None

    async def reconcile(self) -> None:
        """Ask REST for everything anew and return when that is known; waits for the stream where it is down.

        Not needed after a reconnect, which does it; it is for whoever doubts. `is_reconciled` stays as it is meanwhile,
        and `reconciled` tells the end. If it finds fills that the stream should have told, the stream lost something:
        `fills` tells them, and the log warns. Raises as `ready`, but for the time.
        """
        number = self._counts["reconciliations"] + 1
        if self._connected:
            self._begin("by hand")
        await self._until_reconciled(number)

    async def outcome(
        self,
        request: RestError | str,
        category: Category | None = None,
        symbol: str | None = None,
        *,
        within_seconds: float = _WITHIN_SECONDS,
    ) -> OrderUpdate | None:
        """What became of a request whose `unknown_outcome` is true, or of an orderLinkId; nothing is sent again.

        REST is asked until it knows the order. None: it did not within the time, which is to be longer than the
        `recv_window` of the request, so that the venue takes it no more. Of an amendment or cancellation it is the
        order as it is. An orderLinkId needs its `category`. Raises RestError when the venue gave no answer until the
        end.
        """
        name = name_of(request, category, symbol)
        error: RestError | None = None
        try:
            found = await find_order_within(
                self._client, name, within_seconds, clock=self._clock, random=self._random, sleep=self._sleep
            )
        except RestError as failed:
            error, found = failed, None
        if found is not None:
            self._on_order_found(found)
            return self._state.order(found.order_id) or found
        known = self._state.order(name.order_id or name.order_link_id or "")  # the stream may be ahead of REST
        if known is None and error is not None:
            raise error
        return known

    # The stream

    def _on_resumed(self, reason: str) -> None:
        self._connected = True
        self._doubt(reason)
        self._begin(reason)

    def _on_lost(self, reason: str) -> None:
        self._connected = False
        self._stop_reconciling()
        self._doubt(reason)

    def _on_fill(self, told: ExecutionUpdate) -> None:
        fill = self._state.take_fill(told)
        if fill is None:
            return
        if self._late_fills_known:
            self._fills_until = max(self._fills_until, fill.exec_time or 0)
        self._on_change(fill)
        if fill.order_id and fill.exec_type not in WITHOUT_ORDER and self._state.order(fill.order_id) is None:
            self._unknown.ask_for(OrderName(cast("Category", fill.category), fill.symbol, fill.order_id))

    def _on_order_found(self, order: OrderUpdate) -> None:
        self._on_change(self._state.take_order(order, self._asked))

    def _on_change(self, change: Change | None) -> None:
        if change is not None:
            if isinstance(change, ExecutionUpdate):
                self._counts["fills"] += 1
            self._channels[type(change)].publish(change)

    # Reconciliation

    async def _until_reconciled(self, number: int) -> None:
        """Until all is known to be true, by the reconciliation of this number or a later one."""
        while not self._closed and not (self._settled and self._counts["reconciliations"] >= number):
            news = self._news
            if not self._connected:
                await until_up(self._stream, news)
            self._check_granted()
            await news.wait()
        if self._closed:
            raise StreamError("the account is closed; make another")

    def _settle(self, *, settled: bool) -> None:
        self._settled = settled
        self._news.set()
        self._news = asyncio.Event()

    def _doubt(self, reason: str) -> None:
        """What is known is not known to be true any more."""
        self._reason = reason
        was_settled = self._settled
        self._settle(settled=False)
        if was_settled:
            _log.warning("account not known to be true any more: %s", reason)
            self.reconciled.publish(Reconciled(done=False, reason=reason))

    def _begin(self, reason: str) -> None:
        stream_told_all = self._late_fills_known
        self._stop_reconciling()
        self._asked = self._state.moment
        self._reconciling = asyncio.create_task(self._reconcile(reason, stream_told_all), name="reconcile")

    def _stop_reconciling(self) -> None:
        if self._reconciling is not None:
            self._reconciling.cancel()
            self._reconciling = None
        self._late_fills_known = False

    async def _reconcile(self, reason: str, stream_told_all: bool) -> None:
        began = self._clock.monotonic()
        reconciliation = Reconciliation(self._client, self._state, self._scope, self._on_change, self._since)

        async def ask() -> None:
            self._check_granted()
            await reconciliation.round(self._asked)

        def failed(error: Exception, failures: int) -> None:
            self._counts["failures"] += 1
            self._reason = f"{reason}, then {type(error).__name__}: {error}"
            level = logging.WARNING if failures == 1 else logging.DEBUG
            _log.log(level, "account not reconciled, asked again: %s", self._reason)
            if isinstance(error, TopicError):  # from now on the stream does not tell everything
                self._doubt(self._reason)

        await self._until_answered(ask, failed)
        seconds = self._clock.monotonic() - began
        self._fills_until = max(self._fills_until, reconciliation.began_ms)
        self._counts["reconciliations"] += 1
        self._reason = reason
        self._settle(settled=True)
        if stream_told_all and reconciliation.overdue:
            _log.warning("%d fills found that the stream had not told: it lost something", reconciliation.overdue)
        _log.info("account reconciled after %s: %d fills found, %.3f s", reason, reconciliation.fills_found, seconds)
        self.reconciled.publish(Reconciled(done=True, reason=reason, fills=reconciliation.fills_found, seconds=seconds))
        await self._sleep(LATE_SECONDS)
        await self._until_answered(
            reconciliation.late_fills, lambda error, _: _log.debug("late fills not told, asked again: %s", error)
        )
        self._late_fills_known = True
        self._reconciling = None

    async def _until_answered(
        self, ask: Callable[[], Awaitable[None]], failed: Callable[[Exception, int], None]
    ) -> None:
        """Ask for ever; a defect must not leave the account in doubt for ever either."""
        failures = 0
        while True:
            try:
                return await ask()
            except Exception as error:  # noqa: BLE001 - see above; it is said, and asked again
                if self._reconciling is not asyncio.current_task():
                    raise asyncio.CancelledError from None  # which a TaskGroup forgets where it has an error, too
                failures += 1
                failed(error, failures)
                if not isinstance(error, RestError | StreamError):
                    self._stream.report(error)
                delay = backoff_delay(failures, _RETRY_FIRST, _RETRY_CAP, self._random)
                await self._sleep(max(delay, getattr(error, "retry_after_seconds", 0.0)))

    def _check_granted(self) -> None:
        """Raises TopicError while the venue refuses a topic; only once it grants it does the stream tell everything."""
        if refused := self._scope.topics_of(self._stream.topics).intersection(self._stream.health().refused):
            self._asked = self._state.moment
            raise TopicError(min(refused), "the venue refuses it, so that the account cannot be followed")

    def _since(self, venue_ms: int) -> int:
        """From when on fills are to be asked for, when it is `venue_ms`."""
        if self._fills_since is None:
            assert self._started_at is not None
            self._fills_since = venue_ms - round((self._clock.monotonic() - self._started_at) * 1000)
        return max(self._fills_since, self._fills_until - OVERLAP_MS)
