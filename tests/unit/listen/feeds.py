"""A feed without sockets, and the listener's board on it."""

from feeder.client.events import Event
from feeder.listen.board import Board
from feeder.listen.json_lines import JsonLines
from feeder.listen.paint import Line
from feeder.market.update import Side, TradeUpdate
from tests.helpers.feed import Consumer, Feed, Source, instrument

BIDS, ASKS = [6425010, 1500, 6425000, 20], [6425020, 3, 6425050, 70]
MATCHED = 1_700_000_000_000_000_000


class Watched:
    """Books of `symbols`, LIVE, a consumer of those `wanted` and a board over it."""

    def __init__(self, *symbols: str, wanted: tuple[str, ...] | None = None, live: bool = True) -> None:
        self.feed = Feed(symbols or ("BTCUSDT",))
        self.consumer = Consumer(self.feed, wanted)
        names = None if wanted is None else {("linear", symbol): instrument(symbol).id for symbol in wanted}
        self.board = Board({0: self.consumer.feed}, self.feed.plan, self.feed.clock, names)
        if live:
            for source in self.sources:
                source.restart(BIDS, ASKS)
            self.run(1.2)

    @property
    def sources(self) -> list[Source]:
        return list(self.feed.sources.values())

    def source(self, symbol: str = "BTCUSDT") -> Source:
        return self.feed.sources[symbol]

    def run(self, seconds: float) -> None:
        """Time passes, and the board is sampled as a screen does it."""
        for _ in range(round(seconds / 0.1)):
            self.feed.turn()
            self.feed.run(0.1, [self.consumer])
            self.board.sample()

    def silence(self, seconds: float) -> None:
        """Time passes and nothing arrives."""
        for _ in range(round(seconds / 0.1)):
            self.feed.clock.advance(0.1)
            self.consumer.feed.on_time()
            self.board.sample()

    def trade(self, number: int, *, symbol: str = "BTCUSDT", side: Side = Side.BUY) -> None:
        update = TradeUpdate(6425020, 100 * number, side, f"t{number}", 7, MATCHED + number * 1_000_000, 5, 6)
        self.source(symbol).publisher.trades([update])
        self.feed.turn()
        self.deliver()

    def deliver(self) -> None:
        self.feed.turn()
        before = len(self.consumer.events)
        self.feed.deliver([self.consumer])
        for event in self.consumer.events[before:]:
            if type(event).__name__ in {"Traded", "TradesGone"}:
                self.board.on_trade(event)


def told_at_once(watched: Watched, lines: JsonLines) -> list[bytes]:
    """What `lines` makes of each event from now on, while it happens."""
    made: list[bytes] = []
    feed = watched.consumer.feed

    def emit(event: Event) -> None:
        watched.consumer.events.append(event)
        if type(event) in lines.kinds:
            made.append(lines.event(event))

    feed.books._emit = emit
    feed._emit = emit
    return made


def texts(lines: list[Line]) -> list[str]:
    return [line.text for line in lines]
