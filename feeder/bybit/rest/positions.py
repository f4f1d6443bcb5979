"""Positions: what they are, their leverage, their take profit and stop loss.

Source: Bybit v5, position/*.
"""

from collections.abc import AsyncIterator
from typing import Any, Literal

from .endpoints.typed import CLOSED_PNL, POSITIONS, SET_LEVERAGE, SWITCH_POSITION_MODE, TRADING_STOP
from .reply import Page, Reply
from .results.positions import ClosedPnl, Position
from .sender import Number, PageSender
from .words import Contract, Derivative, OrderType, PositionIdx, TpslMode, TriggerBy

_POSITIONS = 200  # the most of a page
_CLOSED = 100


class PositionCalls(PageSender):
    """The position endpoints. Every method raises RestError; all times are ms since the epoch."""

    __slots__ = ()

    async def positions(
        self,
        category: Derivative,
        *,
        symbol: str | None = None,
        base_coin: str | None = None,
        settle_coin: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[Position]]:
        """One page of positions, 1 to 200 a page (without `limit`: 20). 50 requests/s.

        linear needs `symbol`, which is answered whether or not there is a position, or `settle_coin`, which finds those
        that are not empty. `base_coin` is for options alone. Source: position/position.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(POSITIONS, parameters)

    def each_position(
        self, category: Derivative, *, base_coin: str | None = None, settle_coin: str | None = None
    ) -> AsyncIterator[Position]:
        """All that `positions` finds, page after page; linear needs `settle_coin`."""
        parameters = {
            "category": category,
            "baseCoin": base_coin,
            "settleCoin": settle_coin,
            "limit": _POSITIONS,
        }
        return self.each(POSITIONS, parameters)

    async def closed_pnl(
        self,
        category: Contract,
        *,
        symbol: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
        limit: int | None = None,
        cursor: str | None = None,
    ) -> Reply[Page[ClosedPnl]]:
        """One page of realised profits and losses, the youngest first: 1 to 100 a page, without `limit` 50. 50/s.

        A span has 7 days at most; with one end of it, 7 days from there; with none, the last 7. Source:
        position/close-pnl.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "startTime": start_time,
            "endTime": end_time,
            "limit": limit,
            "cursor": cursor,
        }
        return await self.send(CLOSED_PNL, parameters)

    def each_closed_pnl(
        self,
        category: Contract,
        *,
        symbol: str | None = None,
        start_time: int | None = None,
        end_time: int | None = None,
    ) -> AsyncIterator[ClosedPnl]:
        """All that `closed_pnl` finds in its 7 days, page after page."""
        parameters = {
            "category": category,
            "symbol": symbol,
            "startTime": start_time,
            "endTime": end_time,
            "limit": _CLOSED,
        }
        return self.each(CLOSED_PNL, parameters)

    async def set_leverage(
        self, category: Contract, symbol: str, buy_leverage: Number, sell_leverage: Number
    ) -> Reply[Any]:
        """Set the leverage of a symbol; in one-way mode both are the same. 10/s.

        The result is empty; a leverage that is set already gives a reply that is `unchanged`. Source:
        position/leverage.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "buyLeverage": buy_leverage,
            "sellLeverage": sell_leverage,
        }
        return await self.send(SET_LEVERAGE, parameters)

    async def switch_position_mode(
        self, category: Contract, mode: Literal[0, 3], *, symbol: str | None = None, coin: str | None = None
    ) -> Reply[Any]:
        """One-way mode (0) or hedge mode (3) for a `symbol`, or for all that settle in `coin`. 10/s.

        Of those of `coin`, symbols with a position or an open order stay as they are; a `symbol` with one is refused.
        The result is empty. Source: position/position-mode.
        """
        parameters = {"category": category, "mode": mode, "symbol": symbol, "coin": coin}
        return await self.send(SWITCH_POSITION_MODE, parameters)

    async def set_trading_stop(
        self,
        category: Derivative,
        symbol: str,
        tpsl_mode: TpslMode,
        position_idx: PositionIdx,
        *,
        take_profit: Number | None = None,
        stop_loss: Number | None = None,
        trailing_stop: Number | None = None,
        active_price: Number | None = None,
        tp_trigger_by: TriggerBy | None = None,
        sl_trigger_by: TriggerBy | None = None,
        tp_size: Number | None = None,
        sl_size: Number | None = None,
        tp_limit_price: Number | None = None,
        sl_limit_price: Number | None = None,
        tp_order_type: OrderType | None = None,
        sl_order_type: OrderType | None = None,
    ) -> Reply[Any]:
        """Set, change or remove (by 0) a position's take profit, stop loss and trailing stop. 10/s.

        `trailing_stop` is a distance in price that begins at `active_price`. With tpsl_mode Full they are of the whole
        position and market orders. Partial adds orders for `tp_size` and `sl_size`, which are equal; each request adds
        others, so it is not sent again when its outcome is unknown. The limit prices need Partial and the order type
        Limit. The result is empty. Source: position/trading-stop.
        """
        parameters = {
            "category": category,
            "symbol": symbol,
            "tpslMode": tpsl_mode,
            "positionIdx": position_idx,
            "takeProfit": take_profit,
            "stopLoss": stop_loss,
            "trailingStop": trailing_stop,
            "activePrice": active_price,
            "tpTriggerBy": tp_trigger_by,
            "slTriggerBy": sl_trigger_by,
            "tpSize": tp_size,
            "slSize": sl_size,
            "tpLimitPrice": tp_limit_price,
            "slLimitPrice": sl_limit_price,
            "tpOrderType": tp_order_type,
            "slOrderType": sl_order_type,
        }
        return await self.send(TRADING_STOP, parameters)
