"""Warnings of the libraries, each said once: thirty sockets whose buffer was cut short are one piece of news."""

import contextlib
import logging
import sys

from feeder.errors import FeedError


class Notices(logging.Handler):
    """Keeps each different warning, and writes it to standard error unless a screen is in the way."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []
        self.quiet = False

    def emit(self, record: logging.LogRecord) -> None:
        """Called by logging."""
        if isinstance(record.args, tuple) and any(isinstance(argument, FeedError) for argument in record.args):
            return  # a subscription that does not fit the feed: the listener says so itself, and which flag mends it
        text = record.getMessage()
        if text not in self.texts:
            self.texts.append(text)
            if not self.quiet:
                with contextlib.suppress(OSError, ValueError):  # nobody reads it; the feed goes on
                    sys.stderr.write(f"feeder-listen: {text}\n")
