"""Everybody's account brought before the judge: the files of all consumers as they grow, and the exchange's word."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from soak_audit import Audit, Limits
from soak_program import READY_SECONDS, SoakError
from soak_stage import Consumer, Stage

REFERENCE = "reference"
_PUMP_SECONDS = 0.25
_CONFIRM_SECONDS = 12.0  # how long a book waits for the exchange's word at most: it remembers 2,000 updates of each


class Hearing:
    """A stage and its audit. `problems` are what kept it from a proper end."""

    def __init__(self, stage: Stage, limits: Limits) -> None:
        self.stage = stage
        self.audit = Audit(limits, stage.books)
        self.problems: list[str] = []
        self._tails: list[Consumer] = []

    @asynccontextmanager
    async def open(self, **settings: Any) -> AsyncIterator[None]:
        """The exchange and the reference run, and what is written is read meanwhile; `settings` are the reference's."""
        await self.stage.open()
        pumping = asyncio.create_task(self._pump())
        try:
            await self.start(REFERENCE, with_text=True, everything=False, **settings)
            await self.until(lambda: self.audit.reference.marked("joined") is not None, READY_SECONDS, "the reference")
            yield
        finally:
            pumping.cancel()
            await asyncio.wait([pumping])
        if not pumping.cancelled():
            pumping.result()

    async def start(self, name: str, **settings: Any) -> None:
        """A consumer whose account is heard."""
        self._tails.append(await self.stage.start_consumer(name, **settings))

    async def all_live(self) -> None:
        """The reference has every book LIVE."""
        await self.until(lambda: self.audit.reference.marked("all LIVE") is not None, READY_SECONDS, "all books LIVE")

    @property
    def followers(self) -> list[Consumer]:
        """The consumers under test that run."""
        return [consumer for name, consumer in self.stage.consumers.items() if name != REFERENCE]

    async def settle(self, seconds: float, faulty: Collection[str] = ()) -> float:
        """No more faults but of those `faulty`, and every book LIVE at every consumer; from when that was asked.

        What is not so in time is a problem.
        """
        calm_at = time.monotonic()
        for consumer in self.followers:
            if consumer.name not in faulty:
                consumer.program.tell("calm")
        try:
            await self.until(
                lambda: all(self._is_settled(consumer.name, calm_at) for consumer in self.followers),
                seconds,
                "every book LIVE in the end",
            )
        except SoakError as error:
            self.problems.append(str(error))
        return calm_at

    async def end(self) -> None:
        """Consumers, then the reference, which has then seen all that they saw; the exchange's word; the feeder."""
        stage = self.stage
        stage.check()
        for consumer in self.followers:
            consumer.program.tell("end")
        for consumer in self.followers:
            await self._ended_well(consumer)
        await asyncio.sleep(2 * _PUMP_SECONDS)
        reference = stage.consumers[REFERENCE]
        reference.program.tell("end")
        await self._ended_well(reference)
        self._read()
        self.audit.settle()
        await self._confirm(before=float("inf"))
        assert stage.feeder is not None
        if code := await stage.feeder.terminate():
            self.problems.append(f"the feeder ended with {code}: {stage.feeder.last_words}")

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Wait. SoakError when it takes too long, or when a program ends."""
        end = time.monotonic() + seconds
        while not condition():
            self.stage.check()
            if time.monotonic() > end:
                raise SoakError(f"waited {seconds:.0f} s for {what}; {self._others()}")
            await asyncio.sleep(0.05)

    def _is_settled(self, name: str, since: float) -> bool:
        witness = self.audit.witnesses.get(name)
        latest = None if witness is None else witness.latest
        return (
            latest is not None
            and latest.time >= since
            and not latest.others
            and len(latest.sequences) == len(self.stage.books)
        )

    async def _ended_well(self, consumer: Consumer) -> None:
        if code := await consumer.program.ended():
            self.problems.append(f"{consumer.name} ended with {code}: {consumer.program.last_words}")

    def _others(self) -> str:
        told = []
        for witness in (self.audit.reference, *self.audit.witnesses.values()):
            latest = witness.latest
            if latest is not None and latest.others:
                statuses = sorted(set(latest.others.values()))
                told.append(f"{witness.name} has {len(latest.others)} books {'/'.join(statuses)}")
        return ", ".join(told) or "all are LIVE that are known"

    async def _pump(self) -> None:
        while True:
            await asyncio.sleep(_PUMP_SECONDS)
            self._read()
            self.audit.settle()
            await self._confirm(before=time.monotonic() - _CONFIRM_SECONDS)

    def _read(self) -> None:
        audit = self.audit
        for consumer in self._tails:
            if consumer.name == REFERENCE:
                for record in consumer.tail.read():
                    audit.on_reference(record)
            else:
                for record in consumer.tail.read():
                    audit.on_consumer(consumer.name, record)

    async def _confirm(self, before: float) -> None:
        """Ask the exchange for the books that wait for its word longest."""
        for book, wanted in self.audit.unconfirmed(before).items():
            self.audit.on_exchange(book, await asyncio.to_thread(self.stage.exchange.checksums, book, wanted))
