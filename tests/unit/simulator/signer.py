"""Signs requests as the venue's guidance says: for tests that ask the simulator's REST over HTTP."""

import hashlib
import hmac
import time
from typing import Any

from feeder.simulator.keys import DEFAULT_KEY, ApiKey


def signed(
    payload: str = "", key: ApiKey = DEFAULT_KEY, at_ms: int | None = None, window: str = "5000"
) -> dict[str, Any]:
    """The headers of a request whose query, or body, is `payload`; of now, unless `at_ms` says when."""
    timestamp = str(time.time_ns() // 1_000_000 if at_ms is None else at_ms)
    origin = timestamp + key.key + window + payload
    return {
        "X-BAPI-API-KEY": key.key,
        "X-BAPI-TIMESTAMP": timestamp,
        "X-BAPI-RECV-WINDOW": window,
        "X-BAPI-SIGN": hmac.new(key.secret.encode(), origin.encode(), hashlib.sha256).hexdigest(),
        "Content-Type": "application/json",
    }


def login(key: ApiKey = DEFAULT_KEY, expires: int | str | None = None) -> list[Any]:
    """The args of an auth on a WebSocket; it holds for 10 s from now, unless `expires` (ms) says until when."""
    until: int | str = time.time_ns() // 1_000_000 + 10_000 if expires is None else expires
    origin = f"GET/realtime{until}"
    return [key.key, until, hmac.new(key.secret.encode(), origin.encode(), hashlib.sha256).hexdigest()]
