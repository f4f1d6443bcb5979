"""Structured logging: one line per state change, the same field names everywhere.

Field names: `category`, `symbol`, `topic`, `depth`, `connection`, `channel`, `line`, `status`, `reason`, `generation`,
`update_id`, `expected_update_id`, `attempt`, `delay_seconds`, `address`, `error`, `count`. The event is a short
lower-case phrase that never varies ("book stale"), so that it can be searched for and counted.
"""

import logging
import sys
from collections.abc import Mapping
from typing import Any, TextIO, cast

import structlog

Logger = structlog.typing.FilteringBoundLogger


class StandardError:
    """Standard error as a log's stream that never raises: a full disk or a reader that left must not stop a book.

    The stream is looked up at each line; lines that could not be written are counted.
    """

    def __init__(self) -> None:
        self.lost_lines = 0

    def write(self, text: str) -> int:
        """Write, or count the line as lost."""
        try:
            return sys.stderr.write(text)
        except (OSError, ValueError):  # ValueError: the stream is closed
            self.lost_lines += text.count("\n")
            return 0

    def flush(self) -> None:
        """Flush, if that is possible."""
        try:
            sys.stderr.flush()
        except (OSError, ValueError):
            self.lost_lines += 1


standard_error = StandardError()
"""Where everything is logged to."""


def logger(name: str) -> Logger:
    """The logger of one part of feeder, named as the part is (`bybit.session`)."""
    return cast(Logger, structlog.get_logger(part=name))


def configure(level: str = "info", *, as_json: bool | None = None) -> None:
    """Write logs to standard error at `level` and above: JSON, or readable text when that is a terminal."""
    if as_json is None:
        as_json = not sys.stderr.isatty()
    number = logging.getLevelNamesMapping()[level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, standard_error)),
        cache_logger_on_first_use=False,
    )
    # The consumer library logs through the standard library, so that it needs nothing else; join both streams.
    handler = logging.StreamHandler(standard_error)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_name_the_part, structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    logging.basicConfig(handlers=[handler], level=number, force=True)


def _name_the_part(_logger: Any, _method: str, event: structlog.typing.EventDict) -> Mapping[str, Any]:
    record = event.get("_record")
    if record is not None:
        event["part"] = record.name.removeprefix("feeder.")
    return event
