"""How long the venue lets a signed connection live without a sign of life. No sockets here.

Source: Bybit v5, "Connect". How long it waits for a log-in is not documented.
"""

import re
from urllib.parse import parse_qs

LOGIN_SECONDS = 10.0
SCAN_SECONDS = 30.0
"""The venue looks for silent connections only so often: none is cut at its exact time."""

_USUAL_SECONDS = 600.0
_LEAST_SECONDS, _MOST_SECONDS = 30.0, 600.0
_SPAN = re.compile(r"([0-9]{1,4})(s|m)", re.ASCII)


class Lifetime:
    """Of one connection, which began `now` (monotonic seconds) with this query: `max_active_time=1m`.

    A time below 30 s or above 10 minutes is set to these; one that cannot be read is as if it were not there.
    """

    def __init__(self, now: float, query: str) -> None:
        self.logged_in = False
        self._begun = self._since = now
        self._allowed = _allowed_seconds(query)

    def renew(self, now: float) -> None:
        """Something was sent: data, or the answer to a ping."""
        self._since = now

    def is_over(self, now: float, *, scanning: bool) -> bool:
        """Whether it is to be cut; `scanning` says that silent connections are looked for now."""
        if not self.logged_in:
            return now - self._begun >= LOGIN_SECONDS
        return scanning and now - self._since >= self._allowed


def _allowed_seconds(query: str) -> float:
    given = parse_qs(query)
    text = (given.get("max_active_time") or given.get("max_alive_time") or [""])[0]  # its name, and its former one
    span = _SPAN.fullmatch(text)
    if span is None:
        return _USUAL_SECONDS
    seconds = int(span[1]) * (60.0 if span[2] == "m" else 1.0)
    return min(max(seconds, _LEAST_SECONDS), _MOST_SECONDS)
