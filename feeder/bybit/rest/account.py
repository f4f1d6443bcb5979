"""The account: balances, fees, how it is set up.

Source: Bybit v5, account/*.
"""

from .endpoints.typed import ACCOUNT_INFO, FEE_RATES, WALLET_BALANCE
from .reply import Page, Reply
from .results.account import AccountInfo, FeeRate, Wallet
from .sender import Sender
from .words import Category


class AccountCalls(Sender):
    """The account endpoints. Every method raises RestError."""

    __slots__ = ()

    async def wallet_balance(self, account_type: str = "UNIFIED", *, coin: str | None = None) -> Reply[Page[Wallet]]:
        """The account and its coins that are not zero, or those named in `coin`: "USDT,USDC". 50 requests/s.

        The page has one entry, in `reply.result.entries[0]`. Source: account/wallet-balance.
        """
        return await self.send(WALLET_BALANCE, {"accountType": account_type, "coin": coin})

    async def fee_rates(
        self, category: Category, *, symbol: str | None = None, base_coin: str | None = None
    ) -> Reply[Page[FeeRate]]:
        """What trading costs: per `symbol`, of options per `base_coin`; without them all. 5 requests/s.

        Source: account/fee-rate.
        """
        return await self.send(FEE_RATES, {"category": category, "symbol": symbol, "baseCoin": base_coin})

    async def account_info(self) -> Reply[AccountInfo]:
        """The account's margin mode and settings. 50 requests/s. Source: account/account-info."""
        return await self.send(ACCOUNT_INFO, {})
