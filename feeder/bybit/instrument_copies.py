"""The last good copy of each category's instruments, on disk: what a start without REST goes by."""

import contextlib
import os
from pathlib import Path
from typing import Annotated

import msgspec

from feeder.clock import SECOND_NS, Clock
from feeder.errors import RestError, TlsError
from feeder.log import logger

from .instruments_info import InstrumentInfo
from .messages import DECODE_ERRORS

_log = logger("bybit.instruments")


class _Copy(msgspec.Struct):
    """The file on disk: what was fetched, from where and when."""

    rest_url: str
    fetched_at_ns: Annotated[int, msgspec.Meta(ge=0, le=(1 << 63) - 1)]
    instruments: list[InstrumentInfo]


_decode_copy = msgspec.json.Decoder(_Copy).decode


class InstrumentCopies:
    """Files in `directory`, one a category; None keeps none. Shards share them, each writes a whole one."""

    def __init__(self, rest_url: str, directory: Path | None, clock: Clock) -> None:
        self._rest_url = rest_url
        self._directory = directory
        self._clock = clock

    def write(self, category: str, infos: list[InstrumentInfo]) -> None:
        """Keep a good copy; a disk that fails costs the copy, not the start."""
        path = self._path(category)
        if path is None:
            return
        copy = _Copy(self._rest_url, self._clock.wall_ns(), infos)
        beside = path.with_suffix(f".{os.getpid()}.tmp")  # shards share the directory
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            beside.write_bytes(msgspec.json.encode(copy))
            beside.replace(path)
        except OSError as error:
            _log.warning("instruments not kept", category=category, error=str(error))
            with contextlib.suppress(OSError):
                beside.unlink()

    def read(self, category: str, failure: RestError) -> list[InstrumentInfo]:
        """The last good copy, if it is of the same venue; otherwise the failure that made us look."""
        path = self._path(category)
        if path is None:
            raise _no_table(category, failure) from failure
        try:
            copy = _decode_copy(path.read_bytes())
        except FileNotFoundError:
            raise _no_table(category, failure) from failure
        except (*DECODE_ERRORS, OSError) as error:
            raise _no_table(category, failure, f"; the copy {path} is unreadable: {error}") from failure
        if copy.rest_url != self._rest_url:
            raise _no_table(category, failure, f"; the copy {path} is of {copy.rest_url}") from failure
        age = (self._clock.wall_ns() - copy.fetched_at_ns) / SECOND_NS
        _log.warning("instruments from the copy on disk", category=category, age_seconds=round(age), error=str(failure))
        return copy.instruments

    def _path(self, category: str) -> Path | None:
        return self._directory / f"instruments-{category}.json" if self._directory is not None else None


def _no_table(category: str, failure: RestError, and_the_copy: str = "") -> RestError:
    """What makes a start impossible; whether and when to try again is as the failure says.

    A certificate that cannot be trusted now may be later: after a boot this machine's clock may not be set yet.
    """
    return RestError(
        f"no instrument table for {category}: {failure}{and_the_copy};"
        " check exchange.rest_url and the network, or start once with REST reachable so that a copy is kept",
        retriable=failure.retriable or isinstance(failure, TlsError),
        retry_after_seconds=failure.retry_after_seconds,
    )
