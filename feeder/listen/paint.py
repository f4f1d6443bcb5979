"""Lines of toned text: what every screen is painted of, and what a table without a terminal is printed from."""

import enum
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple


class Tone(enum.Enum):
    """What a piece of text means; the screens choose the colours."""

    TEXT = enum.auto()
    DIM = enum.auto()
    STRONG = enum.auto()
    BID = enum.auto()
    ASK = enum.auto()
    GOOD = enum.auto()
    WARN = enum.auto()
    BAD = enum.auto()


class Ground(enum.Enum):
    """What a whole line means."""

    NONE = enum.auto()
    HEAD = enum.auto()
    CURSOR = enum.auto()
    WARN = enum.auto()
    BAD = enum.auto()


class Span(NamedTuple):
    """Text of one tone."""

    text: str
    tone: Tone = Tone.TEXT


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a screen."""

    spans: tuple[Span, ...] = ()
    ground: Ground = Ground.NONE

    @property
    def text(self) -> str:
        """Without tones, and without blanks at the end."""
        return "".join(span.text for span in self.spans).rstrip()


def line(*spans: Span, ground: Ground = Ground.NONE) -> Line:
    """A line of these spans."""
    return Line(spans, ground)


def spread_out(left: Iterable[Span], right: Iterable[Iterable[Span]], width: int, ground: Ground = Ground.NONE) -> Line:
    """`left` at the left edge, `right` at the right one; of `right` whole groups go until it fits, the first first."""
    left, groups = tuple(left), [tuple(group) for group in right]
    used = sum(len(span.text) for span in left)
    while groups and used + sum(len(span.text) for group in groups for span in group) >= width:
        del groups[0]
    if not groups:
        return Line(left, ground)
    spans = [span for group in groups for span in group]
    return Line((*left, Span(" " * (width - used - sum(len(span.text) for span in spans))), *spans), ground)


def wrapped(text: str, width: int, tone: Tone = Tone.TEXT) -> list[Line]:
    """A paragraph in as many lines as it needs; lines after the first are indented a little more."""
    indent = " " * (len(text) - len(text.lstrip()) + 1)
    texts = textwrap.wrap(
        text.lstrip(),
        max(20, width - 1),
        initial_indent=indent,
        subsequent_indent=indent + "  ",
        break_on_hyphens=False,
    )
    return [line(Span(part, tone)) for part in texts]


def explained(name: Span, meaning: str, indent: int, width: int) -> list[Line]:
    """A name and what it means, wrapped from column `indent` on; below the name where little room is beside it."""
    room = width - 1 - indent
    if room < 24:
        return [line(name), *wrapped(f"   {meaning}", width, Tone.DIM)]
    texts = textwrap.wrap(meaning, room, break_on_hyphens=False)
    lines = [line(name, Span(" " * (indent - len(name.text)) + texts[0], Tone.DIM))]
    return lines + [line(Span(" " * indent + text, Tone.DIM)) for text in texts[1:]]


def as_text(lines: Iterable[Line]) -> str:
    """The lines for a terminal or file without colours; each ends with a line feed."""
    return "".join(line.text + "\n" for line in lines)
