"""Hostile datagrams into a consumer: a million broken ones change nothing, a sound one that lies is found out.

    .venv/bin/python tools/hostile.py [--seed N] [--datagrams N] [--json]

Broken: each breaks one rule of PROTOCOL.md's framing, on every channel and both lines, in the midst of a feed that also
loses packets. What a consumer then holds - books, statuses, sequences, sessions, open holes, everything but the
counters of malformed datagrams - is compared before and after each thousand of them.

Altered: of a sound packet one field is another, on both lines, in the place of the true one. No crash; a book that is
LIVE and not the feeder's at its instrumentSequence (levels, status, scale, name) is found out by the next checksum,
within a snapshot cycle and the arbitration window; and some seconds later every book is LIVE and right. One packet in
a thousand as many cases as datagrams, each with a consumer of its own.

Exit 1 if anything fails. The same seed gives the same datagrams.
"""

import argparse
import json
import sys
import time
import traceback
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from hostile_datagrams import OTHER_CHANNEL, Sound, altered, broken, sound, templates
from hostile_plant import STEP_SECONDS, HostilePlant

from feeder.multicast.arbiter import REORDER_SECONDS
from feeder.multicast.publisher import SNAPSHOT_PERIOD, TICK_INTERVAL
from feeder.wire.messages import Kind, Template
from tests.helpers.feed import Consumer, Datagram
from tests.helpers.state import first_difference, state_of

DATAGRAMS = 1_000_000
PER_CASE = 1_000  # broken datagrams for each altered one
LIMIT_SECONDS = SNAPSHOT_PERIOD + REORDER_SECONDS + TICK_INTERVAL + STEP_SECONDS
"""How long a book may be LIVE and wrong after one altered packet: to its next checksum, and the steps of this test."""

_BATCH = 1_000
_PAST = 64  # datagrams of each channel that others are made of
_LANES = 50  # consumers of one feed, each with an altered packet of its own
_ROUND_SECONDS = 4.5
_ALTERED_WITHIN = (
    0.5  # seconds of a round, and of patience some more; the rest is for healing: a takeover takes one, a cycle another
)
_MOST_FAILURES = 20  # told
_COUNTERS = ("malformed", "last_malformed", "requests", "invalid")
_KINDS = (
    *[Kind.BOOKS] * 4,
    *[Kind.SNAPSHOTS] * 4,
    *[Kind.DEFINITIONS] * 2,
    *[Kind.RETRANSMIT] * 3,
    Kind.TRADES,
    Kind.BBO,
)
_TEMPLATES: dict[Kind, tuple[Template, ...]] = {
    Kind.BOOKS: (
        Template.BOOK_DELTA,
        Template.INSTRUMENT_STATUS,
        Template.BOOK_CLEAR,
        Template.BOOK_CHECKSUM,
    ),
    Kind.SNAPSHOTS: (
        Template.INSTRUMENT_DEFINITION,
        Template.SNAPSHOT_BEGIN,
        Template.SNAPSHOT_LEVELS,
        Template.SNAPSHOT_END,
        Template.CYCLE_END,
    ),
}
"""What is altered on a channel: the rarer messages as often as the frequent ones."""

_PATIENCE_SECONDS = 0.5  # to wait for a message of one template; then any is altered
_ANSWERS, _REQUESTS = "answers", "requests"


@dataclass
class Broken:
    """What a consumer and a retransmit server made of broken datagrams. `kinds`: how many of each."""

    datagrams: int = 0
    requests: int = 0  # of them, at the feeder's retransmit port
    kinds: Counter[str] = field(default_factory=Counter)
    looks: int = 0  # comparisons of the whole state
    failures: list[str] = field(default_factory=list)


