"""The ladder of one book: asks above, bids below, the spread between them, the last trades beside it.

Numbers are the book's own integers, written exactly. A book that is not LIVE says so in a bar over its whole width and
in the place of the spread, and all its levels are dimmed.
"""

from feeder.client.book_view import BookView
from feeder.client.events import Traded, TradesGone
from feeder.client.status import ViewStatus
from feeder.listen import hints
from feeder.listen.board import NOT_PUBLISHED, Board
from feeder.listen.decimals import clock_text, duration_text, fixed, middle
from feeder.listen.paint import Ground, Line, Span, Tone, line, spread_out, wrapped
from feeder.listen.status import GROUNDS, MEANINGS, TONES
from feeder.market.instrument import InstrumentKey
from feeder.market.update import Side, pairs
from feeder.readable import age_text, rate_text

_EIGHTHS = " ▏▎▍▌▋▊▉"
_WIDEST_BAR = 60
_NARROWEST_WITH_TRADES = 72  # columns of the screen
_GAP = "  "


class Ladder:
    """Paints one book of the board. `levels`: at most so many of each side, None for as many as fit."""

    def __init__(self, board: Board, key: InstrumentKey, levels: int | None = None) -> None:
        self.board = board
        self.key = key
        self._levels = levels
        # Widths only grow, so that columns stand still while numbers change.
        self._price = self._quantity = 10
        self._total = 12

    def paint(self, width: int, height: int) -> list[Line]:
        """The whole screen but its last line."""
        board = self.board
        view = board.books().get(self.key)
        if view is None:
            return [line(Span(f" {self.key[0]} {self.key[1]} is not there any more", Tone.BAD))]
        status = view.status
        header = [*self._title(view, status, width), *self._banner(view, status, width)]
        below = height - len(header)
        if not board.heard():
            return [*header, line(), *hints.listening(board, width)]
        trades = self._trades(view, width, below)
        room = width - max((len(t.text) for t in trades), default=0) - 3 if trades else width
        body = self._levels_of(view, status, room, below)
        widest = self._columns() + len(_GAP) + _WIDEST_BAR
        return header + (_beside(body, trades, min(room, widest)) if trades else body)

    def whole(self) -> list[Line]:
        """The book alone, with all levels, for a terminal without screens."""
        view = self.board.books()[self.key]
        levels = view.depth()
        most = max(len(levels.bids), len(levels.asks)) // 2
        title, ids = self._title(view, view.status, 0)
        rows = self._levels_of(view, view.status, 60, 2 * min(most, self._levels or most) + 2)
        return [title, ids, *([] if view.is_live else self._banner(view, view.status, 100)), line(), *rows]

    # Header ----------------------------------------------------------------------------------------------------------

    def _title(self, view: BookView, status: ViewStatus, width: int) -> list[Line]:
        board = self.board
        category, symbol = self.key
        name = [Span(f" {category} "), Span(symbol, Tone.STRONG), Span(_GAP)]
        told = Span(board.told(view), TONES[status])
        partition = board.plan.partition_of(view.instrument_id)
        lines = [
            Span(f" {number} {'✓' if heard else '✗'}", Tone.GOOD if heard else Tone.BAD)
            for number, heard in board.lines(partition)
        ]
        right = [[Span(f"age {age_text(view.age_seconds):>4}")], [Span(_GAP + "lines")], [*lines, Span(" ")]]
        ids = [Span(f" seq {view.sequence}  update {view.venue_update_id}")]
        if width:
            ids.append(Span(f"  {rate_text(board.rate(view))}/s"))
        if view.conflated:
            ids.append(Span("  folded", Tone.WARN))
        times = []
        if view.match_time_ns and view.receive_time_ns:
            times.append(f"exchange {duration_text(view.receive_time_ns - view.match_time_ns)}")
        latency = board.latency_ns(view)
        if latency is not None:
            times.append(f"feed {duration_text(latency)}")
        return [
            spread_out([*name, told], right, width, Ground.HEAD),
            spread_out(ids, [[Span(f" {text} ", Tone.DIM)] for text in times], width),
        ]

    def _banner(self, view: BookView, status: ViewStatus, width: int) -> list[Line]:
        """Over the whole width what is wrong; an empty line when the book is LIVE."""
        other = hints.wrong_partitions(self.board)
        if status is ViewStatus.LIVE:
            return [line()]
        if not self.board.heard():
            text = "NO MULTICAST HEARD"
        elif other is not None:
            text = other
        elif self.board.is_absent(view):
            text = f"{NOT_PUBLISHED}: the feeder has no {self.key[0]} {self.key[1]}"
        else:
            text = f"{self.board.told(view)} - {MEANINGS[status]}"
        ground = GROUNDS[TONES[status]]
        return [
            line(Span(part.text.ljust(width), Tone.STRONG), ground=ground) for part in wrapped(text, width, Tone.STRONG)
        ]

    # Levels ----------------------------------------------------------------------------------------------------------

    def _levels_of(self, view: BookView, status: ViewStatus, width: int, height: int) -> list[Line]:
        """Heads, asks, the spread, bids: `height` lines."""
        rows = max(1, (height - 2) // 2)
        shown = rows if self._levels is None else min(rows, self._levels)
        top = view.top(shown)
        live = status is ViewStatus.LIVE
        asks, bids = _cumulated(view, top.asks), _cumulated(view, top.bids)
        for price, quantity, total, _ in (*asks, *bids):
            self._price = max(self._price, len(price))
            self._quantity = max(self._quantity, len(quantity))
            self._total = max(self._total, len(total))
        deepest = max((row[3] for row in (*asks, *bids)), default=0)
        bar = max(0, min(_WIDEST_BAR, width - self._columns() - len(_GAP)))
        heads = f" {'price':>{self._price}}{_GAP}{'quantity':>{self._quantity}}{_GAP}{'total':>{self._total}}"
        blank = [line()] * (shown - len(asks))
        return [
            line(Span(heads, Tone.DIM)),
            *blank,
            *(self._row(row, Tone.ASK if live else Tone.DIM, deepest, bar) for row in reversed(asks)),
            self._spread(view, status),
            *(self._row(row, Tone.BID if live else Tone.DIM, deepest, bar) for row in bids),
        ]

    def _columns(self) -> int:
        return 1 + self._price + self._quantity + self._total + 2 * len(_GAP)

    def _row(self, row: tuple[str, str, str, int], tone: Tone, deepest: int, bar: int) -> Line:
        price, quantity, total, depth = row
        text = Tone.TEXT if tone is not Tone.DIM else Tone.DIM
        eighths = depth * bar * 8 // deepest if deepest else 0
        drawn = "█" * (eighths // 8) + (_EIGHTHS[eighths % 8] if eighths % 8 else "")
        return line(
            Span(f" {price:>{self._price}}", tone),
            Span(f"{_GAP}{quantity:>{self._quantity}}", text),
            Span(f"{_GAP}{total:>{self._total}}", Tone.DIM),
            Span(_GAP + drawn, tone),
        )

    def _spread(self, view: BookView, status: ViewStatus) -> Line:
        """The spread and the mid price; what the book is instead, when it is not LIVE."""
        if status is not ViewStatus.LIVE:
            return line(Span(f" {'':─>{self._price}} {self.board.told(view)} ", TONES[status]))
        bid, ask = view.best_bid(), view.best_ask()
        if bid is None or ask is None:
            sides = [name for name, best in (("bids", bid), ("asks", ask)) if best is None]
            return line(Span(f" {'':─>{self._price}} no {' and no '.join(sides)}", Tone.WARN))
        spread, exponent = ask[0] - bid[0], view.price_exponent
        mid = middle(bid[0], ask[0], exponent)
        finer = len(mid.partition(".")[2]) + exponent  # so that the points stand below each other
        finer += exponent == 0 and finer > 0
        tone = Tone.STRONG if spread > 0 else Tone.BAD
        return line(
            Span(f" {mid:>{self._price + finer}}", tone),
            Span(
                f"{_GAP}mid  spread {fixed(spread, exponent)}{ticks_text(view, spread)}",
                Tone.DIM if spread > 0 else tone,
            ),
        )

    # Trades ----------------------------------------------------------------------------------------------------------

    def _trades(self, view: BookView, width: int, height: int) -> list[Line]:
        """Newest first, with a head; none on a narrow screen, or when the trades channel is not joined."""
        if width < _NARROWEST_WITH_TRADES:
            return []
        events = list(self.board.trades(view.instrument_id))[: max(0, height - 1)]
        trades = [event.trade for event in events if isinstance(event, Traded)]
        price = max([10, *(len(fixed(t.price, t.price_exponent)) for t in trades)])
        quantity = max([9, *(len(fixed(t.quantity, t.quantity_exponent)) for t in trades)])
        milliseconds = width >= 100
        head = f"{'trades, UTC':<{14 if milliseconds else 10}}{'price':>{price}}{_GAP}{'quantity':>{quantity}}"
        lines = [line(Span(head, Tone.DIM))]
        for event in events:
            if isinstance(event, TradesGone):
                lines.append(line(Span(f"{event.lost.lost} trades given up by the feeder", Tone.BAD)))
                continue
            trade = event.trade
            tone = Tone.BID if trade.aggressor is Side.BUY else Tone.ASK
            lines.append(
                line(
                    Span(f"{clock_text(trade.match_time_ns, milliseconds=milliseconds)} ", Tone.DIM),
                    Span(trade.aggressor.name[0] + fixed(trade.price, trade.price_exponent).rjust(price), tone),
                    Span(_GAP + fixed(trade.quantity, trade.quantity_exponent).rjust(quantity)),
                )
            )
            if event.missed:
                lines.append(line(Span(f"{event.missed} trades missed", Tone.BAD)))
        return lines[:height]


def ticks_text(view: BookView, spread: int) -> str:
    """ " (3 ticks)"; nothing when the tick size is not known."""
    tick = 0 if view.definition is None else view.definition.tick_size
    if not tick:
        return ""
    ticks = f"{spread // tick:,}" if spread % tick == 0 else f"{spread / tick:,.1f}"
    return f" ({ticks} tick{'' if ticks == '1' else 's'})"


def _cumulated(view: BookView, flat: list[int]) -> list[tuple[str, str, str, int]]:
    """Price, quantity and total of each level as texts, and the total."""
    rows = []
    total = 0
    for price, quantity in pairs(flat):
        total += quantity
        rows.append(
            (
                fixed(price, view.price_exponent),
                fixed(quantity, view.quantity_exponent),
                fixed(total, view.quantity_exponent),
                total,
            )
        )
    return rows


def _beside(left: list[Line], right: list[Line], width: int) -> list[Line]:
    """`right` beside `left`, which is `width` columns wide, and a rule between them."""
    joined = []
    for index in range(max(len(left), len(right))):
        spans = left[index].spans if index < len(left) else ()
        pad = width - sum(len(span.text) for span in spans)
        beside = right[index].spans if index < len(right) else ()
        joined.append(Line((*spans, Span(" " * pad + " │ ", Tone.DIM), *beside)))
    return joined
