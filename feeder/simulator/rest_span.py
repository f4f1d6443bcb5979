"""The span of time that a list of the past is asked for: at most seven days, the last seven unless it is told."""

from feeder.simulator import rest_parameters as read
from feeder.simulator.rest_reply import PARAMETER_ERROR, Parameters, Refused

_WEEK_MS = 7 * 86_400_000


def span(given: Parameters, now_ms: int) -> tuple[int, int]:
    """startTime and endTime, ms since the epoch."""
    start, end = read.whole(given, "startTime"), read.whole(given, "endTime")
    if start is None:
        end = now_ms if end is None else end
        return end - _WEEK_MS, end
    end = start + _WEEK_MS if end is None else end
    if not 0 <= end - start <= _WEEK_MS:
        raise Refused(PARAMETER_ERROR, "The time range between startTime and endTime cannot exceed 7 days")
    return start, end
