"""Why the venue does not take an order: for one reason one code on spot, and another on everything else.

Source: Bybit v5, error page; the texts as users of the venue quote them.
"""

from decimal import Decimal
from typing import NamedTuple

from feeder.simulator.decimals import plain
from feeder.simulator.rest_reply import PARAMETER_ERROR, Refused


class Verdict(NamedTuple):
    """A reason: codes and texts."""

    code: int
    text: str
    spot_code: int
    spot_text: str

    def refused(self, category: str) -> Refused:
        """As the category says it."""
        return Refused(self.spot_code, self.spot_text) if category == "spot" else Refused(self.code, self.text)


SYMBOL = Verdict(PARAMETER_ERROR, "params error: symbol invalid", 170121, "Invalid symbol.")
NOT_LIVE = Verdict(110074, "This contract is not live", 170151, "The trading pair is not open yet.")
SIDE = Verdict(PARAMETER_ERROR, "Side invalid", 170117, "Invalid side.")
KIND = Verdict(PARAMETER_ERROR, "OrderType invalid", 170116, "Invalid orderType.")
TIME_IN_FORCE = Verdict(PARAMETER_ERROR, "TimeInForce invalid", 170115, "Invalid timeInForce.")
QTY = Verdict(PARAMETER_ERROR, "Qty invalid", 170130, "Data sent for paramter 'qty' is not valid.")
QTY_STEP = Verdict(PARAMETER_ERROR, "Qty invalid", 170137, "Order volume decimal too long.")
QTY_ZERO = Verdict(110017, "orderQty will be truncated to zero.", 170136, "Order quantity lower than the minimum.")
QTY_MOST = Verdict(
    PARAMETER_ERROR,
    "The number of contracts exceeds maximum limit allowed: too large",
    170135,
    "Order quantity too large.",
)
PRICE = Verdict(PARAMETER_ERROR, "Price invalid", 170130, "Data sent for paramter 'price' is not valid.")
PRICE_TICK = Verdict(PARAMETER_ERROR, "Price invalid", 170134, "Order price decimal too long.")
BUY_LIMIT = Verdict(110003, "Order price exceeds the allowable range.", 170193, "Buy order price is too high.")
SELL_LIMIT = Verdict(110003, "Order price exceeds the allowable range.", 170194, "Sell order price is too low.")
VALUE = Verdict(
    110094, "Order does not meet minimum order value 5USDT", 170140, "Transaction amount lower than the minimum."
)
DUPLICATE = Verdict(110072, "OrderLinkedID is duplicate", 170141, "Duplicate clientOrderId.")
BALANCE = Verdict(110007, "ab not enough for new order", 170131, "Insufficient balance.")
TOO_MANY_OPEN = Verdict(
    110020, "Not allowed to have more than 500 active orders.", 170005, "Too many new orders; current limit is 500."
)
TOO_MANY_STOPS = Verdict(
    110009,
    "The number of stop orders exceeds the maximum allowable limit.",
    170810,
    "Cannot exceed maximum of 500 conditional, TP/SL and active orders.",
)
UNKNOWN = Verdict(110001, "order not exists or too late to cancel", 170213, "Order does not exist.")
FILLED = Verdict(110008, "The order has been completed or cancelled.", 170139, "Order has been filled.")
CANCELLED = Verdict(110010, "The order has been cancelled.", 170142, "Order has been canceled.")


def no_position() -> Refused:
    """The refusal of a reduce-only order that has nothing to reduce."""
    return Refused(110017, "current position is zero, cannot fix reduce-only order qty")


def wrong_mode() -> Refused:
    """The refusal of a positionIdx that the symbol has not in its position mode."""
    return Refused(PARAMETER_ERROR, "position idx not match position mode")


def triggered_already(trigger: Decimal, now: Decimal, *, rises: bool) -> Refused:
    """The refusal of a conditional order whose price has been reached."""
    if rises:
        return Refused(110092, f"expect Rising, but trigger_price[{plain(trigger)}] <= current[{plain(now)}]")
    return Refused(110093, f"expect Falling, but trigger_price[{plain(trigger)}] >= current[{plain(now)}]")


def wrong_side(name: str, side: str, price: Decimal, base: Decimal, *, above: bool) -> Refused:
    """The refusal of a take profit or stop loss that would be reached at once."""
    where = "higher" if above else "lower"
    text = f"{name}:{plain(price)} set for {side} position should be {where} than base_price:{plain(base)}"
    return Refused(PARAMETER_ERROR, text)


def unchanged() -> Refused:
    """The refusal of an amendment that asks for nothing new."""
    text = "The order remains unchanged as the parameters entered match the existing ones."
    return Refused(PARAMETER_ERROR, text)