@dataclass
class Altered:
    """What consumers made of altered packets. `lies`: cases in which a book was LIVE and wrong for a time."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    lies: int = 0
    longest_lie_seconds: float = 0.0
    checksum_mismatches: int = 0
    failures: list[str] = field(default_factory=list)


def hostile(seed: int, datagrams: int = DATAGRAMS) -> dict[str, Any]:
    """Everything above, in about a minute and a half for a million; `ok` says whether all held.

    Keys: seed, seconds, ok, broken and altered, each with its sample size, what it was made of, and `failures`.
    """
    began = time.monotonic()
    storm = Storm(Random(f"{seed} broken"))
    storm.run(datagrams)
    first = storm.report
    second = altered_packets(seed, max(1, datagrams // PER_CASE))
    return {
        "seed": seed,
        "broken": {
            "datagrams": first.datagrams,
            "at_the_retransmit_port": first.requests,
            "kinds": dict(sorted(first.kinds.items())),
            "states_compared": first.looks,
            "failures": first.failures[:_MOST_FAILURES],
        },
        "altered": {
            "packets": second.cases,
            "messages": dict(sorted(second.kinds.items())),
            "led_to_a_wrong_live_book": second.lies,
            "longest_wrong_seconds": round(second.longest_lie_seconds, 3),
            "limit_seconds": round(LIMIT_SECONDS, 3),
            "checksum_mismatches": second.checksum_mismatches,
            "failures": second.failures[:_MOST_FAILURES],
        },
        "seconds": round(time.monotonic() - began, 1),
        "ok": not first.failures and not second.failures,
    }


# Broken ---------------------------------------------------------------------------------------------------------------


class Storm:
    """A consumer of a lively feed that loses packets, and broken datagrams at its every entrance and the feeder's."""

    def __init__(self, random: Random) -> None:
        self.report = Broken()
        self._random = random
        self._plant = HostilePlant(random)
        self._consumer = Consumer(self._plant.feed)
        channels: list[int | str] = [channel.channel_id for channel in self._plant.feed.plan.channels]
        # What broken datagrams are made of, by entrance: a channel's id, or one of the two of retransmission.
        self._past: dict[int | str, list[Sound]] = {entrance: [] for entrance in (*channels, _ANSWERS, _REQUESTS)}

    def run(self, datagrams: int) -> None:
        """The feed begins, so many broken datagrams come, and three seconds later all is to be well."""
        report = self.report
        while not all(self._past.values()):
            self._step(0)
        while report.datagrams < datagrams and len(report.failures) < _MOST_FAILURES:
            self._step(min(_BATCH, datagrams - report.datagrams))
            if lie := self._plant.lie(self._consumer):
                report.failures.append(f"LIVE and wrong after {report.datagrams} datagrams: {lie}")
        for _ in range(round(3.0 / STEP_SECONDS)):
            self._step(0, losses=False)
        if behind := self._plant.behind(self._consumer):
            report.failures.append(f"3 s after the last of them {behind}")

    def _step(self, broken_ones: int, *, losses: bool = True) -> None:
        random = self._random
        wire = self._plant.step()
        lost = random.choice(wire)[2] if wire and losses and random.random() < 0.1 else b""
        middle = random.randrange(len(wire) + 1)
        self._arrive(wire[:middle], lost)  # an event, a snapshot, a hole may be half done now
        if broken_ones:
            self._batch(broken_ones)
        self._arrive(wire[middle:], lost)
        self._consumer.feed.on_time()
        for request, _ in self._consumer.asked:
            self._keep(_REQUESTS, request)
            for answer in self._plant.server.answer(request, "10.0.0.1", self._plant.now):
                self._keep(_ANSWERS, answer)
                if not losses or random.random() < 0.7:
                    self._consumer.feed.on_answer(answer)
        self._consumer.asked.clear()

    def _arrive(self, wire: list[Datagram], lost: bytes) -> None:
        for line, channel_id, data in wire:
            if data != lost:
                self._consumer.feed.on_datagram(line, channel_id, data)
            self._keep(channel_id, data)

    def _keep(self, entrance: int | str, data: bytes) -> None:
        models = self._past[entrance]
        models.append(sound(data))
        del models[:-_PAST]

    def _state(self) -> object:
        consumer = self._consumer
        states = state_of(consumer.feed, but=_COUNTERS), state_of(self._plant.server, but=_COUNTERS)
        return (*states, len(consumer.events), len(consumer.asked))

    def _batch(self, count: int) -> None:
        report, feed, server, random = self.report, self._consumer.feed, self._plant.server, self._random
        entrances = list(self._past.items())
        sent: Counter[int | str] = Counter()
        kinds: list[str] = []
        before = self._state()
        malformed, invalid = feed.malformed, server.counters.invalid
        for _ in range(count):
            entrance, models = entrances[int(random.random() * len(entrances))]
            kind, data = broken(random, models[int(random.random() * len(models))])
            while kind == OTHER_CHANNEL and entrance == _ANSWERS:  # where all channels' packets arrive
                kind, data = broken(random, models[0])
            kinds.append(kind)
            sent[entrance] += 1
            try:
                if entrance == _ANSWERS:
                    feed.on_answer(data)
                elif entrance == _REQUESTS:
                    if server.answer(data, "10.0.0.2", self._plant.now):
                        report.failures.append(f"{kind} ({data[:64].hex()}...) was answered")
                else:
                    assert isinstance(entrance, int)
                    feed.on_datagram("A" if random.random() < 0.5 else "B", entrance, data)
            except Exception:  # noqa: BLE001 - whatever it raises is the finding
                report.failures.append(f"{kind} ({data[:64].hex()}...) raised {_raised()}")
        counted = feed.malformed - malformed, server.counters.invalid - invalid
        after = self._state()
        report.datagrams += count
        report.kinds.update(kinds)
        report.requests += sent[_REQUESTS]
        report.looks += 1
        if counted != (count - sent[_REQUESTS], sent[_REQUESTS]):
            report.failures.append(
                f"of {count} broken datagrams, {sent[_REQUESTS]} of them requests, {counted} counted"
            )
        if before != after:
            report.failures.append(f"{count} broken datagrams changed {first_difference(before, after)}")


