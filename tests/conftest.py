"""What every test is given: logging as it was before, and a search for its secrets in what it left."""

import logging
from collections.abc import Iterator

import pytest
import structlog

from tests.helpers.secrets import SecretSearch


def pytest_configure(config: pytest.Config) -> None:
    """Secrets that stand where none may be fail the run."""
    config.pluginmanager.register(SecretSearch(config), "secrets")


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """A command run within a test configures logging for its process, onto streams that end with the test."""
    loggers = [logging.getLogger(), logging.getLogger("feeder")]
    before = [(list(logger.handlers), logger.level, logger.propagate) for logger in loggers]
    yield
    structlog.reset_defaults()
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers[:] = handlers
        logger.setLevel(level)
        logger.propagate = propagate
