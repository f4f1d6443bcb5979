"""The painters on a terminal: a screen each for the list, a ladder, statistics and help. Needs textual.

Screens are painted on a timer from what the board says, never per event, and only lines that changed are drawn.
"""

from collections.abc import Iterable, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Region
from textual.screen import Screen
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from feeder.listen.board import NOT_PUBLISHED, Board
from feeder.listen.book_list import BookList, Order
from feeder.listen.ladder import Ladder
from feeder.listen.paint import Ground, Line, Span, Tone, explained, line, spread_out, wrapped
from feeder.listen.stats import StatsMeter, column_meanings, paint_stats
from feeder.listen.status import MEANINGS, TONES
from feeder.market.instrument import InstrumentKey

_TICK_SECONDS = 0.1

_KEYS = {
    "up down, page-up page-down": "move; home and end to the ends",
    "Enter": "the ladder of the book under the cursor",
    "n r a t": "sort by symbol, updates per second, age, status; the same again turns the order round",
    "/": "filter by a part of category:SYMBOL",
    "Esc b": "back; in the list, show all again",
    "s": "channels, lines and books in numbers",
    "q Ctrl-C": "quit",
}
_COLUMNS = {
    "▲ ▼": "sorted by this column, the least or the greatest first; of statuses the worst is the greatest",
    "upd/s": "updates of the book per second, over the last two seconds",
    "age": "since the book last changed",
    "mid": "half of best bid and best ask together; no price of a level",
    "exchange": "from the exchange's matching engine to the feeder; their clocks' difference is part of it",
    "feed": "from the feeder's receipt to this listener, median",
    "A B": "whether each line has brought packets in the last second",
}

_TONES = {
    Tone.TEXT: Style(color="#d0d7de"),
    Tone.DIM: Style(color="#7d8590"),
    Tone.STRONG: Style(color="#ffffff", bold=True),
    Tone.BID: Style(color="#3fb950"),
    Tone.ASK: Style(color="#ff7b72"),
    Tone.GOOD: Style(color="#3fb950", bold=True),
    Tone.WARN: Style(color="#e3b341", bold=True),
    Tone.BAD: Style(color="#ff7b72", bold=True),
}
_GROUNDS = {
    Ground.NONE: Style(bgcolor="#0d1117"),
    Ground.HEAD: Style(bgcolor="#21262d"),
    Ground.CURSOR: Style(bgcolor="#1f3a5f"),
    Ground.WARN: Style(color="#000000", bgcolor="#e3b341"),
    Ground.BAD: Style(bgcolor="#da3633"),
}


class Canvas(Widget):
    """Shows lines."""

    def __init__(self) -> None:
        super().__init__()
        self._lines: list[Line] = []

    def show(self, lines: list[Line]) -> None:
        """Draw what is different from the last time."""
        before, self._lines = self._lines, lines
        blank = Line()
        changed = [
            Region(0, y, self.size.width, 1)
            for y in range(max(len(before), len(lines)))
            if (before[y] if y < len(before) else blank) != (lines[y] if y < len(lines) else blank)
        ]
        if changed:
            self.refresh(*changed)

    def render_line(self, y: int) -> Strip:
        """One line of the screen, by textual's own call."""
        shown = self._lines[y] if y < len(self._lines) else Line()
        ground = _GROUNDS[shown.ground]
        loud = shown.ground is Ground.WARN  # dark on yellow: no tone is read on it
        strip = Strip([Segment(s.text, ground if loud else _TONES[s.tone] + ground) for s in shown.spans])
        return strip.adjust_cell_length(self.size.width, ground)


