"""Tells that a file has changed: written in place, replaced by a rename, behind a link that was switched, or made anew.

A thread waits for the operating system to report something in the file's directories, and looks every two seconds
besides: that finds what a network file system or a link further up does not report. Reading waits for no event loop.
"""

import asyncio
import logging
import os
import stat
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path

from watchfiles import watch

from feeder.log import logger

_STEP_MS = 200  # how often watchfiles asks whether something was reported; it takes the interpreter each time
_LOOK_MS = 2_000
_QUIET_SECONDS = 0.2  # for so long the bytes must be the same, so that no half-written file is told
_RESTLESS_ROUNDS = 10  # of that; then they are told all the same
_RETRY_FIRST, _RETRY_CAP = 1.0, 30.0  # seconds until a directory that cannot be watched is tried again
_END_SECONDS = 2.0  # a thread that takes longer hangs in a file system, and ends with the process

_log = logger("watch")
# It logs every change in the directory when debugging: where the log is in that directory, each line made the next.
logging.getLogger("watchfiles").setLevel(logging.WARNING)


async def changes(path: Path) -> AsyncGenerator[None, None]:
    """Yield each time the file's bytes are others than those seen last; the first are those of when this is begun.

    Several changes while the receiver is busy are one. A file that is missing, or cannot be read or watched, is no
    change: it is logged once, looked for again, and compared with what was seen last when it is back. Ends when
    cancelled or closed, never by itself.
    """
    loop = asyncio.get_running_loop()
    changed, ended = asyncio.Event(), asyncio.Event()
    watched = _Watched(path, lambda: loop.call_soon_threadsafe(changed.set))

    def run() -> None:
        try:
            watched.run()
        finally:
            if not loop.is_closed():
                loop.call_soon_threadsafe(ended.set)

    thread = threading.Thread(target=run, name=f"watch {path.name}", daemon=True)
    thread.start()
    try:
        while True:
            await changed.wait()
            changed.clear()
            yield
    finally:
        watched.stop.set()
        try:
            async with asyncio.timeout(_END_SECONDS):
                await ended.wait()
            thread.join()
        except TimeoutError:
            _log.warning("file still being read at the end", path=str(path))


class _Watched:
    """One file, in a thread of its own until `stop` is set."""

    def __init__(self, path: Path, tell: Callable[[], object]) -> None:
        self.stop = threading.Event()
        self._path = path
        self._tell = tell
        self._seen: bytes | None = None  # before there was a file
        self._troubled = False

    def run(self) -> None:
        """Look and tell."""
        self._seen, error = _read(self._path)
        if error is not None:
            self._on_trouble(error)
        delay = _RETRY_FIRST
        while not self.stop.is_set():
            try:
                if self._watch():
                    delay = _RETRY_FIRST
                    continue
            except (OSError, RuntimeError) as error:  # RuntimeError: what else watchfiles raises, and a loop of links
                self._on_trouble(error)
            self.stop.wait(delay)
            delay = min(2 * delay, _RETRY_CAP)
            self._look()

    def _watch(self) -> bool:
        """Watch the directories until they are others; whether that was of any use."""
        directories = _directories(self._path)
        useful = False
        for _ in watch(
            *directories,
            watch_filter=None,
            recursive=False,
            step=_STEP_MS,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            stop_event=self.stop,
            raise_interrupt=False,
        ):
            useful = True
            if self._look() and self._troubled:
                self._troubled = False
                _log.info("file watched again", path=str(self._path))
            if _directories(self._path) != directories:
                break
        return useful

    def _look(self) -> bool:
        """Tell if the bytes are others, and stay so; whether there was something to look at."""
        content, error = _read(self._path)
        for _ in range(_RESTLESS_ROUNDS):
            if content is not None and content == self._seen:
                return True
            self.stop.wait(_QUIET_SECONDS)
            before = content
            content, error = _read(self._path)
            if content == before:
                break
        if error is not None:
            self._on_trouble(error)
            return False
        if content != self._seen:
            self._seen = content
            self._tell()
        return True

    def _on_trouble(self, error: Exception) -> None:
        if not self._troubled:
            self._troubled = True
            _log.warning("file not watched", path=str(self._path), error=str(error))


def _directories(path: Path) -> dict[str, tuple[int, int]]:
    """Where the name is and where the file behind it is, by path, each with what tells it from another of that path."""
    found = {}
    for directory in (path.absolute().parent, path.resolve().parent):
        status = directory.stat()
        found[str(directory)] = (status.st_dev, status.st_ino)
    return found


def _read(path: Path) -> tuple[bytes | None, OSError | None]:
    """The file's bytes, or why there are none."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with open(descriptor, "rb") as file:  # noqa: PTH123 - of a descriptor, as a pipe must not be waited for
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None, OSError(f"{path} is no regular file")
            return file.read(), None
    except OSError as error:
        return None, error
