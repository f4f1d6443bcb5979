"""The list of all books: one line each, sorted and filtered, painted only as far as it is seen."""

import enum
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from feeder.client.book_view import BookView
from feeder.client.status import ViewStatus
from feeder.listen import hints
from feeder.listen.board import NOT_PUBLISHED, Board, status_text
from feeder.listen.decimals import DecimalColumn, fixed
from feeder.listen.paint import Ground, Line, Span, Tone, line, spread_out, wrapped
from feeder.listen.status import SEVERITY, TONES
from feeder.market.instrument import InstrumentKey
from feeder.readable import NOTHING, age_text, rate_text

_SORT_SECONDS = 1.0  # how long an order stands, so that a list sorted by rate can be read
_GAP = "  "
_ESSENTIAL = 2  # the greatest rank of a column that stands as long as it fits without its comfort


class Order(enum.Enum):
    """What the list is sorted by; its value is the column's head."""

    NAME = "symbol"
    RATE = "upd/s"
    AGE = "age"
    STATUS = "status"

    @property
    def descends(self) -> bool:
        """Whether it shows the greatest first, unless turned round: the busiest, the oldest, the worst."""
        return self is not Order.NAME


class _Column(NamedTuple):
    head: str
    width: int
    left: bool  # alignment
    rank: int  # columns of a high rank go first when there is no room
    order: Order | None = None


