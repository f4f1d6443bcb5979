"""The endpoints of positions: /v5/position. Source: Bybit v5, the page of each."""

from decimal import Decimal
from typing import Any

from feeder.simulator import rest_parameters as read
from feeder.simulator import verdicts
from feeder.simulator.account import Account
from feeder.simulator.instruments import LEVERAGE_STEP, MAX_LEVERAGE
from feeder.simulator.ledger import Ledger
from feeder.simulator.order_entry import number
from feeder.simulator.position_rows import position_row
from feeder.simulator.positions import ClosedProfit, Position
from feeder.simulator.quotes import Quote, Quotes
from feeder.simulator.rest_caller import Caller
from feeder.simulator.rest_market import FUTURES
from feeder.simulator.rest_reply import PARAMETER_ERROR, Answer, Endpoint, Parameters, Refused, owner, page
from feeder.simulator.rest_span import span

_CONTRACTS = ("linear", "inverse", "option")
_ONE_WAY, _HEDGE = 0, 3


class PositionEndpoints:
    """Answers by path."""

    def __init__(self, ledger: Ledger, quotes: Quotes) -> None:
        self._ledger = ledger
        self._quotes = quotes

    def endpoints(self) -> dict[tuple[str, str], Endpoint]:
        """By method and path."""
        return {
            ("GET", "/v5/position/list"): self._list,
            ("GET", "/v5/position/closed-pnl"): self._closed_profits,
            ("POST", "/v5/position/set-leverage"): self._set_leverage,
            ("POST", "/v5/position/switch-mode"): self._switch_mode,
            ("POST", "/v5/position/trading-stop"): self._set_stops,
        }

    def _list(self, call: Caller) -> Answer:
        """Those that are held; of a symbol that is named, whether or not there is one."""
        given, account = call.parameters, self._account(call)
        category = read.category(given, _CONTRACTS).name
        symbol, base, settle = (read.text(given, name) for name in ("symbol", "baseCoin", "settleCoin"))
        limit = read.limit(given, 20, 200)
        if category == "linear" and not (symbol or base or settle):
            raise read.required("symbol or settleCoin")
        found: list[Position]
        if symbol:
            quote = self._quote(given)
            sides = (1, 2) if (category, symbol) in account.hedged else (0,)
            empty = [Position(0, quote.listing, idx, 0, 0) for idx in sides]
            found = [account.positions.get((category, symbol, each.idx), each) for each in empty]
            return Answer({"nextPageCursor": "", "category": category, "list": [self._row(account, e) for e in found]})
        found = [
            position
            for position in reversed(account.positions.values())
            if position.size
            and position.listing.category == category
            and base in ("", position.listing.base)
            and settle in ("", position.listing.settle)
        ]
        part, cursor = page(found, _number_of, limit, read.text(given, "cursor"))
        rows = [self._row(account, position) for position in part]
        return Answer({"nextPageCursor": cursor, "category": category, "list": rows})

    def _closed_profits(self, call: Caller) -> Answer:
        """One entry for each order that closed something, the last one first."""
        given, account = call.parameters, self._account(call)
        category, symbol = read.category(given, _CONTRACTS).name, read.text(given, "symbol")
        limit = read.limit(given, 50, 100)
        start, end = span(given, self._ledger.now_ms())
        found = [
            closing
            for closing in reversed(account.closings.values())
            if closing.order.listing.category == category
            and symbol in ("", closing.order.listing.symbol)
            and start <= closing.updated_ms <= end
        ]
        part, cursor = page(found, _number_of_closing, limit, read.text(given, "cursor"))
        return Answer({"nextPageCursor": cursor, "category": category, "list": [closing.row() for closing in part]})

    def _set_leverage(self, call: Caller) -> Answer:
        given, account = call.parameters, self._account(call)
        read.category(given, FUTURES)
        listing = self._quote(given).listing
        key = listing.category, listing.symbol
        wanted = _leverage(given, "buyLeverage"), _leverage(given, "sellLeverage")
        if key not in account.hedged and wanted[0] != wanted[1]:
            raise Refused(PARAMETER_ERROR, "buyLeverage and sellLeverage must be equal in one-way mode")
        if wanted == account.leverage(listing):
            raise Refused(110043, "leverage not modified")
        self._ledger.set_leverage(account, listing, wanted)
        return Answer({})

    def _switch_mode(self, call: Caller) -> Answer:
        """Of a symbol, or of all that settle in a coin; of these, symbols in use stay as they are."""
        given, account = call.parameters, self._account(call)
        category = read.category(given, FUTURES).name
        mode = read.whole(given, "mode", None, 0, 3)
        symbol, coin = read.text(given, "symbol"), read.text(given, "coin")
        if mode not in (_ONE_WAY, _HEDGE):
            raise read.invalid("mode")
        if not (symbol or coin):
            raise read.required("symbol or coin")
        if category == "inverse":
            raise Refused(110029, "Hedge mode is not supported for this symbol.")
        listings = [self._quote(given).listing] if symbol else [each.listing for each in self._quotes.all(category)]
        keys = {(category, each.symbol) for each in listings if symbol or each.settle == coin}
        changed = {key for key in keys if (key in account.hedged) != (mode == _HEDGE)}
        if not changed:
            raise Refused(110025, "Position mode is not modified")
        held = {key[:2] for key, position in account.positions.items() if position.size}
        ordered = {(order.listing.category, order.listing.symbol) for order in account.open_orders()}
        if symbol and changed & held:
            raise Refused(110024, "You have an existing position, so the position mode cannot be switched.")
        if symbol and changed & ordered:
            raise Refused(110028, "You have existing open orders, so the position mode cannot be switched.")
        changed -= held | ordered
        account.hedged = account.hedged | changed if mode == _HEDGE else account.hedged - changed
        return Answer({})

    def _set_stops(self, call: Caller) -> Answer:
        read.category(call.parameters, FUTURES)
        self._ledger.set_stops(self._account(call), call.parameters)
        return Answer({})

    def _row(self, account: Account, position: Position) -> dict[str, Any]:
        return position_row(account, position, self._quotes)

    def _quote(self, given: Parameters) -> Quote:
        category = read.category(given).name
        quote = self._quotes.find(category, read.text(given, "symbol"))
        if quote is None:
            raise verdicts.SYMBOL.refused(category)
        return quote

    def _account(self, call: Caller) -> Account:
        return self._ledger.account(owner(call).account)


def _leverage(given: Parameters, name: str) -> Decimal:
    value = number(given, name)
    if value is None:
        raise read.required(name)
    if value < 1 or value > MAX_LEVERAGE:
        raise Refused(110013, "Cannot set leverage due to risk limit level.")
    if value % LEVERAGE_STEP:
        raise read.invalid(name)
    return value


def _number_of(position: Position) -> int:
    return position.number


def _number_of_closing(closing: ClosedProfit) -> int:
    return closing.number
