"""What happens to a category's messages on their way: they are late, they trickle, they come all at once. No clock."""

from collections import deque
from dataclasses import dataclass


@dataclass(slots=True)
class Line:
    """The way from the exchange to the clients of one category; undisturbed from `until` on."""

    until: float = 0.0
    delay: float = 0.0
    bytes_per_second: float | None = None
    held_until: float = 0.0

    def arrival(self, now: float, size: int, last: float) -> float:
        """When `size` bytes sent now arrive, the message before them arriving at `last`: never before it."""
        if now >= self.until:
            return max(now, last)
        start = max(now + self.delay, last, self.held_until)
        return start if self.bytes_per_second is None else start + size / self.bytes_per_second


class Transit:
    """One connection's messages on the way, in order."""

    def __init__(self) -> None:
        self.size = 0  # bytes on the way
        self._messages: deque[tuple[float, bytes]] = deque()
        self._last = 0.0

    def __bool__(self) -> bool:
        return bool(self._messages)

    def put(self, payload: bytes, now: float, line: Line) -> bool:
        """Send a message; True if it is there at once and is not kept."""
        due = line.arrival(now, len(payload), self._last)
        if due <= now and not self._messages:
            return True
        self._last = due
        self._messages.append((due, payload))
        self.size += len(payload)
        return False

    def take(self, now: float) -> bytes | None:
        """The next message that has arrived."""
        if not self._messages or self._messages[0][0] > now:
            return None
        payload = self._messages.popleft()[1]
        self.size -= len(payload)
        return payload
