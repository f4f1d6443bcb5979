"""A consumer under audit: every book it shows as LIVE, at every change, against the simulator's own at that update."""

import time
import zlib
from collections import Counter
from dataclasses import dataclass

from feeder.client import BookChanged, BookView, StatusChanged, Subscriber, ViewStatus
from feeder.market.fixed_point import format_fixed
from feeder.market.instrument import InstrumentKey
from feeder.market.status import StatusReason
from feeder.market.update import pairs
from tests.helpers.processes import Addresses


@dataclass(frozen=True, slots=True)
class Change:
    """A book's status from `wall_ns` on."""

    wall_ns: int
    status: ViewStatus
    reason: StatusReason


def checksum(view: BookView) -> int:
    """The CRC-32 that the simulator's /simulator/checksums tells of a book: of its levels as decimal text."""
    levels = view.depth()
    text = "".join(
        f"{_plain(price, view.price_exponent)}:{_plain(quantity, view.quantity_exponent)};"
        for side in (levels.bids, levels.asks)
        for price, quantity in pairs(side)
    )
    return zlib.crc32(text.encode("ascii"))


def _plain(number: int, exponent: int) -> str:
    text = format_fixed(number, exponent)
    return text.rstrip("0").rstrip(".") if "." in text else text


class Auditor:
    """Listens to a consumer from now on.

    `changes` has each book's changes of status since `forget`; `checked` counts books compared, `wrong` says what
    differed.
    """

    def __init__(self, consumer: Subscriber, addresses: Addresses) -> None:
        self.changes: dict[InstrumentKey, list[Change]] = {}
        self.checked = 0
        self.unknown = 0  # the simulator remembered them no longer
        self.wrong: list[str] = []
        self._addresses = addresses
        self._seen: dict[InstrumentKey, dict[tuple[int, int], int]] = {}
        consumer.on(BookChanged, self._on_book)
        consumer.on(StatusChanged, self._on_status)

    def forget(self) -> None:
        """Start afresh."""
        self.changes.clear()

    def lost(self) -> Counter[tuple[ViewStatus, StatusReason]]:
        """How many books were in each status but LIVE, in the order these were first seen."""
        found: Counter[tuple[ViewStatus, StatusReason]] = Counter()
        for changes in self.changes.values():
            found.update(dict.fromkeys((c.status, c.reason) for c in changes if c.status is not ViewStatus.LIVE).keys())
        return found

    def notice_seconds(self, since_ns: int) -> float | None:
        """From then to the first book that was not LIVE."""
        first = [c.wall_ns for changes in self.changes.values() for c in changes if c.status is not ViewStatus.LIVE]
        return (min(first) - since_ns) / 1e9 if first else None

    def lost_seconds(self) -> float:
        """The longest that any book was not LIVE in one go; one that still is not counts up to now."""
        longest = 0
        for changes in self.changes.values():
            lost_at: int | None = None
            for change in changes:
                if change.status is not ViewStatus.LIVE:
                    lost_at = change.wall_ns if lost_at is None else lost_at
                elif lost_at is not None:
                    longest = max(longest, change.wall_ns - lost_at)
                    lost_at = None
            if lost_at is not None and changes[-1].status is not ViewStatus.DELISTED:
                longest = max(longest, time.time_ns() - lost_at)
        return longest / 1e9

    def compare(self) -> None:
        """Hold all that was LIVE since the last time against the simulator. Blocks; run it in a thread."""
        seen, self._seen = self._seen, {}
        for (category, symbol), books in seen.items():
            status, told = self._addresses.get(f"/simulator/checksums/{category}/{symbol}")
            assert status == 200, told
            history = {(u, seq): their for u, seq, their in told["checksums"]}
            oldest_seq = told["checksums"][0][1]
            for (u, seq), ours in books.items():
                if (u, seq) not in history and seq < oldest_seq:
                    self.unknown += 1
                    continue
                self.checked += 1
                if history.get((u, seq)) != ours:
                    self.wrong.append(f"{category} {symbol} at u={u} seq={seq}")

    def _on_book(self, event: BookChanged) -> None:
        self._look(event.view)

    def _on_status(self, event: StatusChanged) -> None:
        key = event.view.key
        if key is not None:
            self.changes.setdefault(key, []).append(Change(time.time_ns(), event.status, event.reason))
        self._look(event.view)

    def _look(self, view: BookView) -> None:
        if view.is_live and view.key is not None:
            self._seen.setdefault(view.key, {})[view.venue_update_id, view.venue_sequence] = checksum(view)
