"""One account at a ledger, on a book of three levels a side put there by hand."""

from decimal import Decimal
from typing import Any, cast

from feeder.clock import ManualClock
from feeder.simulator.account import Account
from feeder.simulator.decimals import plain
from feeder.simulator.exchange import Exchange
from feeder.simulator.ledger import Ledger
from feeder.simulator.orders import UNTRIGGERED, Order
from feeder.simulator.positions import Position
from feeder.simulator.quotes import Quotes
from feeder.simulator.source import Source
from feeder.simulator.told import Told
from feeder.simulator.universe import universe
from tests.unit.simulator.hand_market import HandMarket

BIDS = [("78000", "1"), ("77990", "2"), ("77980", "3")]
ASKS = [("78010", "1"), ("78020", "2"), ("78030", "3")]


class Floor:
    """One account, a book of three levels a side, and all that was told of the account."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.market = HandMarket(universe(["linear", "spot", "inverse", "option"], 12), self.clock)
        self.quotes = Quotes(Exchange(cast(Source, self.market), 1, self.clock), 1)
        self.ledger = Ledger(self.quotes, 1, self.clock)
        self.account: Account = self.ledger.account("1")
        self.account.pay("USDT", Decimal(900_000))
        self.told: list[Told] = []
        self.ledger.listen("1", self.told.append)
        for category in "linear", "spot":
            self.market.put(BIDS, ASKS, category)
            self.market.trade("78005", category)

    def place(self, side: str = "Buy", qty: str = "1", price: str | None = None, **given: Any) -> Order:
        kind = {"orderType": "Market"} if price is None else {"orderType": "Limit", "price": price}
        wanted = {"category": "linear", "symbol": "BTCUSDT", "side": side, "qty": qty} | kind | given
        return self.ledger.place(self.account, wanted)

    def amend(self, order: Order, **given: Any) -> Order:
        return self.ledger.amend(self.account, _naming(order) | given)

    def cancel(self, order: Order) -> Order:
        return self.ledger.cancel(self.account, _naming(order))

    def stops(self, **given: Any) -> None:
        usual = {"category": "linear", "symbol": "BTCUSDT", "positionIdx": 0, "tpslMode": "Full"}
        self.ledger.set_stops(self.account, usual | given)

    def put(self, bids: list[tuple[str, str]], asks: list[tuple[str, str]], category: str = "linear") -> None:
        """The market moves."""
        self.market.put(bids, asks, category)
        self.ledger.advance()

    def trade(self, price: str, category: str = "linear") -> None:
        """The last price moves."""
        self.market.trade(price, category)
        self.ledger.advance()

    @property
    def position(self) -> Position:
        return self.account.positions["linear", "BTCUSDT", 0]

    def fills(self, order: Order) -> list[tuple[str, str, bool]]:
        return [
            (plain(each.price), plain(each.qty), each.maker) for each in self.account.executions if each.order is order
        ]

    def waiting(self) -> list[Order]:
        return [order for order in self.account.open_orders() if order.status == UNTRIGGERED]

    def heard(self) -> list[str]:
        """What was told since, topics with what tells most of each."""
        heard = []
        for told in self.told:
            rows = told.rows
            match told.topic:
                case "order":
                    heard.append("order " + ",".join(row["orderStatus"] for row in rows))
                case "execution":
                    heard.append("execution " + ",".join(row["execQty"] for row in rows))
                case "position":
                    heard.append(f"position {rows[0]['side'] or 'none'} {rows[0]['size']}")
                case topic:
                    heard.append(topic)
        self.told.clear()
        return heard


def _naming(order: Order) -> dict[str, Any]:
    listing = order.listing
    return {"category": listing.category, "symbol": listing.symbol, "orderId": order.order_id}
