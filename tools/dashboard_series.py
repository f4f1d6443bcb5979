"""What is drawn of the dashboard: which panels, unbroken runs of points, and numbers as Grafana's units write them."""

import math
from collections.abc import Sequence

Points = Sequence[tuple[float, float]]
"""Times and values, in order."""

PANELS = (
    "Alerts",
    "Books by status",
    "Received",
    "Age of the data",
    "Socket in to packet out",
    "Stages, p99",
    "Folded",
    "Packets",
    "Asked for again",
)
"""The titles of the panels that are drawn, in order."""

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_THOUSANDS = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))
_SUFFIXES = {"ops": "/s", "pps": "/s", "opm": "/min", "bps": "bit/s", "bytes": "B"}
_PREFIXED = {"bps", "bytes"}  # 3 MB, but 3M/s


def runs(points: Points, step: float) -> list[Points]:
    """The points in runs without a hole: Prometheus leaves out the times at which a series had no value."""
    found: list[list[tuple[float, float]]] = []
    for point in points:
        if not found or point[0] - found[-1][-1][0] > 1.5 * step:
            found.append([])
        found[-1].append(point)
    return list(found)


def at_every(times: Sequence[float], points: Points) -> list[float]:
    """The values at these times, 0 where there is none: what is stacked needs a value everywhere."""
    known = {round(time, 3): value for time, value in points}
    return [known.get(round(time, 3), 0.0) for time in times]


def written(value: float, unit: str) -> str:
    """A value with a unit of Grafana's: none, s, percentunit, bytes, bps, or operations per second or minute."""
    if not math.isfinite(value):
        return ""
    if value == 0:
        return "0"
    if unit == "percentunit":
        return f"{value * 100:.3g} %"
    if unit == "s":
        return _seconds(value)
    size, prefix = next((each for each in _THOUSANDS if abs(value) >= each[0]), _THOUSANDS[-1])
    return f"{value / size:.3g}{' ' if unit in _PREFIXED else ''}{prefix}{_SUFFIXES.get(unit, '')}"


def _seconds(value: float) -> str:
    size, name = next((each for each in _SECONDS if abs(value) >= each[0] * 0.9999), _SECONDS[-1])
    return f"{value / size:.3g} {name}"
