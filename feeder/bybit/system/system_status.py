"""What a system is at a moment: plain data, ready for JSON, with no key and no secret in it."""

from typing import cast

import msgspec

from ..rest.client import BybitClient
from ..rest.pool import SessionPool
from ..streams.account import AccountHealth
from ..streams.order_entry import EntryHealth
from ..streams.topic_stream import StreamHealth
from .market import MarketStatus


class RateUsage(msgspec.Struct, frozen=True):
    """Of `requests` in any `seconds`, so many are `used`; those that wait for their turn count as well."""

    used: int
    requests: int
    seconds: float


class RestStatus(msgspec.Struct, frozen=True):
    """What REST has done since the start: SessionPool's counters, and the limits of address and endpoints by name.

    `error` is what the last health check's question met with, None if it was answered. `clock_offset_seconds` is to be
    added to this machine's clock to have the venue's.
    """

    requests: int
    retries: int
    failures: int
    refused: int
    barred: int
    waits: int
    in_flight: int
    clock_offset_seconds: float
    error: str | None
    rates: dict[str, RateUsage]


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be: `kind` for programs, `where` it is, `text` for people."""

    kind: str
    where: str
    text: str


class Health(msgspec.Struct, frozen=True):
    """One look at the system, `time_ms` by this machine's clock; `healthy` when there are no findings."""

    time_ms: int
    healthy: bool
    findings: list[Finding]


class SystemStatus(msgspec.Struct, frozen=True):
    """The whole. `state`: new, starting, running, closing or closed. What is off is None, or not in its dict.

    `streams` by name: private, and the categories of the public ones in use. `restart_needed` names keys of the
    settings that changed and wait for a restart, `settings_error` is why the last reading of them was refused.
    `environment` is the host of base_url where the settings have one. `loop_late_seconds` is how long the event loop
    stood still at most since the last health check.
    """

    state: str
    environment: str
    uptime_seconds: float
    rest: RestStatus
    streams: dict[str, StreamHealth]
    order_entry: EntryHealth | None
    account: AccountHealth | None
    market: MarketStatus | None
    restart_needed: list[str]
    settings_error: str | None
    loop_late_seconds: float
    health: Health | None


def rest_status(client: BybitClient, pool: SessionPool, error: str | None) -> RestStatus:
    """What a client's pool has done; `error` is what the last question met with."""
    now = pool.clock.monotonic()
    used, limit = pool.address_usage()
    rates = {"address": RateUsage(used, *limit), "public": RateUsage(pool.public.used(now), *pool.public.limit)}
    for key, window in pool.windows:
        # As BybitClient makes them: address, API key, group of endpoints, category.
        _, _, group, category = cast("tuple[str, str, str, str | None]", key)
        rates[f"{group} {category}" if category else group] = RateUsage(window.used(now), *window.limit)
    counters = pool.counters
    return RestStatus(
        requests=counters.requests,
        retries=counters.retries,
        failures=counters.failures,
        refused=counters.refused,
        barred=counters.barred,
        waits=counters.waits,
        in_flight=client.in_flight,
        clock_offset_seconds=pool.venue_clock(client.base_url).offset_seconds,
        error=error,
        rates=rates,
    )
