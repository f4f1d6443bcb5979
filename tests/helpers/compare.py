"""Consumers' books against the simulator's own, at the same update id."""

import asyncio
from decimal import Decimal

from feeder.client import BookView
from feeder.market.fixed_point import format_fixed
from feeder.market.update import pairs
from tests.helpers.processes import Addresses

Sides = list[list[tuple[Decimal, Decimal]]]


def decimals(view: BookView) -> Sides:
    """Both sides, best first."""
    levels = view.depth()
    return [
        [
            (Decimal(format_fixed(p, view.price_exponent)), Decimal(format_fixed(q, view.quantity_exponent)))
            for p, q in pairs(side)
        ]
        for side in (levels.bids, levels.asks)
    ]


async def differences(views: list[BookView], addresses: Addresses) -> list[str]:
    """What is not LIVE and equal, one text a book."""
    wrong = []
    for view in views:
        assert view.key is not None
        category, symbol = view.key
        for _ in range(5):  # a busy book's update may have left the simulator's memory before we ask
            update_id, ours = view.venue_update_id, decimals(view)
            status, book = await asyncio.to_thread(addresses.get, f"/simulator/books/{category}/{symbol}?u={update_id}")
            if status == 200:
                break
        if status != 200:
            wrong.append(f"{symbol}: {status} {book}")
        elif [[(Decimal(p), Decimal(q)) for p, q in book[side]] for side in ("bids", "asks")] != ours:
            wrong.append(f"{symbol}: differs at {update_id}")
        elif not view.is_live:
            wrong.append(f"{symbol}: {view.status.name}")
    return wrong
