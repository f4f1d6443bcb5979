"""The fault scripts of the soak: what the network and the exchange do, who dies when, and what is to be seen of it."""

import enum
from dataclasses import dataclass, field
from typing import Any

CYCLE_SECONDS = 1.0  # of snapshots, for books as many as these; what a quiet book may have to wait for


_MANY_HOLES, _FILLED_SHARE = 20, 0.95  # few may all be from before a consumer knew where to ask


class Do(enum.Enum):
    """What a script does to the programs. All kills are `kill -9`."""

    KILL_FEEDER = "the feeder is killed"
    START_FEEDER = "the feeder is started again"
    KILL_CONSUMER = "a consumer is killed"
    START_CONSUMER = "a consumer is started"
    STOP_CONSUMER = "a consumer stands still"


@dataclass(frozen=True)
class Act:
    """One of these, `at` seconds after all books were LIVE. who: the follower; seconds: for how long it is stopped."""

    at: float
    do: Do
    who: int = 0
    seconds: float = 0.0


@dataclass(frozen=True)
class Follower:
    """A consumer.

    faults: its network's, as tools/loss.py reads them. joins: seconds after all books were LIVE, 0 before the feeder
    starts. everything: it follows all that is defined, without knowing any name. receive_buffer: bytes of each socket.
    keeps_faults: to the very end, where others are left alone.
    """

    faults: str = ""
    joins: float = 0.0
    everything: bool = False
    receive_buffer: int | None = None
    keeps_faults: bool = False


@dataclass(frozen=True)
class Expect:
    """What must be seen, or must not be, for the script to have tested what it says. None: either is fine."""

    lost: bool | None = None  # packets, by the staged network
    holes: bool | None = None
    filled: bool | None = None
    requests: bool | None = None
    conflated: bool | None = None
    dropped_here: bool | None = None
    checksum_mismatches: bool | None = None
    fill_p99_ms: float | None = None

    def misses(self, *, fill_p99_ms: float | None, **seen: int) -> list[str]:
        """What is not as it should be, given what was counted."""
        wanted = {name: getattr(self, name) for name in seen}
        missed = [
            f"{name.replace('_', ' ')}: {seen[name]}, where {'some' if want else 'none'} was expected"
            for name, want in wanted.items()
            if want is not None and want != bool(seen[name])
        ]
        if self.fill_p99_ms is not None:  # a script whose answers arrive
            if fill_p99_ms is not None and fill_p99_ms > self.fill_p99_ms:
                missed.append(f"holes filled in {fill_p99_ms:g} ms (p99), not within {self.fill_p99_ms:g} ms")
            holes, filled = seen.get("holes", 0), seen.get("filled", 0)
            if holes >= _MANY_HOLES and (fill_p99_ms is None or filled < _FILLED_SHARE * holes):
                missed.append(f"{filled} of {holes} holes filled, where nearly all were expected")
        return missed


@dataclass(frozen=True)
class Script:
    """One run of the programs.

    rate: book updates per second of all symbols together. upstream: faults of the exchange, with their `at` from the
    first subscription. settings: of the feeder, over the soak's own. live_within: seconds from the last fault to every
    book LIVE at every consumer. join_within: of a consumer that joins late. notice_within, back_within: of a feeder
    that is killed, and started again. altered_seconds: how long an altered packet's book may be LIVE and wrong.
    """

    name: str
    followers: tuple[Follower, ...]
    seconds: float = 12.0
    symbols: int = 40
    rate: float = 1_200.0
    acts: tuple[Act, ...] = ()
    upstream: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    live_within: float = 3 * CYCLE_SECONDS
    join_within: float = CYCLE_SECONDS + 0.25
    notice_within: float = 1.0
    back_within: float = 3.0
    altered_seconds: float = 0.0
    expect: Expect = Expect()


_UPSTREAM_BOOKS = (
    {"category": "linear", "symbol": "BTCUSDT"},
    {"category": "spot", "symbol": "BTCUSDT"},
    {"category": "linear", "symbol": "ETHUSDT"},
)
_QUIET = "+".join(f"linear/{symbol}" for symbol in ("AAVEUSDT", "NEARUSDT", "UNIUSDT"))


def _upstream(*names: str) -> tuple[dict[str, Any], ...]:
    """Faults of three books in turn, one a second from the fourth second on."""
    books = _UPSTREAM_BOOKS
    return tuple({"fault": name, "at": 4 + number, **books[number % len(books)]} for number, name in enumerate(names))


def _random(share: float) -> Script:
    """Each line loses packets by itself."""
    name = f"{100 * share:g} % lost on each line"
    network = f"random:{share}@A,B"
    holes = True if share >= 0.05 else None  # both lines lose the same packet once in 1 / share^2
    return Script(name, _two(network), expect=Expect(lost=True, holes=holes, filled=holes, fill_p99_ms=_FILLED_MS))


def _two(faults: str) -> tuple[Follower, Follower]:
    """Two consumers behind networks of one kind: one knows what it wants, the other follows everything."""
    return Follower(faults), Follower(faults, everything=True)


_FILLED_MS = 50.0

