"""What the streams tell, as Structs: snake_case names, exact amounts, None where the venue sends "" or nothing.

Orders, executions, positions and wallets are those of REST, with what the streams add. Source: Bybit v5,
websocket/private/* and websocket/public/*.
"""

from collections.abc import Callable
from typing import Annotated, Any

import msgspec

from ..messages import Milliseconds
from ..rest.answer import without_empty
from ..rest.reply import Amount, Text
from ..rest.results.account import Wallet
from ..rest.results.market import Ticker
from ..rest.results.orders import Execution, Order
from ..rest.results.positions import Position
from .final_statuses import FINAL_STATUSES

LARGEST_MS = 9_000_000_000_000


class Envelope(msgspec.Struct, gc=False):
    """What is around the data of every topic; a message without `topic` is an answer to a request.

    `time_ms` is when the venue made it: creationTime of private topics, ts of public ones. `cs` is the cross sequence.
    """

    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"")
    type: str = ""
    ts: Milliseconds = 0
    creation_time: Milliseconds = msgspec.field(name="creationTime", default=0)
    cs: int = 0

    @property
    def time_ms(self) -> int:
        """ms since the epoch; 0 where the venue does not tell."""
        return self.creation_time or self.ts


class OrderUpdate(Order, rename="camel", kw_only=True):
    """An order as the stream `order` tells it. `closed_pnl` is of the position that it closed, in the settlement coin.

    `broker_order_price` is for liquidity providers in the EU. `creation_time`: when the venue made the message, ms.
    An `Account` adds the `order_status` "Gone": of an order that was open and that the venue does not know any more.
    """

    category: str = ""
    closed_pnl: Amount = None
    fee_currency: Text = None
    broker_order_price: Amount = None
    creation_time: int = 0

    @property
    def is_open(self) -> bool:
        """Whether anything may still come of it; of a Triggered one, too, which goes on under its own id or another."""
        return self.order_status not in FINAL_STATUSES


class ExecutionUpdate(Execution, rename="camel", kw_only=True):
    """A fill, funding, settlement or delivery, as the stream `execution` tells it. `exec_pnl`: of what it closed."""

    category: str = ""
    is_leverage: bool | None = None
    exec_pnl: Amount = None
    creation_time: int = 0


class FastExecution(msgspec.Struct, rename="camel", kw_only=True):
    """A fill, told at once and with little about it; `exec_time` in ms, `order_link_id` of takers only.

    `seq` is unique together with the symbol only, and one for all fills of an instant. Source:
    websocket/private/fast-execution.
    """

    exec_id: str
    symbol: str
    category: str = ""
    order_id: Text = None
    order_link_id: Text = None
    side: Text = None
    exec_price: Amount = None
    exec_qty: Amount = None
    exec_time: int | None = None
    is_maker: bool | None = None
    seq: int | None = None
    creation_time: int = 0


class PositionUpdate(Position, rename="camel", kw_only=True):
    """A position as the stream `position` tells it: after every order, changed or not. `avg_price` is its entry price.

    `seq` tells which of two is the younger, of one symbol.
    """

    category: str = ""
    avg_price: Amount = msgspec.field(name="entryPrice", default=None)
    creation_time: int = 0


class WalletUpdate(Wallet, rename="camel", kw_only=True):
    """An account's coins that changed, and the account as a whole. A change of unrealised profit alone is not told."""

    creation_time: int = 0


class Greeks(msgspec.Struct, rename="camel", kw_only=True):
    """The greeks of all options of a coin that an account has."""

    base_coin: str
    total_delta: Amount = None
    total_gamma: Amount = None
    total_vega: Amount = None
    total_theta: Amount = None
    creation_time: int = 0


class TickerUpdate(Ticker, rename="camel", kw_only=True):
    """A symbol's ticker as it is now, deltas merged in. `time_ms`: when the venue made it. `cs`: cross sequence."""

    category: str = ""
    tick_direction: Text = None
    time_ms: int = 0
    cs: int = 0


class Kline(msgspec.Struct, rename="camel", kw_only=True):
    """A bar, ms from `start` to `end`; `confirm` when it is finished. `timestamp`: its last trade's, ms."""

    symbol: str = ""  # these two are of the topic
    category: str = ""
    interval: str
    start: int
    end: int
    open: Amount = None
    high: Amount = None
    low: Amount = None
    close: Amount = None
    volume: Amount = None
    turnover: Amount = None
    confirm: bool = False
    timestamp: int | None = None


class Liquidation(msgspec.Struct, kw_only=True):
    """A position that was liquidated; `side` Buy: a long one. `price` is its bankruptcy price, `time_ms` when."""

    category: str = ""
    symbol: str = msgspec.field(name="s")
    side: str = msgspec.field(name="S")
    qty: Amount = msgspec.field(name="v", default=None)
    price: Amount = msgspec.field(name="p", default=None)
    time_ms: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_MS)] = msgspec.field(name="T")


class MarketTrade(msgspec.Struct, kw_only=True):
    """A trade of the market; `side` is the taker's, `seq` the cross sequence.

    The last four are of options: prices of mark and index, and the implied volatilities, fractions.
    """

    category: str = ""
    symbol: str = msgspec.field(name="s")
    side: str = msgspec.field(name="S")
    qty: Amount = msgspec.field(name="v", default=None)
    price: Amount = msgspec.field(name="p", default=None)
    time_ms: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_MS)] = msgspec.field(name="T")
    trade_id: str = msgspec.field(name="i", default="")
    tick_direction: Text = msgspec.field(name="L", default=None)
    block_trade: bool = msgspec.field(name="BT", default=False)
    rpi: bool = msgspec.field(name="RPI", default=False)
    seq: int = 0
    mark_price: Amount = msgspec.field(name="mP", default=None)
    index_price: Amount = msgspec.field(name="iP", default=None)
    mark_iv: Amount = msgspec.field(name="mIv", default=None)
    trade_iv: Amount = msgspec.field(name="iv", default=None)


decode_envelope = msgspec.json.Decoder(Envelope).decode


def rows_decoder(row: type[Any]) -> Callable[[bytes | msgspec.Raw], list[Any]]:
    """A decoder of the `data` of a topic whose rows are these Structs."""
    # Not strict: the venue writes times and counts as text.
    decode = msgspec.json.Decoder(list[row], strict=False).decode  # type: ignore[valid-type]  # only now known
    return lambda data: decode(without_empty(bytes(data)))


decode_orders = rows_decoder(OrderUpdate)
decode_executions = rows_decoder(ExecutionUpdate)
decode_fast_executions = rows_decoder(FastExecution)
decode_positions = rows_decoder(PositionUpdate)
decode_wallets = rows_decoder(WalletUpdate)
decode_greeks = rows_decoder(Greeks)
decode_klines = rows_decoder(Kline)
decode_liquidations = rows_decoder(Liquidation)
decode_trades = rows_decoder(MarketTrade)
