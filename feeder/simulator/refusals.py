"""What the venue says when it refuses a request, whichever endpoint was asked.

Source: Bybit v5, error page and rate-limit page; the texts as users of the venue quote them.
"""

from aiohttp import web

from feeder.clock import MILLISECOND_NS, Clock
from feeder.simulator.rest_reply import PARAMETER_ERROR, Refused, envelope

TIME_WINDOW = 10002
UNKNOWN_KEY = 10003
SIGNATURE = 10004
PERMISSION = 10005
TOO_MANY = 10006
ADDRESS = 10010
EXPIRED = 33004

_TEXTS = {
    10000: "Server Timeout",
    PARAMETER_ERROR: "Request parameter error.",
    UNKNOWN_KEY: "API key is invalid.",
    SIGNATURE: "Error sign, please check your signature generation algorithm.",
    PERMISSION: "Permission denied, please check your API key permissions.",
    TOO_MANY: "Too many visits. Exceeded the API Rate Limit.",
    10008: "User has been banned.",
    10009: "IP has been banned.",
    ADDRESS: "Unmatched IP, please check your API key's bound IP addresses.",
    10014: "Invalid duplicate request.",
    10016: "Internal System Error.",
    10017: "Route not found.",
    10019: "ws trade service is restarting",
    10027: "Transactions are banned.",
    10403: "Exceed IP rate limit.",
    10429: "System level frequency protection",
    EXPIRED: "Your api key has expired.",
}


def refused(code: int) -> Refused:
    """With the venue's own text, or none where it is not known."""
    return Refused(code, _TEXTS.get(code, ""))


def outside_window(timestamp: str, server_ms: int, recv_window: str) -> Refused:
    """The request's time is too old, or too far ahead; the text names both clocks."""
    times = f"req_timestamp[{timestamp}],server_timestamp[{server_ms}],recv_window[{recv_window}]"
    text = f"invalid request, please check your server timestamp or recv_window param. {times}"
    return Refused(TIME_WINDOW, text)


def refusal(why: Refused, clock: Clock, headers: dict[str, str] | None = None) -> web.Response:
    """The reply to a request that is refused: HTTP 200, and the venue's envelope."""
    return web.json_response(envelope(why, clock.wall_ns() // MILLISECOND_NS), headers=headers)
