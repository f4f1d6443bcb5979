"""The configuration of a running feeder: read again when it changes, applied as far as that needs no restart."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from feeder import config
from feeder.clock import Clock
from feeder.config import Config, Shard

_AT_ONCE = ("subscriptions", "universe", "log.level")  # keys that take effect while running, and what is below them


class Settings:
    """The configuration in use, and where it comes from. Raises ConfigError if there is none to begin with.

    `restart_needed` names the keys whose new value waits for a restart, `error` is why the last reading was refused.
    `generation` counts the configurations that were in use, `loaded_at_ns` is when the present one was read.
    """

    def __init__(
        self, path: Path, environ: Mapping[str, str], flags: Iterable[str], shard: Shard | None, clock: Clock
    ) -> None:
        self.path = path
        self.shard = shard
        self._environ = dict(environ)
        self._flags = list(flags)
        self._clock = clock
        self.config = self.read()
        self.generation = 1
        self.loaded_at_ns = clock.wall_ns()
        self.restart_needed: list[str] = []
        self.error: str | None = None

    def read(self) -> Config:
        """What file, environment and flags say now, for this shard. Raises ConfigError."""
        whole = config.load(self.path, self._environ, self._flags)
        return whole if self.shard is None else self.shard.narrow(whole)

    def take(self, new: Config) -> list[str]:
        """Go on with a configuration as far as that is possible; the keys that changed."""
        self.error = None
        differing = changed_keys(self.config, new)
        changed = [key for key in differing if is_applied_at_once(key)]
        self.restart_needed = [key for key in differing if key not in changed]
        if changed:
            self.generation += 1
            self.loaded_at_ns = self._clock.wall_ns()
            self.config = applied(self.config, new)
        return changed


def changed_keys(old: Config, new: Config) -> list[str]:
    """The paths of the keys that differ; a list is one key."""
    return list(_differences(msgspec.to_builtins(old), msgspec.to_builtins(new), ""))


def is_applied_at_once(key: str) -> bool:
    """Whether a changed key takes effect without a restart."""
    return any(key == path or key.startswith(f"{path}.") for path in _AT_ONCE)


def applied(old: Config, new: Config) -> Config:
    """The configuration of a feeder that ran with `old` and was told `new`: what needs a restart is as it was."""
    return msgspec.structs.replace(
        old,
        subscriptions=new.subscriptions,
        universe=new.universe,
        log=msgspec.structs.replace(old.log, level=new.log.level),
    )


def _differences(old: Any, new: Any, path: str) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict):
        for name in sorted(old.keys() | new.keys()):
            yield from _differences(old.get(name), new.get(name), f"{path}.{name}" if path else name)
    elif old != new:
        yield path
