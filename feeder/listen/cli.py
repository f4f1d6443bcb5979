"""`feeder-listen`: what the flags start, and how it ends."""

import asyncio
import contextlib
import importlib.util
import logging
import os
import shutil
import signal
import sys
from collections.abc import Collection, Sequence

from feeder.client import Kind, Subscriber, Traded, TradesGone
from feeder.client.subscriber import BOOK_KINDS
from feeder.clock import SystemClock
from feeder.errors import ConfigError, MachineError
from feeder.listen import hints, options
from feeder.listen.board import Board
from feeder.listen.book_list import BookList
from feeder.listen.json_lines import STREAM_LEVELS, JsonLines
from feeder.listen.ladder import Ladder
from feeder.listen.notices import Notices
from feeder.listen.options import Options
from feeder.listen.output import LineWriter
from feeder.listen.paint import Line, Tone, as_text, wrapped
from feeder.listen.roll_call import RollCall
from feeder.listen.stats import StatsMeter, fit_stats, paint_stats
from feeder.wire.messages import MULTICAST_KINDS

OK, FAILURE, USAGE, BAD_CONFIG = 0, 1, 2, 78

_ROLL_CALL_SECONDS = 0.02
_STATS_SECONDS = 1.0
_STATS_ONCE_SECONDS = 2.0
_CLEAR_SCREEN = "\x1b[H\x1b[J"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the listener; returns its exit code."""
    try:
        asked = options.parse(arguments)
    except ConfigError as error:
        return _fail(str(error), BAD_CONFIG)
    if asked.as_json or asked.once or asked.stats:
        if sys.stdout is None:
            return _unwritable("it is closed")
    elif (missing := _no_screens()) is not None:
        return _fail(*missing)
    notices = Notices()
    log = logging.getLogger("feeder")
    log.addHandler(notices)
    log.propagate = False
    try:
        listener = Listener(asked, notices)
        code = asyncio.run(listener.run())
        if listener.printed:
            code = max(code, _print(listener.printed))
    except KeyboardInterrupt:  # while printing, when the loop's own handler is gone
        return OK
    except (ConfigError, MachineError) as error:  # to a person who listens, either is a matter of what was asked for
        if asked.configured:
            return _fail(str(error), BAD_CONFIG)
        return _fail(f"{error.problem}; {error.remedy}", USAGE)
    except OSError as error:
        return _fail(f"cannot listen: {error}", FAILURE)
    else:
        return _fail(listener.problem, code) if listener.problem else code


class Listener:
    """One run: a subscription, and what is done with it.

    What --once prints is left in `printed`, and what is wrong in `problem`, for when the loop has ended: a reader that
    is slow must not keep a signal from ending the program.
    """

    def __init__(self, asked: Options, notices: Notices) -> None:
        self._asked = asked
        self._notices = notices
        self._clock = SystemClock()
        self._feed = Subscriber(
            asked.instruments or None,
            lines=asked.plan.lines,
            port=asked.plan.port,
            partitions=asked.plan.partitions,
            kinds=_kinds(asked),
            instrument_ids=asked.instrument_ids,
            clock=self._clock,
        )
        wanted = {key: self._feed.instrument_id(*key) for key in asked.instruments}
        self._board = Board(self._feed.feeds, asked.plan, self._clock, wanted or None)
        self._stop = asyncio.Event()
        self._said: set[str] = set()
        self.printed = ""
        self.problem = ""

    async def run(self) -> int:
        """Listen until there is nothing more to do; returns the exit code."""
        asked = self._asked
        if not (asked.as_json or asked.once or asked.stats):
            return await self._screens()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                loop.add_signal_handler(number, self._stop.set)
        if asked.stats:
            return await self._stats_once() if asked.once else await self._stats()
        return await self._once() if asked.once else await self._json()

    # Modes -----------------------------------------------------------------------------------------------------------

    async def _screens(self) -> int:
        from feeder.listen.screens import ListenApp

        self._feed.on(Traded, self._board.on_trade)
        self._feed.on(TradesGone, self._board.on_trade)
        async with self._feed:
            key = self._asked.instruments[0] if len(self._asked.instruments) == 1 else None
            app = ListenApp(self._board, self._notices.texts, key, self._asked.levels)
            self._notices.quiet = True
            loop = asyncio.get_running_loop()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
                    loop.add_signal_handler(number, app.exit)
            await app.run_async()
        return app.return_code or OK

    async def _json(self) -> int:
        lines = JsonLines(self._board, self._asked.levels or STREAM_LEVELS)
        writer = self._writer(lines)
        for kind in lines.kinds:
            self._feed.on(kind, lambda event: writer.write(lines.event(event)))
        async with self._feed:
            while not await self._stopped(hints.QUIET_SECONDS):
                self._say_if_quiet()
        writer.close()
        return self._end_of(writer)

    async def _stats(self) -> int:
        lines = JsonLines(self._board)
        meter = StatsMeter(self._board)
        writer = self._writer(lines)
        terminal = sys.stdout.isatty()
        async with self._feed:
            while not await self._stopped(_STATS_SECONDS):
                meter.sample()
                if self._asked.as_json:
                    for line in lines.stats(meter):
                        writer.write(line)
                elif terminal:
                    writer.write(f"{_CLEAR_SCREEN}{as_text(self._stats_screen(meter))}".encode())
                else:
                    writer.write(f"{as_text(paint_stats(meter, _size()[0]))}\n".encode())
                self._say_if_quiet()
        writer.close()
        return self._end_of(writer)

    def _stats_screen(self, meter: StatsMeter) -> list[Line]:
        """As much as the terminal holds. What standard error says is cleared away with it, so it is here too."""
        width, height = _size()
        height -= 1  # the cursor stands below it
        if hints.quiet(self._board):
            return hints.listening(self._board, width)[:height]
        wrong = hints.wrong_partitions(self._board)
        warnings = [*self._notices.texts, *([] if wrong is None else [wrong])]
        said = [part for text in warnings for part in wrapped(text, width, Tone.WARN)]
        return [*said, *fit_stats(meter, width, max(2, height - len(said)))][:height]

    async def _stats_once(self) -> int:
        meter = StatsMeter(self._board)
        async with self._feed:
            await self._stopped(_STATS_ONCE_SECONDS)
            meter.sample()
            # While it listens: afterwards every book is CLOSED.
            if self._asked.as_json:
                self.printed = b"".join(JsonLines(self._board).stats(meter)).decode()
            else:
                self.printed = as_text(paint_stats(meter, _size()[0]))
        if self._board.heard():
            return OK
        self.problem = "\n".join(hints.nothing_heard(self._board))
        return FAILURE

    async def _once(self) -> int:
        roll = RollCall(self._board)
        deadline = self._clock.monotonic() + self._asked.timeout
        async with self._feed:
            while not roll.complete() and self._clock.monotonic() < deadline:
                if await self._stopped(_ROLL_CALL_SECONDS):
                    return OK
            missing = roll.missing()
            self.printed = self._books()
        if not self._board.heard():
            self.problem = "\n".join(hints.nothing_heard(self._board))
        elif missing:
            self.problem = f"not LIVE within {self._asked.timeout:g} s: {hints.shortened(missing)}"
        return FAILURE if self.problem else OK

    def _books(self) -> str:
        """Made in one go with the roll call, so that nothing changes in between."""
        board, asked = self._board, self._asked
        if asked.as_json:
            lines = JsonLines(board, asked.levels)
            books = board.books()
            keys = sorted(books) if board.wanted is None else list(books)
            return b"".join(lines.book(books[key]) for key in keys).decode()
        if len(asked.instruments) == 1:
            return as_text(Ladder(board, asked.instruments[0], asked.levels).whole())
        return as_text(BookList(board).table())

    # -----------------------------------------------------------------------------------------------------------------

    def _writer(self, lines: JsonLines) -> LineWriter:
        loop = asyncio.get_running_loop()
        stdout = sys.stdout.fileno()

        def ended() -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself in the meantime
                loop.call_soon_threadsafe(self._stop.set)

        return LineWriter(stdout, lines.dropped, ended)

    async def _stopped(self, seconds: float) -> bool:
        """Wait for the end; False when there is none within `seconds`."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stop.wait(), seconds)
        return self._stop.is_set()

    def _say_if_quiet(self) -> None:
        """On standard error, once each."""
        if hints.quiet(self._board):
            self._say("quiet", "\n".join(hints.nothing_heard(self._board)))
        other = hints.wrong_partitions(self._board)
        if other is not None:
            self._say("partitions", other)

    def _say(self, subject: str, text: str) -> None:
        if subject not in self._said:
            self._said.add(subject)
            _fail(text, FAILURE)

    @staticmethod
    def _end_of(writer: LineWriter) -> int:
        return OK if writer.error is None else _unwritable(writer.error.strerror)


