"""How much the library logs while systems run: what the last of them asked for, and as before when none does."""

import logging


class LogLevel:
    """The level of a logger that several may set: each for as long as it wants."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger
        self._asked: dict[object, int] = {}  # by whom, the last one at the end
        self._before = logging.NOTSET

    def ask(self, who: object, level: str | None) -> None:
        """`who` wants this level from now on; None: not any more."""
        if not self._asked:
            if level is None:
                return
            self._before = self._logger.level
        self._asked.pop(who, None)
        if level is not None:
            self._asked[who] = getattr(logging, level.upper())
        self._logger.setLevel(list(self._asked.values())[-1] if self._asked else self._before)


library_level = LogLevel(logging.getLogger("feeder.bybit"))
"""There is one, as there is one such logger."""
