"""Standard output that never blocks the event loop: a reader that is slow loses lines, and is told how many."""

import contextlib
import os
import queue
import threading
from collections.abc import Callable

_CAPACITY = 20_000  # lines
_LARGEST_WRITE = 1 << 16  # bytes, joined from lines that wait anyway


class LineWriter:
    """Writes lines to a file descriptor from a thread of its own.

    `dropped(count)` makes the line that stands where `count` lines are missing; `ended()` is called from the thread
    when nobody reads any more or writing fails. It writes to the descriptor itself: a thread that is stuck in
    `sys.stdout` would keep the interpreter from ending.
    """

    def __init__(
        self, descriptor: int, dropped: Callable[[int], bytes], ended: Callable[[], None], capacity: int = _CAPACITY
    ) -> None:
        self.error: OSError | None = None  # why writing ended; None also for a reader that has left
        self._descriptor = descriptor
        self._dropped_line = dropped
        self._ended = ended
        self._dropped = 0
        self._lines: queue.Queue[bytes | None] = queue.Queue(capacity)
        self._thread = threading.Thread(target=self._run, name="feeder-listen-output", daemon=True)
        self._thread.start()

    def write(self, line: bytes) -> None:
        """Have a line, its line feed included, written as soon as may be; never waits."""
        try:
            if self._dropped:
                self._lines.put_nowait(self._dropped_line(self._dropped))
                self._dropped = 0
            self._lines.put_nowait(line)
        except queue.Full:
            self._dropped += 1

    def close(self, timeout: float = 1.0) -> None:
        """Wait for what is still to be written, at most `timeout` seconds."""
        with contextlib.suppress(queue.Full):
            self._lines.put(None, timeout=timeout)
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while (line := self._lines.get()) is not None:
                end = False
                batch = bytearray(line)
                while len(batch) < _LARGEST_WRITE and not self._lines.empty():
                    more = self._lines.get()
                    if more is None:
                        end = True
                        break
                    batch += more
                self._write(batch)
                if end:
                    return
        except BrokenPipeError:
            self._ended()
        except OSError as error:
            self.error = error
            self._ended()

    def _write(self, data: bytearray) -> None:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