class Page(Screen[None]):
    """A canvas over the whole screen, painted every `period` seconds while it is in front."""

    period: ClassVar[float] = 0.2
    keys: str = ""
    AUTO_FOCUS = ""  # keys go to the page; the filter asks for them when it is opened
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,b", "app.leave"),
        Binding("q", "app.quit"),
        Binding("s", "app.stats"),
        Binding("question_mark", "app.help"),
    ]

    def __init__(self, board: Board) -> None:
        super().__init__()
        self.board = board
        self.canvas = Canvas()
        self._painted_at: float | None = None

    def compose(self) -> ComposeResult:
        """The canvas."""
        yield self.canvas

    def on_resize(self, _event: events.Resize) -> None:
        """Another size: paint at once."""
        self.call_after_refresh(self.repaint)

    def on_screen_resume(self) -> None:
        """In front again."""
        self.call_after_refresh(self.repaint)

    def on_tick(self) -> None:
        """Paint if it is time."""
        now = self.board.clock.monotonic()
        if self._painted_at is None or now - self._painted_at >= self.period - _TICK_SECONDS / 2:
            self.repaint()

    def repaint(self) -> None:
        """Paint now."""
        width, height = self.canvas.size
        if width and height:
            self._painted_at = self.board.clock.monotonic()
            lines = self.lines(width, height - 1)[: height - 1]
            lines += [line()] * (height - 1 - len(lines))
            self.canvas.show([*lines, self.foot(width)])

    def lines(self, width: int, height: int) -> list[Line]:
        """What is to be seen above the last line."""
        raise NotImplementedError

    def foot(self, width: int) -> Line:
        """The last line: keys; where not all fit, the first and the last ones."""
        keys = self.keys.split("  ")
        while len("  ".join(keys)) + 1 > width and len(keys) > 2:
            del keys[-3 if len(keys) > 3 else 0]
        return spread_out(
            [Span(f" {'  '.join(keys)}", Tone.DIM)], [[Span("feeder-listen ", Tone.DIM)]], width, Ground.HEAD
        )


