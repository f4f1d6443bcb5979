"""A consumer under audit as a program of its own, to be run in a network namespace; it is asked by lines of JSON.

`python -m tests.helpers.consumer SETTINGS`: {"lines": [[name, group, interface]], "port": .., "rest": .., "books": ..}.
It says {"joined": true}, then answers one line to each {"do": name, ...} on its input, and ends when its input does:

    live     every book LIVE within `seconds`? {"live", "seconds", "statuses"}
    mark     from here on counts; {}
    seen     since the mark: {"lost": {status and reason: books}}, and of what was counted what is not 0: "holes",
             "holes BOOKS", "filled", "abandoned", "requests", "packets A", "feeder lost" (partitions), ...
    well     every book LIVE and the exchange's own within `seconds`, and none ever LIVE and wrong? {"differences", ..}
"""

import asyncio
import json
import sys
import time
from collections import Counter
from functools import partial
from typing import Any

from feeder.client import FeederHeard, FeederLost, HoleAbandoned, HoleFilled, PacketsLost, Subscriber
from feeder.multicast.plan import Line
from tests.helpers.audit import Auditor
from tests.helpers.compare import differences
from tests.helpers.processes import Addresses

LOOK_SECONDS = 2.0  # between comparisons: the simulator forgets after 2,000 updates of a book


class Consumer:
    """What it is asked, and what it knows."""

    def __init__(self, subscriber: Subscriber, addresses: Addresses, books: int) -> None:
        self._subscriber = subscriber
        self._addresses = addresses
        self._books = books
        self._auditor = Auditor(subscriber, addresses)
        self._comparing = asyncio.Lock()
        self._events: Counter[str] = Counter()
        self._counted_before: Counter[str] = Counter()
        subscriber.on(PacketsLost, partial(self._on_hole, "holes"))
        subscriber.on(HoleFilled, partial(self._on_hole, "filled"))
        subscriber.on(HoleAbandoned, partial(self._on_hole, "abandoned"))
        subscriber.on(FeederLost, lambda _: self._events.update(["feeder lost"]))
        subscriber.on(FeederHeard, lambda _: self._events.update(["feeder heard"]))

    async def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        """What is said to one request."""
        match request["do"]:
            case "live":
                return await self._live(request["seconds"])
            case "mark":
                self._auditor.forget()
                self._counted_before = self._counted()
                return {}
            case "seen":
                return self._seen()
            case "well":
                return await self._well(request["seconds"])
            case other:
                raise ValueError(f"cannot {other!r}")

    async def compare(self) -> None:
        """Hold what was LIVE since the last time against the exchange."""
        async with self._comparing:
            await asyncio.to_thread(self._auditor.compare)

    async def _live(self, seconds: float) -> dict[str, Any]:
        start = time.monotonic()
        while not self._all_live() and time.monotonic() - start < seconds:  # noqa: ASYNC110 - views tell nobody that waits
            await asyncio.sleep(0.01)
        statuses = Counter(view.status.name for view in self._subscriber.books.values())
        return {"live": self._all_live(), "seconds": time.monotonic() - start, "statuses": dict(statuses)}

    def _all_live(self) -> bool:
        books = self._subscriber.books
        return len(books) == self._books and all(view.is_live for view in books.values())

    def _seen(self) -> dict[str, Any]:
        lost = {f"{status.name} {reason.name}": books for (status, reason), books in self._auditor.lost().items()}
        return {"lost": lost, "lost_seconds": self._auditor.lost_seconds(), **(self._counted() - self._counted_before)}

    async def _well(self, seconds: float) -> dict[str, Any]:
        live = await self._live(seconds)
        views = list(self._subscriber.books.values())
        different = await differences(views, self._addresses) if live["live"] else [str(live)]
        await self.compare()
        auditor = self._auditor
        return {
            "differences": different,
            "wrong": auditor.wrong,
            "checked": auditor.checked,
            "unknown": auditor.unknown,
            "callback_errors": self._subscriber.callback_errors,
        }

    def _counted(self) -> Counter[str]:
        counted = Counter(self._events)
        for feed in self._subscriber.feeds.values():
            stats = feed.repairs.stats
            counted.update(requests=stats.requests, answers=stats.answers, rejects=sum(stats.rejects.values()))
            counted.update(malformed=feed.malformed, mismatches=feed.books.counters.checksum_mismatches)
            for _, arbiter in feed.arbiters.values():
                counted.update(reordered=arbiter.stats.reordered, duplicates=arbiter.stats.duplicates)
                for line, per_line in arbiter.stats.lines.items():
                    counted[f"packets {line}"] += per_line.packets
        return counted

    def _on_hole(self, what: str, event: PacketsLost | HoleFilled | HoleAbandoned) -> None:
        self._events[what] += 1
        self._events[f"{what} {event.kind.name}"] += 1


async def _run(settings: dict[str, Any]) -> None:
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(partial(asyncio.StreamReaderProtocol, commands), sys.stdin)
    lines = [Line(*line) for line in settings["lines"]]
    async with Subscriber(lines=lines, port=settings["port"]) as subscriber:
        consumer = Consumer(subscriber, Addresses("", settings["rest"]), settings["books"])
        _say({"joined": True})

        async def audit() -> None:
            while True:
                await asyncio.sleep(LOOK_SECONDS)
                await consumer.compare()

        auditing = asyncio.create_task(audit())
        async for line in commands:
            _say(await consumer.answer(json.loads(line)))
            if auditing.done():
                break
        auditing.cancel()
        await asyncio.wait([auditing])
        if not auditing.cancelled():
            auditing.result()


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(_run(json.loads(sys.argv[1])))
