"""The feed's books after a load, read by an ordinary consumer that joined late, held against the venue's own.

`bench_books.py WHERE`: the feed's lines, port and partitions as JSON; `{"do": "compare", "books": ..}` gives the books.
"""

import asyncio
import json
import sys
import time
from decimal import Decimal
from typing import Any

from bench_child import reply
from bench_market import Level, Sides

from feeder.client import BookView, Subscriber
from feeder.market.fixed_point import format_fixed
from feeder.market.update import pairs
from feeder.multicast.plan import Line

_LIVE_SECONDS = 30.0
_LOOK_SECONDS = 0.05

Exact = list[list[tuple[Decimal, Decimal]]]


async def compare(where: dict[str, Any], truth: dict[str, Sides]) -> dict[str, Any]:
    """How many of the feed's books are LIVE and equal; up to ten that are not, by name."""
    lines = [Line(name, group, where["interface"]) for name, group in where["groups"].items()]
    wanted = [("linear", symbol) for symbol in truth]
    consumer = Subscriber(wanted, lines=lines, port=where["port"], partitions=where["partitions"])
    async with consumer:
        views = {symbol: consumer.book("linear", symbol) for symbol in truth}
        end = time.monotonic() + _LIVE_SECONDS
        while time.monotonic() < end and not all(view.is_live for view in views.values()):  # noqa: ASYNC110 - no event says "all"
            await asyncio.sleep(_LOOK_SECONDS)
        live = [symbol for symbol, view in views.items() if view.is_live]
        equal = {symbol for symbol in live if held(views[symbol]) == exact(truth[symbol])}
    wrong = [symbol for symbol in truth if symbol not in equal]
    return {"compared": len(truth), "live": len(live), "equal": len(equal), "wrong": wrong[:10]}


def held(view: BookView) -> Exact:
    """Both sides of a consumer's book, best first."""
    levels = view.depth()
    return [
        [
            (Decimal(format_fixed(price, view.price_exponent)), Decimal(format_fixed(size, view.quantity_exponent)))
            for price, size in pairs(side)
        ]
        for side in (levels.bids, levels.asks)
    ]


def exact(sides: Sides) -> Exact:
    """Both sides of the venue's book, best first."""

    def decimals(levels: list[Level]) -> list[tuple[Decimal, Decimal]]:
        return [(Decimal(price), Decimal(size)) for price, size in levels]

    return [decimals(sides[0]), decimals(sides[1])]


if __name__ == "__main__":
    for request in sys.stdin:
        reply(asyncio.run(compare(json.loads(sys.argv[1]), json.loads(request)["books"])))
