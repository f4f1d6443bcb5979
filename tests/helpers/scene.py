"""Three programs and an auditor: a simulator and a feeder as processes of their own, a consumer here."""

import asyncio
import json
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from feeder.client import Subscriber, ViewStatus
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.multicast.plan import Line
from tests.helpers.audit import Auditor
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses, Program, feeder, multicast_section, simulator, until

LOOK_SECONDS = 5.0  # between comparisons: the simulator forgets after 2,000 updates of a book


class Scene:
    """What a test does to the exchange, and what the consumer thinks of it."""

    def __init__(
        self,
        sim: Program,
        addresses: Addresses,
        following: Program,
        consumer: Subscriber,
        symbols: int,
        settings: dict[str, Any],
    ) -> None:
        self.simulator = sim
        self.addresses = addresses
        self.feeder = following
        self.settings = settings  # the feeder's
        self.consumer = consumer
        self.auditor = Auditor(consumer, addresses)
        self._symbols = symbols

    async def inject(self, fault: str, **keys: Any) -> dict[str, Any]:
        """Have a fault done now; what the simulator says of it."""
        return await asyncio.to_thread(self._post, {"fault": fault, **keys})

    def _post(self, entry: dict[str, Any]) -> dict[str, Any]:
        request = urllib.request.Request(
            self.addresses.rest + "/simulator/faults",
            data=json.dumps(entry).encode(),
            headers={"Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as reply:
                done: dict[str, Any] = json.load(reply)
        except urllib.error.HTTPError as error:
            with error:
                raise AssertionError(error.read().decode()) from error
        assert done["touched"], f"{entry} touched nothing"
        return done

    async def until(self, condition: Callable[[], bool], seconds: float, what: str) -> float:
        """Wait for something, seconds it took; on the way every LIVE book is compared."""
        start = time.monotonic()
        while not condition():
            left = start + seconds - time.monotonic()
            assert left > 0, f"waited {seconds} s for {what}; {self.told()}"
            assert self.feeder.process.returncode is None, self.feeder.log
            try:
                await until(condition, min(LOOK_SECONDS, left), what)
            except AssertionError:
                await self.audit()
        return time.monotonic() - start

    async def pass_time(self, seconds: float) -> None:
        """Let the fault have its time, comparing every LIVE book."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            await asyncio.sleep(min(left, LOOK_SECONDS))
            await self.audit()

    async def audit(self) -> None:
        """No book that was LIVE was ever another than the exchange's."""
        await asyncio.to_thread(self.auditor.compare)

    def told_by_simulator(self) -> list[dict[str, Any]]:
        """The faults that were done so far."""
        faults: list[dict[str, Any]] = self.addresses.get("/simulator/faults")[1]["faults"]
        return faults

    def told(self) -> str:
        """What the consumer saw, for a failure's message."""
        return ", ".join(f"{s.name} {r.name}: {n} books" for (s, r), n in self.auditor.lost().items()) or "all LIVE"

    @property
    def lost(self) -> set[InstrumentKey]:
        """The books that were not LIVE at some time since the fault."""
        changes = self.auditor.changes
        return {key for key in changes if any(c.status is not ViewStatus.LIVE for c in changes[key])}

    def is_lost(self, key: InstrumentKey, status: ViewStatus, reason: StatusReason) -> bool:
        """Whether a book was in this status for this reason since the fault."""
        return any(c.status is status and c.reason is reason for c in self.auditor.changes.get(key, []))

    async def live(self, seconds: float = 30, *, but: tuple[InstrumentKey, ...] = ()) -> None:
        """All books are LIVE, `but` these."""
        consumer = self.consumer

        def all_live() -> bool:
            books = consumer.books
            return len(books) == self._symbols and all(view.is_live for key, view in books.items() if key not in but)

        await self.until(all_live, seconds, "all books LIVE")

    async def ends_well(self, seconds: float = 30, *, but: tuple[InstrumentKey, ...] = ()) -> None:
        """All books are LIVE again and the exchange's own, and none was ever LIVE and wrong."""
        await self.live(seconds, but=but)
        views = [view for key, view in self.consumer.books.items() if key not in but]
        assert await differences(views, self.addresses) == []
        await self.audit()
        assert self.auditor.wrong == []
        assert self.auditor.checked > 0
        assert self.auditor.unknown == 0


@asynccontextmanager
async def scene(
    folder: Path,
    *,
    symbols: int = 6,
    categories: tuple[str, ...] = ("linear", "spot"),
    rate: float = 150.0,
    script: str | None = None,
    settings: dict[str, Any] | None = None,
    subscriber: Callable[..., Subscriber] = Subscriber,
) -> AsyncIterator[Scene]:
    """All books LIVE and nothing forgotten but how they became so.

    `script` is the text of a file of faults, `subscriber` makes the consumer of where the feeder's lines are.
    """
    section = multicast_section()
    arguments = [f"--symbols={symbols}", f"--categories={','.join(categories)}", f"--updates-per-second={rate}"]
    if script is not None:
        path = folder / "faults.yaml"
        path.write_text(script, "utf-8")
        arguments.append(f"--faults={path}")
    async with simulator(*arguments) as (sim, addresses):
        configuration = {
            "exchange": {"websocket_url": addresses.websocket, "rest_url": addresses.rest},
            "subscriptions": [{"category": category, "symbols": "all"} for category in categories],
            "multicast": section,
            **(settings or {}),
        }
        lines = [Line(name, line["group"], line["interface"]) for name, line in section["lines"].items()]
        async with (
            feeder(folder, configuration) as following,
            subscriber(lines=lines, port=section["port"]) as consumer,
        ):
            staged = Scene(sim, addresses, following, consumer, symbols, configuration)
            await staged.live()
            staged.auditor.forget()
            yield staged
            assert await staged.feeder.end() == 0, staged.feeder.log
