"""Draws panels of the Grafana dashboard as a picture, with what Prometheus answered to their own expressions."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from dashboard_series import Points, at_every, runs, written
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image

from tests.helpers.grafana import Panel

WIDTH, DPI = 8.8, 180  # inches, dots per inch: twice what a README has room for
_PANEL_HEIGHT = 1.75  # inches
_MOST_SERIES = 8  # in a legend
_ONE_LINE = 55  # letters that a panel's title and legend may have beside each other
_COLOURS = {"green": "#3d9a50", "yellow": "#e0b400", "orange": "#ec7f24", "red": "#d33a3f", "gray": "#8e8e8e"}
_PALETTE = ("#2f6fbf", "#ec7f24", "#3d9a50", "#a352cc", "#d33a3f", "#1f9e9e", "#c2528b", "#8a6d3b")
_STATES = {2: _COLOURS["red"], 1: _COLOURS["yellow"]}
_STYLE: dict[Any, Any] = {
    "font.size": 8.5,
    "axes.edgecolor": "#c4c8ce",
    "axes.titlesize": 9,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "grid.color": "#e6e8eb",
    "grid.linewidth": 0.6,
    "xtick.color": "#55595f",
    "ytick.color": "#55595f",
    "legend.fontsize": 7.5,
    "legend.frameon": False,
}


@dataclass(frozen=True, slots=True)
class Mark:
    """A moment, Unix seconds, and what began then."""

    time: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawn:
    """A panel and its series by name."""

    panel: Panel
    series: Sequence[tuple[str, Points]]


def draw(found: Sequence[Drawn], marks: Sequence[Mark], start: float, end: float, step: float, path: Path) -> None:
    """A PNG of these panels from `start` to `end`, Unix seconds: state timelines above, the others in two columns.

    `marks` are moments that every panel shows, and the timelines name.
    """
    wide = [each for each in found if each.panel.kind == "state-timeline"]
    narrow = [each for each in found if each.panel.kind != "state-timeline"]
    rows = math.ceil(len(narrow) / 2)
    heights = [sum(0.75 + 0.16 * len(each.series) for each in wide), _PANEL_HEIGHT * rows]
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(WIDTH, sum(heights)), dpi=DPI, layout="constrained", facecolor="white")
        parts: Any = figure.subfigures(2, 1, height_ratios=heights)
        above, below = parts
        for number, each in enumerate(wide, 1):
            _timeline(above.add_subplot(len(wide), 1, number), each, marks, start, step)
        for number, each in enumerate(narrow, 1):
            _graph(below.add_subplot(rows, 2, number), each, start, step)
        for axes in [*above.axes, *below.axes]:
            axes.set_xlim(0, (end - start) / 60)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
            axes.xaxis.set_major_formatter(FuncFormatter(lambda minutes, _: f"{minutes:g} min"))
            for mark in marks:
                axes.axvline(
                    (mark.time - start) / 60, color="#9aa0a8", linewidth=0.7, linestyle=(0, (2, 2)), zorder=0.6
                )
        canvas: Any = FigureCanvasAgg(figure)
        canvas.draw()
    # Lines and letters on white: a palette is enough, and a third of the bytes.
    picture = Image.frombuffer("RGBA", canvas.get_width_height(), canvas.buffer_rgba()).convert("RGB").quantize(96)
    picture.save(path, optimize=True, dpi=(DPI, DPI))


def _timeline(axes: Any, drawn: Drawn, marks: Sequence[Mark], start: float, step: float) -> None:
    """A line per series, the first to have a value first; coloured while it has one. The marks are named."""
    axes.set_title(drawn.panel.title, pad=18 if marks else None)
    series = sorted(drawn.series, key=lambda each: each[1][0][0])
    names = [name for name, _ in series]
    for mark in marks:
        at = ((mark.time - start) / 60, 1.0)
        axes.annotate(
            mark.text, at, (1, 3), xycoords=("data", "axes fraction"), textcoords="offset points", fontsize=7.5
        )
    for line, (_, points) in enumerate(series):
        for state, colour in _STATES.items():
            bars = [
                ((run[0][0] - start) / 60, (run[-1][0] - run[0][0] + step) / 60)
                for run in runs([point for point in points if point[1] == state], step)
            ]
            axes.broken_barh(bars, (line - 0.32, 0.64), facecolors=colour)
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    handles = [Patch(color=_STATES[2], label="fires"), Patch(color=_STATES[1], label="waits")]
    axes.legend(handles=handles, loc="lower right", bbox_to_anchor=(1, 1), ncols=2, borderaxespad=1.6)


def _graph(axes: Any, drawn: Drawn, start: float, step: float) -> None:
    defaults = drawn.panel.source["fieldConfig"]["defaults"]
    custom = defaults["custom"]
    axes.set_title(drawn.panel.title)
    stacked = custom["stacking"]["mode"] == "normal"
    greatest = {name: max(value for _, value in points) for name, points in drawn.series}
    shown = sorted(greatest, key=lambda name: -greatest[name])[:_MOST_SERIES]
    series = [(name, points) for name, points in drawn.series if name in shown and (greatest[name] or not stacked)]
    colours = [_colour(drawn.panel, name, number) for number, (name, _) in enumerate(series)]
    if stacked:
        times = sorted({time for _, points in series for time, _ in points})
        values = [at_every(times, points) for _, points in series]
        axes.stackplot(_minutes(times, start), values, colors=colours, alpha=0.75, step="post", linewidth=0)
    else:
        for (_, points), colour in zip(series, colours, strict=True):
            for run in runs(points, step):
                axes.plot(_minutes([t for t, _ in run], start), [v for _, v in run], color=colour, linewidth=1.2)
    if custom.get("thresholdsStyle", {}).get("mode") == "line":
        axes.axhline(defaults["thresholds"]["steps"][-1]["value"], color=_COLOURS["red"], linewidth=0.8, linestyle=":")
    if custom["scaleDistribution"]["type"] == "log":
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(numticks=6))
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        if "min" in defaults:
            axes.set_ylim(bottom=defaults["min"])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: written(value, drawn.panel.unit)))
    handles = [Line2D([], [], color=c, linewidth=2.4, label=n) for (n, _), c in zip(series, colours, strict=True)]
    corner = "right"
    if len(drawn.panel.title) + sum(len(name) + 5 for name, _ in series) > _ONE_LINE:
        axes.set_title(drawn.panel.title, pad=18)
        corner = "left"
    at = (0 if corner == "left" else 1, 1)
    spacing = {"borderaxespad": 0.2, "columnspacing": 0.8, "handlelength": 0.8}
    axes.legend(handles=handles, loc=f"lower {corner}", bbox_to_anchor=at, ncols=4, **spacing)


def _minutes(times: Sequence[float], start: float) -> list[float]:
    return [(time - start) / 60 for time in times]


def _colour(panel: Panel, name: str, number: int) -> str:
    """As the panel says, or the next of the palette."""
    for override in panel.source["fieldConfig"]["overrides"]:
        if override["matcher"]["options"] == name:
            return _COLOURS[override["properties"][0]["value"]["fixedColor"]]
    return _PALETTE[number % len(_PALETTE)]
