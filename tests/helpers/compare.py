"""Consumers' books against the simulator's own, at the same update id."""

import asyncio
from decimal import Decimal

from feeder.client import BookView, ViewStatus
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


async def differences(views: list[BookView], addresses: Addresses, *, within: float = 5) -> list[str]:
    """What is not LIVE and equal, one text a book. A book in doubt has `within` seconds to be LIVE again first.

    A hole is noticed some time after the packet is gone, so all books may look LIVE just before one: that is no
    difference. A LIVE book that holds something else is, whenever it is seen.
    """
    wrong = []
    clock = asyncio.get_running_loop()
    end = clock.time() + within
    for view in views:
        assert view.key is not None
        category, symbol = view.key
        while not view.is_live and clock.time() < end:  # noqa: ASYNC110 - views tell nobody that waits
            await asyncio.sleep(0.01)
        for _ in range(5):  # a busy book's update may have left the simulator's memory before we ask
            update_id, ours, state = view.venue_update_id, decimals(view), view.status
            status, book = await asyncio.to_thread(addresses.get, f"/simulator/books/{category}/{symbol}?u={update_id}")
            if status == 200:
                break
        if status != 200:
            wrong.append(f"{symbol}: {status} {book}")
        elif [[(Decimal(p), Decimal(q)) for p, q in book[side]] for side in ("bids", "asks")] != ours:
            wrong.append(f"{symbol}: differs at {update_id}")
        elif state is not ViewStatus.LIVE:
            wrong.append(f"{symbol}: {state.name}")
    return wrong