# Altered --------------------------------------------------------------------------------------------------------------


class Lane:
    """A consumer that gets one altered packet of `kind` in the place of a true one, at the first chance after `at`.

    RETRANSMIT is for what it asks for again, and what the feeder answers.
    """

    def __init__(self, plant: HostilePlant, random: Random, kind: Kind, at: float) -> None:
        self.consumer = Consumer(plant.feed)
        self.what = ""  # was altered; empty until then
        self.failures: list[str] = []
        self.lie_seconds = 0.0  # the longest
        self._plant = plant
        self._random = random
        self._kind = kind
        self._request = random.random() < 0.5  # to be altered, rather than its answer
        self._at = at
        self._template = random.choice((*_TEMPLATES.get(kind, ()), None))
        # Losing packets before, it meets the altered one in the midst of a recovery.
        blind = kind is Kind.RETRANSMIT or random.random() < 0.4
        self._blind_from = at - random.uniform(0.01, 0.05) if blind else at
        # The order in which it reads its sockets: a snapshot may overtake the updates it contains, and the reverse.
        self._order = random.sample(range(len(Kind)), len(Kind))
        self._source = f"10.0.0.{random.randrange(256)}"
        self._true = self._altered = b""
        self._lie_since: float | None = None

    def step(self, wire: list[Datagram]) -> None:
        """Take what the feed sent in a step, and look whether a book lies."""
        now = self._plant.now
        if self._blind_from < now <= self._at:
            return
        feed = self.consumer.feed
        try:
            for line, channel_id, data in sorted(wire, key=lambda datagram: self._order[datagram[1] % 16]):
                feed.on_datagram(line, channel_id, self._instead(data, channel_id % 16 == self._kind))
            feed.on_time()
            asked, self.consumer.asked[:] = list(self.consumer.asked), []
            for request, _ in asked:
                altering = self._kind is Kind.RETRANSMIT and self._request
                for answer in self._plant.server.answer(self._instead(request, altering), self._source, now):
                    feed.on_answer(self._instead(answer, self._kind is Kind.RETRANSMIT))
        except Exception:  # noqa: BLE001 - whatever it raises is the finding
            self.failures.append(f"{self.what} raised {_raised()}")
        self._look(now)

    def end(self) -> None:
        """The round is over: every book is to be well."""
        if behind := self._plant.behind(self.consumer):
            self.failures.append(
                f"{self.what}: {behind} {_ROUND_SECONDS - _ALTERED_WITHIN - _PATIENCE_SECONDS:.1f} s later"
            )

    def _instead(self, data: bytes, wanted: bool) -> bytes:
        """The datagram, or the altered one in its place, on each line; `wanted`: this may be the one to alter."""
        if wanted and not self.what and self._plant.now > self._at:
            model = sound(data)
            impatient = self._plant.now > self._at + _PATIENCE_SECONDS
            if self._template is None or impatient or self._template in templates(model):
                ids = tuple(source.id for source in self._plant.sources)
                self._true = data
                self.what, self._altered = altered(
                    self._random, model, ids, self._template if self._template in templates(model) else None
                )
        return self._altered if data == self._true else data

    def _look(self, now: float) -> None:
        lie = self._plant.lie(self.consumer)
        if not lie:
            self._lie_since = None
            return
        if self._lie_since is None:
            self._lie_since = now
        lasts = now - self._lie_since + STEP_SECONDS
        self.lie_seconds = max(self.lie_seconds, lasts)
        if not self.what:
            self.failures.append(f"LIVE and wrong before anything was altered: {lie}")
        elif lasts > LIMIT_SECONDS and not self.failures:
            self.failures.append(f"{self.what}: {lie} is LIVE and wrong for over {LIMIT_SECONDS:.2f} s")


