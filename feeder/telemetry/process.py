"""What Linux tells of another process: whether it is still the one that was meant, and what it uses."""

import os
from dataclasses import dataclass
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """A process. `start` is in clock ticks after boot: with the pid it names one process and no later one."""

    start: int
    cpu_seconds: float
    resident_bytes: int


def find(pid: int) -> Process | None:
    """The process of this id; None if there is none, or nothing of it but an exit code that nobody fetched."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", errors="replace")
    except OSError:
        return None
    # Behind the name, which stands in parentheses and may hold anything: proc_pid_stat(5) from its third field on.
    fields = text.rpartition(")")[2].split()
    if fields[0] in {"Z", "X"}:
        return None
    cpu = (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND
    return Process(int(fields[19]), cpu, int(fields[21]) * _PAGE_BYTES)


def open_files(pid: int) -> int | None:
    """How many file descriptors it has open; None if that may not be known."""
    try:
        return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:
        return None
