"""What is wrong with a system, found by comparing what it is with what it was and with the limits. No I/O."""

from collections.abc import Iterator

from ..streams.topic_stream import StreamHealth
from .market import MarketStatus
from .settings_sections import HealthSettings
from .system_status import Finding, RestStatus, SystemStatus

KINDS = {
    "stream_down": "a WebSocket is not connected, signed in or subscribed",
    "stream_silent": "nothing came on a connection for stale_seconds",
    "topic_refused": "the venue does not give a topic",
    "rest_down": "REST did not answer when it was asked now",
    "rest_errors": "requests had no answer of the API since the last look",
    "rest_barred": "the venue barred this address since the last look",
    "clock_offset": "this machine's clock is wrong",
    "account_not_reconciled": "orders, positions and coins may not be as the venue has them",
    "quality": "a symbol's data cannot be relied on",
    "settings_refused": "the settings were changed, and cannot be used",
    "restart_needed": "the settings were changed, and some of them take effect at the next start only",
    "loop_late": "the event loop stood still since the last look: a callback blocks it",
}
"""Each kind of finding."""


LOOP_LATE_SECONDS = 0.5


def findings(now: SystemStatus, before: SystemStatus | None, limits: HealthSettings) -> list[Finding]:
    """What is wrong now; `before` is how it was at the last look."""
    found: list[Finding] = []
    for name, stream in now.streams.items():
        found += _of_stream(name, stream, limits)
    if now.order_entry is not None:
        entry = now.order_entry
        if entry.state != "ready":
            found.append(Finding("stream_down", "order entry", entry.state))
        elif silence := _silence(entry.silent_seconds, limits):
            found.append(Finding("stream_silent", "order entry", silence))
    found += _of_rest(now.rest, None if before is None else before.rest, limits)
    if now.account is not None and not now.account.reconciled:
        found.append(Finding("account_not_reconciled", "account", now.account.reason))
    if now.market is not None:
        found += _of_market(now.market, limits)
    if now.settings_error is not None:
        found.append(Finding("settings_refused", "settings", now.settings_error))
    if now.restart_needed:
        text = f"changed, and used after a restart only: {', '.join(now.restart_needed)}"
        found.append(Finding("restart_needed", "settings", text))
    if now.loop_late_seconds > LOOP_LATE_SECONDS:
        text = (
            f"stood still for {now.loop_late_seconds:.1f} s; let no callback block (asyncio.sleep, asyncio.to_thread)"
        )
        found.append(Finding("loop_late", "event loop", text))
    return found


def _of_stream(name: str, stream: StreamHealth, limits: HealthSettings) -> Iterator[Finding]:
    for topic in stream.refused:
        yield Finding("topic_refused", name, f"{topic}: the venue does not give it")
    if stream.state != "live":
        yield Finding("stream_down", name, f"{stream.state}, {stream.active} of {stream.topics} topics")
    elif silence := _silence(stream.silent_seconds, limits):
        yield Finding("stream_silent", name, silence)


def _of_market(market: MarketStatus, limits: HealthSettings) -> Iterator[Finding]:
    if market.connected < market.connections:
        text = f"{market.connected} of {market.connections} connections of books and trades are up"
        yield Finding("stream_down", "market", text)
    for category, stream in market.tickers.items():
        yield from _of_stream(f"{category} tickers", stream, limits)
    for symbol in market.symbols:
        if symbol.score < limits.quality:
            text = f"{symbol.score:g} of 100: {symbol.weakness}"
            yield Finding("quality", f"{symbol.category}:{symbol.symbol}", text)


def _silence(seconds: float | None, limits: HealthSettings) -> str | None:
    return f"nothing came for {seconds:.0f} s" if seconds is not None and seconds > limits.stale_seconds else None


def _of_rest(now: RestStatus, before: RestStatus | None, limits: HealthSettings) -> Iterator[Finding]:
    if now.error is not None:
        yield Finding("rest_down", "rest", now.error)
    failures = now.failures - (before.failures if before else 0)
    if failures:
        requests = now.requests - (before.requests if before else 0)
        yield Finding("rest_errors", "rest", f"{failures} of {requests} requests had no answer of the API")
    if now.barred > (before.barred if before else 0):
        yield Finding("rest_barred", "rest", "HTTP 403: nothing is sent for 10 minutes; send less")
    if abs(now.clock_offset_seconds) > limits.clock_offset_seconds:
        text = f"the venue's is {now.clock_offset_seconds:+.1f} s from it; synchronise it (NTP)"
        yield Finding("clock_offset", "rest", text)
