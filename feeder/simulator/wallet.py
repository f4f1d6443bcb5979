"""An account's wallet as it is told: by /v5/account/wallet-balance, and by the private stream."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from feeder.simulator.account import Account, Bindings
from feeder.simulator.decimals import plain
from feeder.simulator.orders import EXACT, ZERO
from feeder.simulator.quotes import Quotes

_ONLY_REST = ("free", "spotBorrow", "spotHedgingQty")
_SUMS_ONLY_REST = (
    "accountIMRateByMp",
    "accountMMRateByMp",
    "totalInitialMarginByMp",
    "totalMaintenanceMarginByMp",
)


def wallet_row(account: Account, quotes: Quotes, named: Sequence[str] = ()) -> dict[str, Any]:
    """Coins with a balance, or those that are named. Sums are dollars; a coin nothing tells the price of is 0."""
    held = [coin for coin, cash in account.cash.items() if cash]
    sums = dict.fromkeys(("wallet", "equity", "unrealised", "initial", "maintenance", "available"), ZERO)
    rows = {}
    bound = account.bindings()
    for coin in dict.fromkeys((*held, *named)):
        rows[coin], worth = _coin(account, quotes, coin, bound)
        sums = {name: total + worth[name] for name, total in sums.items()}
    margin = sums["wallet"] + sums["unrealised"]
    initial_rate, maintenance_rate = (
        f"{sums[name] / margin if margin > ZERO else ZERO:.4f}" for name in ("initial", "maintenance")
    )
    return {
        "accountType": "UNIFIED",
        "accountIMRate": initial_rate,
        "accountMMRate": maintenance_rate,
        "accountIMRateByMp": initial_rate,
        "accountMMRateByMp": maintenance_rate,
        "accountLTV": "0",
        "totalEquity": _dollars(sums["equity"]),
        "totalWalletBalance": _dollars(sums["wallet"]),
        "totalMarginBalance": _dollars(margin),
        "totalAvailableBalance": _dollars(sums["available"]),
        "totalPerpUPL": _dollars(sums["unrealised"]),
        "totalInitialMargin": _dollars(sums["initial"]),
        "totalMaintenanceMargin": _dollars(sums["maintenance"]),
        "totalInitialMarginByMp": _dollars(sums["initial"]),
        "totalMaintenanceMarginByMp": _dollars(sums["maintenance"]),
        "coin": [rows[coin] for coin in (named or held)],
    }


def private_wallet_row(account: Account, quotes: Quotes) -> dict[str, Any]:
    """As the private stream has it: every coin that is or was held."""
    row = wallet_row(account, quotes, list(account.cash))
    for name in _SUMS_ONLY_REST:
        del row[name]
    for coin in row["coin"]:
        for name in _ONLY_REST:
            del coin[name]
    return row


def _coin(account: Account, quotes: Quotes, coin: str, bound: Bindings) -> tuple[dict[str, Any], dict[str, Decimal]]:
    """A coin's row, and what it adds to the account's sums."""
    cash, unrealised = account.cash.get(coin, ZERO), account.unrealised(coin)
    locked, order_margin = bound.locked.get(coin, ZERO), bound.margin.get(coin, ZERO)
    position_margin, maintenance = account.position_margin(coin)
    equity, free = cash + unrealised, account.available(coin, bound)
    price = quotes.usd(coin) or ZERO
    row = {
        "coin": coin,
        "equity": _exact(equity),
        "usdValue": _exact(equity * price),
        "walletBalance": _exact(cash),
        "locked": _exact(locked),
        "spotHedgingQty": "0",
        "borrowAmount": "0",
        "spotBorrow": "0",
        "accruedInterest": "0",
        "totalOrderIM": _exact(order_margin),
        "totalPositionIM": _exact(position_margin),
        "totalPositionMM": _exact(maintenance),
        "unrealisedPnl": _exact(unrealised),
        "cumRealisedPnl": _exact(account.realised.get(coin, ZERO)),
        "bonus": "0",
        "marginCollateral": True,
        "collateralSwitch": True,
        "free": _exact(max(free, ZERO)),
        "availableToWithdraw": _exact(max(free, ZERO)),
        "availableToBorrow": "",
    }
    worth = {
        "wallet": cash * price,
        "equity": equity * price,
        "unrealised": unrealised * price,
        "initial": (order_margin + position_margin) * price,
        "maintenance": maintenance * price,
        "available": free * price,
    }
    return row, worth


def _exact(amount: Decimal) -> str:
    return plain(amount.quantize(EXACT))


def _dollars(amount: Decimal) -> str:
    return f"{amount.quantize(EXACT):f}"
