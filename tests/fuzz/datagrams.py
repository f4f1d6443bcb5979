"""Multicast packets as a fuzz target: what a consumer makes of whatever arrives, and what the listener shows of it.

An input is a run of records: a byte that says what happens, then what that needs. The true feed changes books; its
datagrams arrive, get lost, out of order, twice; altered ones and nonsense arrive besides. What must hold:

- nothing raises, and nothing grows without bound;
- a datagram whose framing is wrong changes nothing but counters;
- until an altered packet of sound framing came, a LIVE book is the feeder's at the same sequence, at every moment;
- after some seconds of the true feed alone each book is LIVE and the feeder's, whatever came before.
"""

from collections.abc import Hashable

from feeder.client.events import Event, Traded, TradesGone
from feeder.errors import WireError
from feeder.listen.board import Board
from feeder.listen.book_list import BookList
from feeder.listen.json_lines import JsonLines
from feeder.listen.ladder import Ladder
from feeder.listen.paint import as_text
from feeder.listen.stats import StatsMeter, paint_stats
from feeder.market.update import Side, TradeUpdate
from feeder.multicast.arbiter import REORDER_PACKETS
from feeder.multicast.receiver import sound
from tests.helpers.feed import Consumer, Datagram, Feed, Levels, Source, levels_of

_MOST_RECORDS = 60
_PAST = 64  # true datagrams that may be altered or come again
_HEALING_SECONDS = 5.0  # silence or takeover is noticed within a second, then a cycle of snapshots, and some more