SCRIPTS = (
    Script("no loss", _two(""), expect=Expect(lost=False, holes=False, requests=False)),
    *map(_random, (0.001, 0.01, 0.05, 0.1, 0.2)),
    Script(
        "the same 1 % lost on both lines",
        _two("random:0.01,together@A,B"),
        expect=Expect(lost=True, holes=True, filled=True, fill_p99_ms=_FILLED_MS),
    ),
    Script(
        "2 % lost on both lines, 20 % of the answers as well",
        _two("random:0.02,together@A,B;random:0.2@R"),
        expect=Expect(lost=True, holes=True, filled=True),
    ),
    Script(
        "1 % lost on both lines, no answer ever",
        _two("random:0.01,together@A,B;random:1@R"),
        expect=Expect(lost=True, holes=True),
    ),
    Script(
        "bursts of 1 to 1,000 packets on both lines",
        (Follower("burst:1,1000,0.001,together@A,B"), Follower("burst:1,50,0.01,together@A,B", everything=True)),
        seconds=18,
        expect=Expect(lost=True, holes=True, filled=True),
    ),
    Script(
        "the last packet before silence",
        _two("last:0.015@A,B#books,trades"),
        symbols=8,
        rate=40,
        expect=Expect(lost=True, holes=True, filled=True, fill_p99_ms=_FILLED_MS),
    ),
    Script(
        "a quiet book's only delta",
        _two(f"quiet:{_QUIET}@A,B"),
        rate=300,
        expect=Expect(lost=True, holes=True, filled=True, fill_p99_ms=_FILLED_MS),
    ),
    Script(
        "a quiet book's only delta, no answer ever",
        _two(f"quiet:{_QUIET}@A,B;random:1@R"),
        rate=300,
        expect=Expect(lost=True, holes=True),
    ),
    Script(
        "5 % duplicated",
        (Follower("duplicate:0.05"), Follower("duplicate:0.05,0.05", everything=True)),
        expect=Expect(lost=False, holes=False, requests=False),
    ),
    Script(
        "reordered by up to 64 packets",
        _two("reorder:64,0.005"),
        expect=Expect(lost=False, holes=False, requests=False),
    ),
    Script(
        "one line down for good",
        (Follower("down:6,1e9@B", keeps_faults=True), Follower("down:6,1e9@A", everything=True, keeps_faults=True)),
        expect=Expect(lost=True, holes=False, requests=False),
    ),
    Script(
        "both lines down for 10 s",
        (Follower("down:6,16"), Follower("down:6,16@A,B", everything=True)),
        seconds=18,
        expect=Expect(lost=True),
    ),
    Script(
        "feeder killed, restarted after 2 s",
        (Follower(), Follower("random:0.01@A,B", everything=True)),
        acts=(Act(4, Do.KILL_FEEDER), Act(6, Do.START_FEEDER)),
    ),
    Script(
        "consumer killed, restarted after 1 s",
        (Follower("random:0.01@A,B"), Follower("random:0.01@A,B")),
        acts=(
            Act(3, Do.KILL_CONSUMER, 0),
            Act(4, Do.START_CONSUMER, 0),
            Act(6.4, Do.KILL_CONSUMER, 1),
            Act(7.4, Do.START_CONSUMER, 1),
        ),
    ),
    Script("late join", tuple(Follower(joins=0.5 + 1.3 * n, everything=n % 2 == 1) for n in range(6))),
    Script(
        "consumer stopped for 2 s, with buffers of 64 kB",
        (Follower(receive_buffer=1 << 16), Follower(receive_buffer=1 << 16, everything=True)),
        acts=(Act(2, Do.STOP_CONSUMER, 0, 2.0), Act(6, Do.STOP_CONSUMER, 1, 2.0)),
        expect=Expect(lost=False, holes=True, dropped_here=True),
    ),
    Script(
        "altered packets",
        _two("alter:0.002@A,B"),
        seconds=20,
        altered_seconds=CYCLE_SECONDS + 1.0,
        expect=Expect(checksum_mismatches=True),
    ),
    Script(
        "the exchange misbehaves, 5 % lost on each line",
        _two("random:0.05@A,B"),
        upstream=(
            *_upstream("gap", "out_of_order", "crossed", "malformed", "duplicate", "snapshot", "restart", "gap"),
            {"fault": "tick_change", "at": 12, "category": "spot", "symbol": "ETHUSDT", "step": "0.0000001"},
            {"fault": "raw", "at": 12.5, "category": "linear", "text": "{"},
            {"fault": "disconnect", "at": 13, "category": "linear"},
            {"fault": "half_open", "at": 15, "category": "spot", "seconds": 2},
            {"fault": "bursty", "at": 16, "category": "linear", "seconds": 2},
        ),
        seconds=20,
        live_within=15.0,  # a line that died without a word is pinged after 3 s, given 2 s, and replaced
        expect=Expect(lost=True, holes=True, filled=True),
    ),
    Script(
        "overload, 1 % lost on each line",
        _two("random:0.01@A,B"),
        settings={"queue": {"capacity": 4, "total": 50_000}},
        upstream=tuple({"fault": "bursty", "at": at, "category": "linear", "seconds": 1} for at in (4, 6, 8, 10, 12)),
        seconds=14,
        expect=Expect(lost=True, conflated=True),
    ),
    Script(
        "all of it together",
        _two("random:0.03@A,B;burst:1,30,0.001@A,B;duplicate:0.05,0.02;reorder:16,0.004;truncate:0.005;random:0.1@R"),
        seconds=15,
        expect=Expect(lost=True, holes=True, filled=True),
    ),
)