def _kinds(asked: Options) -> Collection[Kind]:
    if asked.stats:
        return MULTICAST_KINDS
    return BOOK_KINDS if asked.once else (*BOOK_KINDS, Kind.TRADES)


def _no_screens() -> tuple[str, int] | None:
    """Why the live screens cannot be had, if so, and the exit code."""
    if importlib.util.find_spec("textual") is None:
        return (
            "the live screens need textual: pip install 'feeder[tui]'; without it there are --json, --once and --stats",
            FAILURE,
        )
    if not all(stream is not None and stream.isatty() for stream in (sys.stdin, sys.stdout)):
        return "the live screens need a terminal; elsewhere use --json, --once or --stats", USAGE
    return None


def _size() -> tuple[int, int]:
    """Columns and lines."""
    size = shutil.get_terminal_size((200, 24))
    return size.columns, size.lines


def _print(text: str) -> int:
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as error:
        # What Python still holds must not fail once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # A reader may leave when it has seen enough.
        return OK if isinstance(error, BrokenPipeError) else _unwritable(error.strerror)
    return OK


def _unwritable(why: str | None) -> int:
    return _fail(f"standard output cannot be written: {why}", FAILURE)


def _fail(problem: str, code: int) -> int:
    sys.stderr.write(f"feeder-listen: {problem}\n")
    return code