def altered_packets(seed: int, cases: int) -> Altered:
    """So many consumers, each with one altered packet."""
    report = Altered()
    number = 0
    while report.cases < cases and len(report.failures) < _MOST_FAILURES:
        number += 1
        for lane in _round(Random(f"{seed} altered {number}"), min(_LANES, cases - report.cases)):
            report.failures += [f"round {number}, {failure}" for failure in lane.failures]
            if not lane.what:
                continue
            report.cases += 1
            report.kinds[lane.what.partition(" ")[0]] += 1
            report.lies += lane.lie_seconds > 0
            report.longest_lie_seconds = max(report.longest_lie_seconds, lane.lie_seconds)
            report.checksum_mismatches += lane.consumer.feed.books.counters.checksum_mismatches
    return report


def _round(random: Random, lanes: int) -> list[Lane]:
    plant = HostilePlant(random)
    plant.run(0.1, [])
    start = plant.now + 1.2
    all_lanes = [
        Lane(plant, Random(random.random()), random.choice(_KINDS), start + random.uniform(0, _ALTERED_WITHIN))
        for _ in range(lanes)
    ]
    joining = random.sample(all_lanes, lanes // 4)  # what they are told first, may be what was altered
    plant.run(1.2, [lane.consumer for lane in all_lanes if lane not in joining])
    for _ in range(round(_ROUND_SECONDS / STEP_SECONDS)):
        wire = plant.step()
        for lane in all_lanes:
            lane.step(wire)
    for lane in all_lanes:
        lane.end()
    return all_lanes


def _raised() -> str:
    """The exception being handled, in a line."""
    error = sys.exception()
    frames = traceback.extract_tb(None if error is None else error.__traceback__)
    return f"{error!r} at {' < '.join(f'{Path(f.filename).name}:{f.lineno}' for f in reversed(frames[-3:]))}"


# ----------------------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> str:
    """The result as Markdown."""
    first, second = result["broken"], result["altered"]
    lines = [
        f"seed {result['seed']}, {result['seconds']} s",
        "",
        "| datagrams | sample | outcome |",
        "|---|---|---|",
        f"| broken | {first['datagrams']:,}, whole state compared {first['states_compared']:,} times "
        f"| {len(first['failures'])} failures |",
        f"| altered on both lines | {second['packets']:,} | a wrong LIVE book in {second['led_to_a_wrong_live_book']}, "
        f"for {second['longest_wrong_seconds']} s at most (limit {second['limit_seconds']}); "
        f"{second['checksum_mismatches']} checksums differed; {len(second['failures'])} failures |",
    ]
    lines += [f"- {failure}" for part in (first, second) for failure in part["failures"]]
    return "\n".join(lines)


def main() -> int:
    """0 only if nothing failed."""
    parser = argparse.ArgumentParser(description="Hostile datagrams into a consumer.")
    parser.add_argument("--seed", type=int, default=1, help="of every random choice (%(default)s)")
    parser.add_argument("--datagrams", type=int, default=DATAGRAMS, help="broken ones (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a table")
    args = parser.parse_args()
    if args.datagrams < 1:
        parser.error("--datagrams has to be at least 1")
    result = hostile(args.seed, args.datagrams)
    print(json.dumps(result) if args.json else table(result))
    return 0 if result["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
