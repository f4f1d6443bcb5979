"""Which of two things that the venue told of one order, or of one position, is the later.

Streams repeat themselves and overtake one another, and REST answers from another moment than it was asked at. What
decides is in the data itself; only where that is equal does it matter who told it:

- An order's stages come in one order: Untriggered, Triggered, open, done. What is done never opens again, and changes
  only into something with more executed: of two Filled messages, as a cancellation that came too late causes, one is
  counted. Within a stage more executed is later, then `updated_time`.
- A position's `seq` grows with each order and fill, and `updated_time` with each fill and setting; a setting is told
  with the `seq` of the last fill. Where the two contradict one another, it is as where both are equal.
- On a tie the stream is believed, which tells its events in order. REST is believed over what is known from before the
  connection that there is now: nothing that came then is still to be corrected.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from ..rest.results.account import CoinBalance
from ..rest.results.orders import Execution, Order
from ..rest.results.positions import Position
from .final_statuses import FINAL_STATUSES, GONE
from .messages import ExecutionUpdate, OrderUpdate, PositionUpdate

ZERO = Decimal(0)

_UNTRIGGERED, _TRIGGERED, _OPEN, _CLOSED = range(4)

_ALWAYS_NEW = frozenset(("creation_time", "updated_time", "seq"))
# What the market moves without the account doing anything.
_MARKET_MOVES = frozenset(
    (
        "mark_price",
        "position_value",
        "liq_price",
        "bust_price",
        "position_im",
        "position_im_by_mp",
        "position_mm",
        "position_mm_by_mp",
        "unrealised_pnl",
        "delta",
        "gamma",
        "vega",
        "theta",
        "adl_rank_indicator",
    )
)

# Written "0" or left empty where they are not set: to leave one out is to tell that it is gone.
_UNSET = frozenset(("take_profit", "stop_loss", "trailing_stop", "tp_limit_price", "sl_limit_price"))

Row = TypeVar("Row", bound=msgspec.Struct)


def stage(order: Order) -> int:
    """How far an order has come. A status that nobody knows yet is taken for an open one."""
    status = order.order_status
    if status in FINAL_STATUSES:
        return _CLOSED
    if status == "Triggered":
        return _TRIGGERED
    return _UNTRIGGERED if status == "Untriggered" else _OPEN


def is_done(order: Order) -> bool:
    """Whether nothing can come of it any more."""
    return order.order_status in FINAL_STATUSES


def is_waiting(order: Order) -> bool:
    """Whether it waits in a book or for its trigger. A Triggered one goes on under its own id, or under another."""
    return stage(order) in (_UNTRIGGERED, _OPEN)


def is_later_order(new: Order, old: Order, *, on_tie: bool) -> bool:
    """Whether `new` tells a later state of an order than `old`."""
    executed, before = new.cum_exec_qty or ZERO, old.cum_exec_qty or ZERO
    if old.order_status == GONE:
        return new.order_status != GONE
    if is_done(old):
        return is_done(new) and executed > before
    if stage(new) != stage(old):
        return stage(new) > stage(old)
    if executed != before:
        return executed > before
    if new.updated_time and old.updated_time and new.updated_time != old.updated_time:
        return new.updated_time > old.updated_time
    return on_tie


def is_later_position(new: Position, old: Position, *, on_tie: bool) -> bool:
    """Whether `new` tells a later state of a position than `old`."""
    by_sequence = _compared(_sequence(new), _sequence(old))
    by_time = _compared(new.updated_time or None, old.updated_time or None)
    later = by_sequence + by_time
    return later > 0 if later else on_tie


def is_same_order(new: Order, old: Order, *, loosely: bool) -> bool:
    """Whether nothing changed that anybody could want to hear of. `loosely`: one is of REST and the other is not."""
    return _agree(new, old, _ALWAYS_NEW, loosely)


def is_same_position(new: Position, old: Position, *, loosely: bool) -> bool:
    """Whether nothing changed but what the market changes: the venue tells a position after every order."""
    return _agree(new, old, _ALWAYS_NEW | _MARKET_MOVES, loosely)


def is_same_balance(new: CoinBalance, old: CoinBalance, *, loosely: bool) -> bool:
    """Whether nothing changed of a coin."""
    return _agree(new, old, frozenset(), loosely)


def as_update(order: Order, category: str, time_ms: int) -> OrderUpdate:
    """An order that REST told at `time_ms`, as the stream would have told it."""
    return OrderUpdate(**_fields(order), category=category, creation_time=time_ms)


def as_execution(execution: Execution, category: str, time_ms: int) -> ExecutionUpdate:
    """A fill that REST told at `time_ms`, as the stream would have told it."""
    return ExecutionUpdate(**_fields(execution), category=category, creation_time=time_ms)


def as_position(position: Position, category: str, time_ms: int) -> PositionUpdate:
    """A position that REST told at `time_ms`, as the stream would have told it."""
    return PositionUpdate(**_fields(position), category=category, creation_time=time_ms)


def _fields(row: msgspec.Struct) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__}


def _sequence(position: Position) -> int | None:
    """None where the venue tells none, or that there never was a trade."""
    return position.seq if position.seq is not None and position.seq >= 0 else None


def _compared(new: int | None, old: int | None) -> int:
    """1 where `new` is the greater, -1 where it is the smaller, 0 where they are equal or one is not known."""
    return 0 if new is None or old is None else (new > old) - (new < old)


def _agree(new: msgspec.Struct, old: msgspec.Struct, without: frozenset[str], loosely: bool) -> bool:
    """Whether two say the same. Lists leave out what streams tell and the other way round: that is passed over."""
    for name in new.__struct_fields__:
        told, known = getattr(new, name), getattr(old, name)
        if told == known or name in without:
            continue
        if (told or known) if name in _UNSET else not (loosely and (told is None or known is None)):
            return False
    return True