class ListPage(Page):
    """All books."""

    keys = "Enter ladder  / filter  n r a t sort  s stats  ? help  q quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)"),
        Binding("down,j", "move(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown,space", "page(1)"),
        Binding("home,g", "move(-1000000)"),
        Binding("end,G", "move(1000000)"),
        Binding("enter", "open"),
        Binding("slash", "filter"),
        Binding("escape,b", "clear"),
        *(Binding(key, f"sort('{order.name}')") for key, order in zip("nrat", Order, strict=True)),
    ]

    def __init__(self, board: Board, levels: int | None = None) -> None:
        super().__init__(board)
        self.books = BookList(board)
        self._levels = levels
        self._input = Input(placeholder="part of category:SYMBOL; Enter keeps it, Esc shows all", compact=True)

    def compose(self) -> ComposeResult:
        """The canvas, and the filter over its last line."""
        yield self.canvas
        self._input.display = False
        yield self._input

    def lines(self, width: int, height: int) -> list[Line]:
        """The list."""
        return self.books.paint(width, height)

    def action_move(self, lines: int) -> None:
        """Move the cursor."""
        self.books.move(lines)
        self.repaint()

    def action_page(self, pages: int) -> None:
        """Move the cursor by screens."""
        self.books.move_page(pages)
        self.repaint()

    def action_sort(self, order: str) -> None:
        """Sort, or turn the order round."""
        self.books.sort(Order[order])
        self.repaint()

    def action_open(self) -> None:
        """Open the ladder of the book under the cursor."""
        if self.books.selected is not None:
            self.app.push_screen(LadderPage(self.board, self.books.selected, self._levels))

    def action_filter(self) -> None:
        """Ask for a filter."""
        self.keys = "Enter keep the filter  Esc show all"
        self._input.display = True
        self._input.value = self.books.filter
        self._input.focus()

    def action_clear(self) -> None:
        """Show all books."""
        self._input.value = ""
        self.books.set_filter("")
        self._leave_input()

    def on_input_changed(self, event: Input.Changed) -> None:
        """Filter while it is typed."""
        self.books.set_filter(event.value.strip())
        self.repaint()

    def on_input_submitted(self) -> None:
        """Keep the filter."""
        self._leave_input()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor there; twice opens the ladder."""
        if event.widget is self.canvas:
            self.books.select_row(event.y)
            self.repaint()
            if event.chain == 2:
                self.action_open()

    def on_mouse_scroll_down(self) -> None:
        """Move the cursor."""
        self.action_move(3)

    def on_mouse_scroll_up(self) -> None:
        """Move the cursor."""
        self.action_move(-3)

    def _leave_input(self) -> None:
        self.keys = type(self).keys
        self._input.display = False
        self.set_focus(None)
        self.repaint()


class LadderPage(Page):
    """One book."""

    period = 0.1
    keys = "Esc back  s stats  ? help  q quit"

    def __init__(self, board: Board, key: InstrumentKey, levels: int | None = None) -> None:
        super().__init__(board)
        self._ladder = Ladder(board, key, levels)

    def lines(self, width: int, height: int) -> list[Line]:
        """The ladder."""
        return self._ladder.paint(width, height)


class TextPage(Page):
    """Lines that may be longer than the screen."""

    keys = "up down scroll  Esc back  ? help  q quit"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "scroll(-1)"),
        Binding("down,j", "scroll(1)"),
        Binding("pageup", "page(-1)"),
        Binding("pagedown,space", "page(1)"),
    ]

    def __init__(self, board: Board) -> None:
        super().__init__(board)
        self._top = 0

    def lines(self, width: int, height: int) -> list[Line]:
        """The part that is scrolled to."""
        whole = self.whole(width)
        self._top = max(0, min(self._top, len(whole) - height))
        return whole[self._top : self._top + height]

    def whole(self, width: int) -> list[Line]:
        """All of it."""
        raise NotImplementedError

    def action_page(self, pages: int) -> None:
        """Scroll by screens; a line of the one before stays."""
        self.action_scroll(pages * max(1, self.canvas.size.height - 2))

    def action_scroll(self, lines: int) -> None:
        """Scroll."""
        self._top += lines
        self.repaint()


class StatsPage(TextPage):
    """Channels, lines, books, and what the libraries warned of."""

    period = 0.5

    def __init__(self, board: Board, meter: StatsMeter, warnings: Sequence[str]) -> None:
        super().__init__(board)
        self._meter = meter
        self._warnings = warnings

    def whole(self, width: int) -> list[Line]:
        """The tables."""
        warnings = [part for text in self._warnings for part in wrapped(text, width, Tone.WARN)]
        return [*paint_stats(self._meter, width), *([line()] if warnings else []), *warnings]


class HelpPage(TextPage):
    """Keys, statuses and columns."""

    def whole(self, width: int) -> list[Line]:
        """The text."""
        statuses = [
            (Span(f"  {status.value.replace('_', ' ')}", TONES[status]), text) for status, text in MEANINGS.items()
        ]
        statuses.append((Span(f"  {NOT_PUBLISHED}", Tone.WARN), "the feeder has no such instrument"))
        parts: dict[str, list[tuple[Span, str]]] = {
            "keys": _entries(_KEYS.items()),
            "statuses": statuses,
            "columns of the list, and above the ladder": _entries(_COLUMNS.items()),
            "columns of the statistics; counts are since this listener started": _entries(column_meanings()),
        }
        lines = []
        for title, entries in parts.items():
            lines += [line(), *wrapped(title, width, Tone.STRONG)]
            indent = max(len(name.text) for name, _ in entries) + 2
            lines += [part for name, text in entries for part in explained(name, text, indent, width)]
        return lines


def _entries(texts: Iterable[tuple[str, str]]) -> list[tuple[Span, str]]:
    return [(Span(f"  {name}"), text) for name, text in texts]


class ListenApp(App[None]):
    """The listener's screens over one board. `key`: that book's ladder instead of the list."""

    CSS = """
    Screen { background: #0d1117; layout: vertical; overflow: hidden; }
    Canvas { width: 1fr; height: 1fr; }
    Input { dock: bottom; width: 1fr; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", priority=True)]

    def __init__(
        self, board: Board, warnings: Sequence[str], key: InstrumentKey | None = None, levels: int | None = None
    ) -> None:
        super().__init__()
        self._board = board
        self._meter = StatsMeter(board)
        self._warnings = warnings
        self._key = key
        self._levels = levels

    def on_mount(self) -> None:
        """Show the first screen and start the clock."""
        if self._key is None:
            self.push_screen(ListPage(self._board, self._levels))
        else:
            self.push_screen(LadderPage(self._board, self._key, self._levels))
        self.set_interval(_TICK_SECONDS, self._on_tick)

    def _on_tick(self) -> None:
        self._board.sample()
        self._meter.sample()
        if isinstance(self.screen, Page):
            self.screen.on_tick()

    def action_leave(self) -> None:
        """The screen before; the first one stays."""
        if len(self.screen_stack) > 2:
            self.pop_screen()

    def action_stats(self) -> None:
        """Statistics."""
        if not isinstance(self.screen, StatsPage):
            self.push_screen(StatsPage(self._board, self._meter, self._warnings))

    def action_help(self) -> None:
        """Keys and statuses."""
        if not isinstance(self.screen, HelpPage):
            self.push_screen(HelpPage(self._board))
