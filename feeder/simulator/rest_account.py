"""The endpoints of accounts and keys: /v5/account, /v5/user, /v5/asset. Source: Bybit v5, the page of each."""

from datetime import UTC, datetime

from feeder.simulator import rest_parameters as read
from feeder.simulator.account import FIRST_BALANCES, fee_rates
from feeder.simulator.decimals import plain
from feeder.simulator.ledger import Ledger
from feeder.simulator.past import LAUNCH_MS
from feeder.simulator.quotes import Quotes
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_reply import PARAMETER_ERROR, Answer, Endpoint, Refused, owner
from feeder.simulator.wallet import wallet_row

_UNIFIED_2_0 = 5
_NOT_PERMITTED = ("CopyTrading", "BlockTrade", "NFT", "Affiliate", "Earn")


class AccountEndpoints:
    """Answers by path."""

    def __init__(self, ledger: Ledger, quotes: Quotes) -> None:
        self._ledger = ledger
        self._quotes = quotes

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """By method and path."""
        return {
            ("GET", "/v5/account/wallet-balance"): self._wallet,
            ("GET", "/v5/account/info"): self._info,
            ("GET", "/v5/account/fee-rate"): self._fee_rates,
            ("GET", "/v5/user/query-api"): self._key,
            ("GET", "/v5/asset/coin/query-info"): self._coins,
        }

    def _wallet(self, call: Caller) -> Answer:
        if read.text(call.parameters, "accountType") != "UNIFIED":
            raise Refused(PARAMETER_ERROR, "accountType only support UNIFIED.")
        account = self._ledger.account(owner(call).account)
        named = [coin for coin in read.text(call.parameters, "coin").split(",") if coin]
        return Answer({"list": [wallet_row(account, self._quotes, named)]})

    def _info(self, call: Caller) -> Answer:
        owner(call)
        told = {
            "unifiedMarginStatus": _UNIFIED_2_0,
            "marginMode": "REGULAR_MARGIN",
            "isMasterTrader": False,
            "spotHedgingStatus": "OFF",
            "dcpStatus": "OFF",
            "timeWindow": 0,
            "smpGroup": 0,
            "updatedTime": str(LAUNCH_MS),
        }
        return Answer(told)

    def _fee_rates(self, call: Caller) -> Answer:
        owner(call)
        category = read.category(call.parameters)
        symbol, base = read.text(call.parameters, "symbol"), read.text(call.parameters, "baseCoin")
        taker, maker = map(plain, fee_rates(category.name))
        rates = {"takerFeeRate": taker, "makerFeeRate": maker}
        listings = [quote.listing for quote in self._quotes.all(category.name)]
        if category.name == "option":
            bases = [coin for coin in dict.fromkeys(listing.base for listing in listings) if base in ("", coin)]
            return Answer({"category": "option", "list": [{"symbol": "", "baseCoin": coin} | rates for coin in bases]})
        rows = [
            {"symbol": listing.symbol} | ({"baseCoin": ""} if category.name == "spot" else {}) | rates
            for listing in listings
            if symbol in ("", listing.symbol) and base in ("", listing.base)
        ]
        if symbol and not rows:
            raise read.no_symbol()
        named = {"category": "spot"} if category.name == "spot" else {}  # futures are told without it
        return Answer(named | {"list": rows})

    def _key(self, call: Caller) -> Answer:
        key = owner(call)
        permissions = {
            "ContractTrade": ["Order", "Position"],
            "Spot": ["SpotTrade"],
            "Wallet": ["AccountTransfer"],
            "Options": ["OptionsTrade"],
            "Derivatives": ["DerivativesTrade"],
            "Exchange": ["ExchangeHistory"],
        }
        told = {
            "id": "1",
            "note": "simulator",
            "apiKey": key.key,
            "readOnly": int(key.read_only),
            "secret": "",
            "permissions": permissions | {name: [] for name in _NOT_PERMITTED},
            "ips": list(key.addresses or ("*",)),
            "type": 1,
            "deadlineDay": 90,
            "expiredAt": "",
            "createdAt": datetime.fromtimestamp(LAUNCH_MS / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "unified": 0,
            "uta": 1,
            "userID": 1,
            "inviterID": 0,
            "vipLevel": "No VIP",
            "mktMakerLevel": "0",
            "affiliateID": 0,
            "isMaster": True,
            "parentUid": "0",
            "kycLevel": "LEVEL_DEFAULT",
            "kycRegion": "",
            "rsaPublicKey": key.public_key_pem or "",
        }
        return Answer(told, message="")

    def _coins(self, call: Caller) -> Answer:
        """The coins that every account begins with; nothing can be paid in or out."""
        owner(call)
        wanted = read.text(call.parameters, "coin")
        rows = [
            {
                "name": coin,
                "coin": coin,
                "remainAmount": "0",
                "chains": [
                    {
                        "chain": coin,
                        "chainType": coin,
                        "confirmation": "1",
                        "withdrawFee": "",
                        "depositMin": "0",
                        "withdrawMin": "0",
                        "minAccuracy": "8",
                        "chainDeposit": "0",
                        "chainWithdraw": "0",
                        "withdrawPercentageFee": "0",
                        "contractAddress": "",
                        "safeConfirmNumber": "1",
                    }
                ],
            }
            for coin in FIRST_BALANCES
            if wanted in ("", coin)
        ]
        return Answer({"rows": rows}, message="success")
