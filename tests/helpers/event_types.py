"""What mypy knows of a system's events by their names: checked by `make lint`, never run."""

from typing import Any, assert_type

from feeder.bybit import BookEvent, BybitSystem, ExecutionUpdate, Health, TickerUpdate
from feeder.bybit.streams.channel import Events, Latest
from feeder.bybit.system.events import EVENTS


def on_fill(fill: ExecutionUpdate) -> None:
    """What `fill` brings."""


async def on_ticker(ticker: TickerUpdate) -> None:
    """What `ticker` brings."""


def check(system: BybitSystem) -> None:
    """A mistake that mypy no longer finds is an ignore too many, and told."""
    system.on("fill", on_fill)
    system.on("ticker", on_ticker)
    system.on("order", lambda order: repr(order.order_link_id))
    system.on("fil", on_fill)  # type: ignore[call-overload]
    system.on("ticker", on_fill)  # type: ignore[call-overload]
    system.on("order", lambda order: repr(order.orderlinkid))  # type: ignore[call-overload]
    for event in EVENTS:
        system.on(event, print)
    assert_type(system.events("book"), Events[BookEvent])
    assert_type(system.events("health_check", capacity=1), Events[Health])
    assert_type(system.latest("ticker"), Latest[TickerUpdate])
    assert_type(system.latest("fill"), Latest[Any])
    system.events("books")  # type: ignore[call-overload]