class BookList:
    """What is shown of the board's books, and the line the cursor is on."""

    def __init__(self, board: Board) -> None:
        self.board = board
        self.filter = ""
        self.order = Order.NAME
        self.reverse = False
        self._chosen: InstrumentKey | None = None  # the cursor's book, once somebody moved it
        self._shown: list[InstrumentKey] = []
        self._sorted_at: float | None = None
        self._count = 0
        self._top = 0
        self._page = 1
        self._header = 2  # lines above the books, as painted last
        self._follow = False  # bring the cursor into view at the next painting
        self._symbol = 8
        self._bid = DecimalColumn(10)
        self._ask = DecimalColumn(10)
        self._spread_column = DecimalColumn(6)

    # What keys do ----------------------------------------------------------------------------------------------------

    def sort(self, order: Order) -> None:
        """Sort by another column; the same again turns the order round. The cursor goes to the first line."""
        self.reverse = order is self.order and not self.reverse
        self.order = order
        self._begin_again()

    def set_filter(self, text: str) -> None:
        """Show only the books whose `category:SYMBOL` contains `text`."""
        if text != self.filter:
            self.filter = text
            self._begin_again()

    @property
    def selected(self) -> InstrumentKey | None:
        """The book under the cursor: the first, until the cursor is moved; then it stays with its book."""
        if self._chosen in self._shown:
            return self._chosen
        return self._shown[0] if self._shown else None

    def move(self, lines: int) -> None:
        """Move the cursor."""
        selected = self.selected
        if selected is not None:
            at = self._shown.index(selected) + lines
            self._chosen = self._shown[min(max(at, 0), len(self._shown) - 1)]
            self._follow = True

    def move_page(self, pages: int) -> None:
        """Move the cursor by screens."""
        self.move(pages * self._page)

    def select_row(self, row: int) -> None:
        """Put the cursor on a line of the screen, if a book is there."""
        index = self._top + row - self._header
        if row >= self._header and index < len(self._shown):
            self._chosen = self._shown[index]

    def _begin_again(self) -> None:
        self._sorted_at = None
        self._chosen = None
        self._top = 0

    # Painting --------------------------------------------------------------------------------------------------------

    def paint(self, width: int, height: int) -> list[Line]:
        """The whole screen but its last line."""
        books = self.board.books()
        self._arrange(books)
        head = self._summary(books, width)
        self._header = len(head) + 1
        self._page = max(1, height - self._header)
        self._scroll()
        selected = self.selected
        shown = self._shown[self._top : self._top + self._page]
        cells = [self._cells(key, books[key]) for key in shown]
        columns, gap = self._columns(width, cells)
        lines = [*head, self._heads(columns, gap)]
        for key, texts in zip(shown, cells, strict=True):
            ground = Ground.CURSOR if key == selected else Ground.NONE
            lines.append(self._row(columns, gap, texts, books[key].status, ground))
        if not books or not self.board.heard():
            lines += [line(), *hints.listening(self.board, width)]
        elif not shown:
            lines.append(line(Span(f" no instrument contains {self.filter!r}; Esc shows all", Tone.DIM)))
        return lines[:height]

    def table(self) -> list[Line]:
        """All books, for a terminal without screens."""
        books = self.board.books()
        self._arrange(books)
        cells = [self._cells(key, books[key]) for key in self._shown]
        columns, gap = self._columns(1000, cells)
        columns = [column for column in columns if column.head != "upd/s"]  # nobody watched long enough
        rows = [
            self._row(columns, gap, texts, books[key].status, Ground.NONE)
            for key, texts in zip(self._shown, cells, strict=True)
        ]
        return [self._heads(columns, gap), *rows]

    def _arrange(self, books: dict[InstrumentKey, BookView]) -> None:
        now = self.board.clock.monotonic()
        if self._sorted_at is not None and now - self._sorted_at < _SORT_SECONDS and len(books) == self._count:
            return
        self._sorted_at = now
        self._count = len(books)
        wanted = self.filter.casefold()
        keys = sorted((k for k in books if wanted in f"{k[0]}:{k[1]}".casefold()), key=lambda key: (key[1], key[0]))
        rate = self.board.rate
        if self.order is Order.RATE:
            keys.sort(key=lambda key: -rate(books[key]))
        elif self.order is Order.AGE:
            keys.sort(key=lambda key: -(books[key].age_seconds or 0.0))
        elif self.order is Order.STATUS:
            keys.sort(key=lambda key: SEVERITY[books[key].status])
        if self.reverse:
            keys.reverse()
        self._shown = keys
        self._symbol = max([self._symbol, *(len(symbol) for _, symbol in keys)])

    def _scroll(self) -> None:
        selected = self.selected
        if self._follow and selected is not None:
            at = self._shown.index(selected)
            self._top = min(max(self._top, at - self._page + 1), at)
        self._follow = False
        self._top = max(0, min(self._top, len(self._shown) - self._page))

    def _columns(self, width: int, cells: list[dict[str, str]]) -> tuple[list[_Column], str]:
        """The columns that fit, widths as the numbers painted so far need them, and the gap between them."""
        # Without reasons, but each in full.
        told = max([11, *(len(_without_reason(row["status"])) for row in cells)])
        columns = [
            _Column("category", 8, True, 5),
            _Column("symbol", self._symbol, True, 0, Order.NAME),
            _Column("status", 20, True, 1, Order.STATUS),
            _Column("bid", self._bid.width, False, 2),
            _Column("ask", self._ask.width, False, 2),
            _Column("spread", self._spread_column.width, False, 6),
            _Column("upd/s", 6, False, 3, Order.RATE),
            _Column("age", 4, False, 4, Order.AGE),
            _Column("update id", 14, False, 7),
        ]
        while (over := _needed(columns, _GAP) - width) > 0:
            status = next(column for column in columns if column.head == "status")
            least = max(columns, key=lambda column: column.rank)
            if 0 < over <= status.width - told:
                columns[columns.index(status)] = status._replace(width=told)
            elif least.rank > _ESSENTIAL:
                columns.remove(least)
            else:
                return self._tight_columns(columns, width, cells), " "
        return columns, _GAP

    def _tight_columns(self, columns: list[_Column], width: int, cells: list[dict[str, str]]) -> list[_Column]:
        """The essential columns as narrow as what is to be seen; bid and ask go together."""
        decimals = {"bid": self._bid, "ask": self._ask}
        tight = []
        for column in columns:
            if column.head in decimals:
                needs = decimals[column.head].needed
            else:
                # A row without prices has room for its status in their place.
                full = [row for row in cells if column.head != "status" or {row["bid"], row["ask"]} != {NOTHING}]
                needs = max([0, *(len(_without_reason(row[column.head])) for row in full)])
            head = len(column.head) + (column.order is self.order)
            tight.append(column._replace(width=max(head, needs)))
        while _needed(tight, " ") > width and len(tight) > 1:
            rank = max(column.rank for column in tight)
            tight = [column for column in tight if column.rank < rank]
        return tight

    def _cells(self, key: InstrumentKey, view: BookView) -> dict[str, str]:
        bid, ask = view.best_bid(), view.best_ask()
        exponent = view.price_exponent
        bid_text = fixed(bid[0], exponent) if bid else NOTHING
        ask_text = fixed(ask[0], exponent) if ask else NOTHING
        spread = fixed(ask[0] - bid[0], exponent) if bid and ask else NOTHING
        self._bid.note(bid_text)
        self._ask.note(ask_text)
        self._spread_column.note(spread)
        return {
            "category": key[0],
            "symbol": key[1],
            "status": self.board.told(view),
            "bid": bid_text,
            "ask": ask_text,
            "spread": spread,
            "upd/s": rate_text(self.board.rate(view)),
            "age": age_text(view.age_seconds),
            "update id": str(view.venue_update_id),
        }

    def _row(self, columns: list[_Column], gap: str, texts: dict[str, str], status: ViewStatus, ground: Ground) -> Line:
        decimals = {"bid": self._bid, "ask": self._ask, "spread": self._spread_column}
        live = status is ViewStatus.LIVE
        spans = [Span(" ")]
        for column in columns:
            text = texts[column.head]
            if column.head == "status" and len(_without_reason(text)) > column.width:
                spans.append(Span(_without_reason(text), TONES[status]))  # over the prices that there are not
                break
            if column.head in decimals:
                text = decimals[column.head].cell(text)[-column.width :]
            if len(text) > column.width:
                text = _without_reason(text)[: column.width]
            cell = text.ljust(column.width) if column.left else text.rjust(column.width)
            tone = {"status": TONES[status], "bid": Tone.BID, "ask": Tone.ASK}.get(column.head, Tone.TEXT)
            spans.append(Span(cell + gap, tone if live or column.head in {"status", "symbol"} else Tone.DIM))
        return Line(tuple(spans), ground)

    def _heads(self, columns: list[_Column], gap: str) -> Line:
        spans = [Span(" ")]
        for column in columns:
            sorted_by = column.order is self.order
            text = column.head + ("▼" if self.order.descends != self.reverse else "▲") * sorted_by
            text = text.ljust(column.width) if column.left else text.rjust(column.width)
            spans.append(Span(text[-column.width :] + gap, Tone.STRONG if sorted_by else Tone.DIM))
        return Line(tuple(spans))

    def _summary(self, books: dict[InstrumentKey, BookView], width: int) -> list[Line]:
        """Counts and rates in one line, as many as fit; a feed that is cut differently is told below it."""
        board = self.board
        absent = sum(board.is_absent(view) for view in books.values())
        counts = Counter(view.status for view in books.values() if not board.is_absent(view))
        live = counts.pop(ViewStatus.LIVE, 0)
        other = [
            Span(f"{_GAP}{counts[status]} {status_text(status).lower()}", TONES[status])
            for status in sorted(counts, key=SEVERITY.__getitem__)
        ]
        if absent:
            other.append(Span(f"{_GAP}{absent} {NOT_PUBLISHED.lower()}", Tone.WARN))
        if self.filter:
            other.append(Span(f"{_GAP}{len(self._shown)} contain {self.filter!r}", Tone.STRONG))
        holes = board.holes()
        rates = f"{rate_text(board.packet_rate())} packets/s{_GAP}{rate_text(board.total_rate())} updates/s"
        right = [
            [Span(rates)],
            [Span(f"{_GAP}{holes} hole{'' if holes == 1 else 's'}", Tone.BAD if holes else Tone.TEXT)],
            [Span(f"{_GAP}{name} {'✓' if ok else '✗'}", Tone.GOOD if ok else Tone.BAD) for name, ok in board.lines()],
        ]
        right[-1].append(Span(" "))
        whole = [Span(f" {len(books)} instruments"), Span(f"{_GAP}{live} live", Tone.GOOD), *other]
        short = [Span(f" {live}/{len(books)} live", Tone.GOOD), *other]
        left = whole if _length(whole) + sum(map(_length, right[1:])) < width else short
        lines = [spread_out(left, right, width, Ground.HEAD)]
        wrong = hints.wrong_partitions(board)
        return lines + ([] if wrong is None else wrapped(wrong, width, Tone.BAD))


def _needed(columns: list[_Column], gap: str) -> int:
    return 1 + sum(column.width + len(gap) for column in columns) - len(gap)


def _length(spans: Iterable[Span]) -> int:
    return sum(len(span.text) for span in spans)


def _without_reason(text: str) -> str:
    return text.partition(":")[0]
