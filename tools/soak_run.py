"""One fault script of the soak, played and judged."""

import asyncio
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

from soak_audit import Limits
from soak_exchange import Market, Simulator
from soak_hearing import Hearing
from soak_program import SoakError, stopped
from soak_records import Flag
from soak_row import Row, count
from soak_scripts import Act, Do, Script
from soak_stage import Stage

_GRACE_SECONDS = 15.0  # beyond what is allowed, to see by how much it is missed


async def play(script: Script, seed: int, package: Path, port: int) -> Row:
    """Stage a script and judge it. `package`: the folder that holds the feeder package to run."""
    row = Row(script.name, seed)
    start = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="feeder-soak-") as folder:
        exchange = Simulator(Market(script.symbols, script.rate, seed, script.upstream))
        stage = Stage(Path(folder), package, port, exchange, script.settings)
        performance = _Performance(script, seed, stage, exchange)
        try:
            await performance.run()
        except (SoakError, OSError, TimeoutError) as error:
            row.problems.append(f"{type(error).__name__}: {error}")
        finally:
            await stage.close()
        performance.judge(row)
    row.seconds = round(time.monotonic() - start, 1)
    return row


class _Performance:
    """A script on its stage."""

    def __init__(self, script: Script, seed: int, stage: Stage, exchange: Simulator) -> None:
        self._script = script
        self._seed = seed
        self._stage = stage
        self._exchange = exchange
        self._hearing = Hearing(stage, Limits(altered_seconds=script.altered_seconds))
        self._audit = self._hearing.audit
        self._joined: list[str] = []  # who joined late, or was started again
        self._killed: list[float] = []  # when the feeder was
        self._restarted: list[float] = []
        self._calm_at: float | None = None
        self._ended = False

    async def run(self) -> None:
        """From nothing to everything ended. SoakError when a program does not do its part."""
        hearing, script = self._hearing, self._script
        async with hearing.open():
            for number, follower in enumerate(script.followers):
                if not follower.joins:
                    await self._start(number)
            await self._stage.start_feeder()
            await hearing.all_live()
            await self._act(time.monotonic())
            self._calm_at = await hearing.settle(
                script.live_within + _GRACE_SECONDS,
                [f"consumer {number + 1}" for number, follower in enumerate(script.followers) if follower.keeps_faults],
            )
            done = await asyncio.to_thread(self._exchange.faults_done)
            if done != len(script.upstream):
                hearing.problems.append(f"{done} of {len(script.upstream)} faults of the exchange were done")
            await hearing.end()
        self._ended = True

    async def _start(self, number: int) -> str:
        follower = self._script.followers[number]
        name = f"consumer {number + 1}"
        if name in self._audit.witnesses:
            name += " again"
        await self._hearing.start(
            name,
            everything=follower.everything,
            seed=self._seed + number,
            faults=follower.faults,
            receive_buffer=follower.receive_buffer,
        )
        return name

    async def _act(self, begin: float) -> None:
        """What the script does, each at its time."""
        script = self._script
        followers = enumerate(script.followers)
        joins = [Act(follower.joins, Do.START_CONSUMER, number) for number, follower in followers if follower.joins]
        for act in sorted([*script.acts, *joins], key=lambda act: act.at):
            await asyncio.sleep(max(0.0, begin + act.at - time.monotonic()))
            await self._do(act)
        await asyncio.sleep(max(0.0, begin + script.seconds - time.monotonic()))

    async def _do(self, act: Act) -> None:
        stage = self._stage
        name = f"consumer {act.who + 1}"
        match act.do:
            case Do.KILL_FEEDER:
                assert stage.feeder is not None
                self._killed.append(time.monotonic())
                await stage.feeder.kill()
            case Do.START_FEEDER:
                self._restarted.append(time.monotonic())
                await stage.start_feeder()
            case Do.KILL_CONSUMER:
                await stage.consumers.pop(name).program.kill()
            case Do.START_CONSUMER:
                self._joined.append(await self._start(act.who))
            case Do.STOP_CONSUMER:
                with stopped(stage.consumers[name].program):
                    await asyncio.sleep(act.seconds)

    # The verdict ------------------------------------------------------------------------------------------------------

    def judge(self, row: Row) -> None:
        """Fill the row."""
        script = self._script
        row.problems += self._hearing.problems
        count(row, self._audit, ended=self._ended)
        if not self._ended:
            return
        self._judge_end(row)
        self._judge_joins(row)
        self._judge_restarts(row)
        row.problems += script.expect.misses(
            holes=row.holes,
            filled=row.filled,
            requests=row.requests,
            lost=row.lost,
            conflated=row.conflated,
            dropped_here=row.dropped_here,
            checksum_mismatches=row.checksum_mismatches,
            fill_p99_ms=row.fill_ms.get("p99"),
        )

    def _judge_end(self, row: Row) -> None:
        """Everything LIVE, in time, and equal."""
        assert self._calm_at is not None
        for consumer in self._hearing.followers:
            witness = self._audit.witnesses[consumer.name]
            lost_at = [mark.time for mark in witness.marks if mark.what == "not all LIVE"]
            live_at = [mark.time for mark in witness.marks if mark.what == "all LIVE"]
            if not live_at or (lost_at and lost_at[-1] > live_at[-1]):
                row.problems.append(f"{consumer.name}: not every book was LIVE at the end")
                continue
            settled = max(0.0, live_at[-1] - self._calm_at)
            row.settled_seconds[consumer.name] = round(settled, 3)
            if settled > self._script.live_within:
                within = self._script.live_within
                row.problems.append(
                    f"{consumer.name}: all LIVE {settled:.2f} s after the last fault, not within {within:g} s"
                )
            different = self._audit.never_equal_since(consumer.name, self._calm_at)
            if different:
                row.problems.append(f"{consumer.name}: {len(different)} books were not found equal at the end")

    def _judge_joins(self, row: Row) -> None:
        for name in self._joined:
            witness = self._audit.witnesses[name]
            joined, live = witness.marked("joined"), witness.marked("all LIVE")
            if joined is None or live is None:
                row.problems.append(f"{name} joined and never had all books LIVE")
                continue
            row.joined_seconds[name] = round(live - joined, 3)
            if live - joined > self._script.join_within:
                row.problems.append(
                    f"{name}: all LIVE {live - joined:.3f} s after it joined, not within {self._script.join_within:g} s"
                )

    def _judge_restarts(self, row: Row) -> None:
        script, reference = self._script, self._audit.reference
        for killed in self._killed:
            for witness in self._audit.witnesses.values():
                partitions = {flag.partition for flag in witness.flags}
                told = {each: _first(witness.flags, "FeederLost", each, killed) for each in partitions}
                late = [when - killed for when in told.values() if when is not None]
                if len(late) < len(told) or max(late, default=9e9) > script.notice_within:
                    row.problems.append(f"{witness.name}: the feeder's death was noticed after {late} s")
                row.noticed_seconds += [round(each, 3) for each in late]
        for restarted in self._restarted:
            heard = [flag.time for flag in reference.flags if flag.event == "SessionChanged" and flag.time > restarted]
            if not heard:
                row.problems.append("the restarted feeder was never heard")
                continue
            for witness in self._audit.witnesses.values():
                live = witness.marked("all LIVE", min(heard))
                if live is None or live - min(heard) > script.back_within:
                    took = "never" if live is None else f"{live - min(heard):.2f} s after"
                    row.problems.append(f"{witness.name}: all LIVE {took} the restarted feeder was heard")
                if live is not None:
                    row.back_seconds.append(round(live - min(heard), 3))


def _first(flags: Iterable[Flag], event: str, partition: int, since: float) -> float | None:
    return next((f.time for f in flags if f.event == event and f.partition == partition and f.time >= since), None)
