"""A terminal for as long as a program shows pictures on it, and given back as it was."""

import contextlib
import os
import select
import signal
import sys
import termios
import time
import tty
from types import FrameType
from typing import Any

_ENTER, _LEAVE = "\x1b[?1049h\x1b[?25l", "\x1b[?25h\x1b[?1049l"  # another screen, without a cursor; and back
_HOME, _REST_OF_LINE, _REST = "\x1b[H", "\x1b[K", "\x1b[J"


class Terminal:
    """Standard output as a screen of its own, and single keys from standard input, if that is a terminal too."""

    def __init__(self) -> None:
        self._keys = sys.stdin.fileno() if sys.stdin is not None and sys.stdin.isatty() else None
        self._before: list[Any] | None = None
        self._handlers: dict[int, Any] = {}

    def __enter__(self) -> "Terminal":
        for number, handler in ((signal.SIGTERM, _end), (signal.SIGHUP, _end), (signal.SIGTSTP, self._pause)):
            self._handlers[number] = signal.signal(number, handler)
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._give_back()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    @property
    def takes_keys(self) -> bool:
        """Whether there is a keyboard."""
        return self._keys is not None

    def show(self, lines: list[str]) -> None:
        """Over what is there: without clearing first, nothing flickers."""
        text = "\n".join(line + _REST_OF_LINE for line in lines)
        sys.stdout.write(f"{_HOME}{text}{_REST}")
        sys.stdout.flush()

    def asked_to_end(self, seconds: float) -> bool:
        """Wait so long for `q`, or for the end of the keyboard."""
        if self._keys is None:
            time.sleep(seconds)
            return False
        ready, _, _ = select.select([self._keys], [], [], seconds)
        return bool(ready) and (not (keys := os.read(self._keys, 64)) or b"q" in keys.lower())

    def _take(self) -> None:
        if self._keys is not None:
            self._before = termios.tcgetattr(self._keys)
            tty.setcbreak(self._keys, termios.TCSANOW)
        sys.stdout.write(_ENTER)
        sys.stdout.flush()

    def _give_back(self) -> None:
        with contextlib.suppress(OSError):  # a terminal that is gone needs nothing back
            sys.stdout.write(_LEAVE)
            sys.stdout.flush()
        if self._keys is not None and self._before is not None:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._keys, termios.TCSANOW, self._before)

    def _pause(self, _number: int, _frame: FrameType | None) -> None:
        """Ctrl-Z: the shell gets its screen, and we get ours back when we go on."""
        self._give_back()
        os.kill(os.getpid(), signal.SIGSTOP)
        self._take()


def _end(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt
