"""The words that parameters may be, so that a type checker finds a misspelt one.

What comes back from the venue is plain text instead: it may have new words. Source: Bybit v5, enum.
"""

from typing import Literal

Category = Literal["spot", "linear", "inverse", "option"]
Contract = Literal["linear", "inverse"]
Derivative = Literal["linear", "inverse", "option"]

Side = Literal["Buy", "Sell"]
OrderType = Literal["Market", "Limit"]
TimeInForce = Literal["GTC", "IOC", "FOK", "PostOnly", "RPI"]
TriggerBy = Literal["LastPrice", "IndexPrice", "MarkPrice"]
TriggerDirection = Literal[1, 2]
"""1: when the market rises to the trigger price; 2: when it falls to it."""

PositionIdx = Literal[0, 1, 2]
"""0: one-way mode; 1 and 2: the buy and the sell side of hedge mode."""

TpslMode = Literal["Full", "Partial"]
"""Take profit and stop loss of the whole position, or of a part."""

SmpType = Literal["None", "CancelMaker", "CancelTaker", "CancelBoth"]
"""What happens when an account would trade with itself."""

OrderFilter = Literal["Order", "StopOrder", "tpslOrder", "OcoOrder", "BidirectionalTpslOrder"]
MarketUnit = Literal["baseCoin", "quoteCoin"]
SlippageToleranceType = Literal["TickSize", "Percent"]
BboSideType = Literal["Queue", "Counterparty"]
BboLevel = Literal[1, 2, 3, 4, 5]

OrderStatus = Literal[
    "New",
    "PartiallyFilled",
    "Untriggered",
    "Rejected",
    "PartiallyFilledCanceled",
    "Filled",
    "Cancelled",
    "Triggered",
    "Deactivated",
]
ExecType = Literal[
    "Trade",
    "AdlTrade",
    "Funding",
    "BustTrade",
    "Delivery",
    "Settle",
    "BlockTrade",
    "MovePosition",
    "FutureSpread",
]

Interval = Literal["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"]
"""Of a candle: minutes, a day, a week, a month."""

IntervalTime = Literal["5min", "15min", "30min", "1h", "4h", "1d"]
InstrumentStatus = Literal["PreLaunch", "Trading", "Delivering", "Closed"]
OptionType = Literal["Call", "Put"]
SystemState = Literal["scheduled", "ongoing", "completed", "canceled"]
DcpProduct = Literal["OPTIONS", "DERIVATIVES", "SPOT"]
