"""What the market asks REST for, and what it makes of answers that lack what was asked for."""

from types import SimpleNamespace
from typing import Any, cast

import pytest

from feeder.bybit.rest.client import BybitClient
from feeder.bybit.rest.reply import Page, Reply
from feeder.bybit.rest.results.account import FeeRate
from feeder.bybit.system.market_cache import CacheLimits
from feeder.bybit.system.market_reads import MarketReads
from feeder.clock import ManualClock
from feeder.errors import InstrumentError, InvalidRequestError

OPTION = ("option", "BTC-27DEC26-100000-C")


class Client:
    """Answers each question with `answer`, or raises it."""

    def __init__(self) -> None:
        self.answer: Any = Page([])
        self.asked: list[dict[str, Any]] = []

    async def ask(self, category: str, *names: str, **wanted: Any) -> Any:
        self.asked.append(wanted)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(self.answer, b"", 0)

    tickers = instruments = fee_rates = order_book = recent_trades = ask


@pytest.fixture
def client() -> Client:
    return Client()


@pytest.fixture
def reads(client: Client) -> MarketReads:
    return MarketReads(cast("BybitClient", client), CacheLimits(), ManualClock())


@pytest.mark.parametrize("kind", ["ticker", "instrument", "fee_rate"])
@pytest.mark.parametrize("key", [OPTION, ("linear", "BTCUSDT")])
async def test_an_empty_answer_names_the_symbol(reads: MarketReads, kind: str, key: tuple[str, str]) -> None:
    with pytest.raises(InstrumentError, match=f"{key[0]} {key[1]}: the venue lists no such instrument"):
        await getattr(reads, kind)(*key)


async def test_another_symbols_entry_is_not_taken_for_it(client: Client, reads: MarketReads) -> None:
    client.answer = Page([SimpleNamespace(symbol="BTCUSDT2")])
    with pytest.raises(InstrumentError):
        await reads.ticker("linear", "BTCUSDT")


async def test_the_fees_of_an_option_are_those_of_its_coin(client: Client, reads: MarketReads) -> None:
    rate = FeeRate(base_coin="BTC")
    client.answer = Page([rate])
    assert (await reads.fee_rate(*OPTION)).value is rate
    assert client.asked == [{"symbol": None, "base_coin": "BTC"}]


@pytest.mark.parametrize("kind", ["ticker", "instrument", "fee_rate", "order_book", "trades"])
async def test_a_refusal_for_another_cause_is_told_as_it_is(client: Client, reads: MarketReads, kind: str) -> None:
    client.answer = InvalidRequestError("params error", 10001, "limit is invalid")
    with pytest.raises(InvalidRequestError) as raised:
        await getattr(reads, kind)("linear", "BTCUSDT")
    assert raised.value is client.answer
    client.answer = InvalidRequestError("params error", 10001, "params error: Symbol Is Invalid")
    with pytest.raises(InstrumentError, match="linear BTCUSDT"):
        await getattr(reads, kind)("linear", "BTCUSDT")


async def test_other_limits_hold_for_every_kind(reads: MarketReads) -> None:
    reads.configure(CacheLimits(1, 2, 3, 4, 5, 6, 7))
    kinds = ["instruments", "tickers", "books", "trades", "fee_rates"]
    assert [(reads._caches[kind].ttl_seconds, reads._caches[kind]._entries) for kind in kinds] == [
        (1, 6),
        (2, 6),
        (3, 6),
        (4, 6),
        (5, 6),
    ]
    assert reads.history._most == 7