class Script:
    """Bytes read as small numbers; zeros when there are no more."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def ended(self) -> bool:
        """Whether all is read."""
        return self._at >= len(self._data)

    def take(self, count: int) -> bytes:
        """So many bytes."""
        taken = self._data[self._at : self._at + count]
        self._at += count
        return taken

    def number(self, width: int = 1) -> int:
        """A little-endian number."""
        return int.from_bytes(self.take(width), "little")


class Stage:
    """The true feed of two books, a consumer of it, a listener on that."""

    def __init__(self) -> None:
        self.feed = Feed(("BTCUSDT", "ETHUSDT"))
        self.consumer = Consumer(self.feed)
        self.board = Board({0: self.consumer.feed}, self.feed.plan, self.feed.clock, None)
        self.lines = JsonLines(self.board, 10)
        self.meter = StatsMeter(self.board)
        self.past: list[Datagram] = []
        self.true: set[bytes] = set()
        self.forged = False
        self.number = 0
        self.consumer.feed.books._emit = self.consumer.feed._emit = self._emit
        for source in self.sources:
            source.restart([100, 5, 99, 6], [101, 7, 102, 8])
        self.run(1.2)
        assert all(self.consumer.view(source).is_live for source in self.sources)

    @property
    def sources(self) -> list[Source]:
        return list(self.feed.sources.values())

    def run(self, seconds: float) -> None:
        """Time passes, and everything true arrives."""
        for _ in range(round(seconds / 0.05)):
            self.feed.clock.advance(0.05)
            self.feed.publisher.tick(self.feed.clock.monotonic())
            self.deliver(self.sent())
            self.consumer.feed.on_time()
            self.check()

    def sent(self) -> list[Datagram]:
        """What the feed has sent since the last call."""
        self.feed.turn()
        sent, self.feed.wire[:] = list(self.feed.wire), []
        self.past = (self.past + sent)[-_PAST:]
        self.true.update(data for _, _, data in sent)
        return sent

    def deliver(self, datagrams: list[Datagram]) -> None:
        for datagram in datagrams:
            self.consumer.feed.on_datagram(*datagram)

    def forge(self, line: str, channel_id: int, data: bytes) -> None:
        """A datagram that the feed did not send, or did not send now."""
        if data not in self.true:
            try:
                sound(data, channel_id)
                self.forged = True
            except WireError:
                before = self.fingerprint()
                self.deliver([(line, channel_id, data)])
                assert self.fingerprint() == before, "a datagram of wrong framing changed something"
                return
        self.deliver([(line, channel_id, data)])

    def fingerprint(self) -> Hashable:
        feed = self.consumer.feed
        arbiters = [
            (a.session_id, a.next_sequence, tuple(a.open_holes), a.silent, tuple(a._waiting))
            for _, a in feed.arbiters.values()
        ]
        views = [(v.sequence, v.status, v.proof, v.checksum(), v.updates) for v in feed.books.views.values()]
        return tuple(arbiters), tuple(views), len(self.consumer.events)

    def check(self) -> None:
        """What must hold at every moment."""
        feed = self.consumer.feed
        assert all(len(arbiter._waiting) <= REORDER_PACKETS + 1 for _, arbiter in feed.arbiters.values())
        if not self.forged:
            self.check_books()

    def check_books(self) -> None:
        session = self.consumer.feed.arbiters[0][1].session_id
        for source in self.sources:
            view = self.consumer.feed.books.views.get(source.id)
            if view is not None and view.is_live:
                expected: Levels = self.feed.histories[session][source.id, view.sequence]
                assert levels_of(view) == expected, "a LIVE book is not the feeder's"

    def show(self) -> None:
        """Everything the listener can show."""
        self.board.sample()
        self.meter.sample()
        shown = as_text(paint_stats(self.meter, 200)) + as_text(BookList(self.board).table())
        for key in list(self.board.books()):
            shown += as_text(Ladder(self.board, key, None).whole())
        shown += "".join(line.decode() for line in self.lines.stats(self.meter))
        # Whatever a packet holds, no terminal is told anything by it.
        assert all(character.isprintable() or character == "\n" for character in shown)

    def _emit(self, event: Event) -> None:
        if len(self.consumer.events) < 100_000:
            self.consumer.events.append(event)
        if isinstance(event, Traded | TradesGone):
            self.board.on_trade(event)
        if type(event) in self.lines.kinds:
            self.lines.event(event)


def run(data: bytes) -> None:
    """One run of records. Raises when something that must hold does not."""
    script = Script(data)
    stage = Stage()
    for _ in range(_MOST_RECORDS):
        if script.ended:
            break
        _RECORDS[script.number() % len(_RECORDS)](stage, script)
        stage.check()
    stage.show()
    stage.run(_HEALING_SECONDS)
    for source in stage.sources:
        view = stage.consumer.view(source)
        assert view.is_live, f"{view.status.name} for ever"
        assert levels_of(view) == source.levels(), "LIVE and wrong for ever"
        assert view.sequence == source.publisher.sequence
        assert view.key == source.publisher.instrument.key
        assert (view.price_exponent, view.quantity_exponent) == (-2, -3)
    stage.show()


def _change(stage: Stage, script: Script) -> None:
    """The feed has something to say."""
    what, which = script.number(), script.number()
    source = stage.sources[which % 2]
    price, quantity = 90 + which % 8, script.number()
    stage.number += 1
    match what % 6:
        case 0:
            source.delta([price, quantity], [])
        case 1:
            source.delta([], [price + 20, quantity], conflated=True)
        case 2:
            source.restart([price, quantity + 1], [price + 20, 1])
        case 3:
            source.stale()
        case 4:
            source.publisher.trades([TradeUpdate(price, quantity, Side.SELL, f"t{stage.number}", 1, 2, 3, 4)])
        case 5:
            stage.sent()  # lost with the process
            stage.feed.clock.advance(0.001)  # by which its session is another
            stage.feed.start()
            for each in stage.sources:
                each.restart([100, 5], [101, 7])
    if what % 6 == 3:  # a worker says so once, and goes on by a restart
        source.restart([price, 1], [price + 20, 1])


def _time(stage: Stage, script: Script) -> None:
    seconds = (0.005, 0.02, 0.3, 1.1)[script.number() % 4]
    stage.feed.clock.advance(seconds)
    stage.feed.publisher.tick(stage.feed.clock.monotonic())
    stage.consumer.feed.on_time()


def _arrive(stage: Stage, script: Script) -> None:
    stage.deliver(stage.sent())


def _lose(stage: Stage, script: Script) -> None:
    mask = script.number(2)
    stage.deliver([datagram for number, datagram in enumerate(stage.sent()) if not mask >> (number % 16) & 1])


def _reverse(stage: Stage, script: Script) -> None:
    stage.deliver(stage.sent()[::-1])


def _again(stage: Stage, script: Script) -> None:
    if stage.past:
        stage.deliver([stage.past[-1 - script.number() % len(stage.past)]])


def _alter(stage: Stage, script: Script) -> None:
    """A copy of a datagram sent lately with some bytes changed, as often as said."""
    stage.deliver(stage.sent())
    pick, changes = script.number(), script.number() % 4 + 1
    line, channel_id, data = stage.past[-1 - pick % len(stage.past)]
    altered = bytearray(data)
    for _ in range(changes):
        at = script.number(2) % len(altered)
        value = script.take((1, 2, 4, 8)[script.number() % 4])
        altered[at : at + len(value)] = value
    stage.forge("AB"[pick & 1] if pick & 2 else line, channel_id, bytes(altered))


def _nonsense(stage: Stage, script: Script) -> None:
    channel_id = script.number() % 5
    stage.forge("A", channel_id, script.take(script.number(2) % 1500))


_RECORDS = (_change, _change, _time, _arrive, _lose, _reverse, _again, _alter, _alter, _nonsense)
