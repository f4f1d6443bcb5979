"""The level of a logger that several set: the last word counts, and in the end all is as before."""

import logging

import pytest

from feeder.bybit.system.log_level import LogLevel


@pytest.fixture
def logger() -> logging.Logger:
    logger = logging.Logger("of no one")
    logger.setLevel(17)
    return logger


def test_who_spoke_last_has_it_until_nobody_wants_any(logger: logging.Logger) -> None:
    level = LogLevel(logger)
    seen = []
    for who, wanted in [("a", "info"), ("b", "error"), ("a", "debug"), ("a", None), ("c", None), ("b", None)]:
        level.ask(who, wanted)
        seen.append(logger.level)
    assert seen == [logging.INFO, logging.ERROR, logging.DEBUG, logging.ERROR, logging.ERROR, 17]


def test_who_wants_none_leaves_it_alone(logger: logging.Logger) -> None:
    level = LogLevel(logger)
    level.ask("a", None)
    logger.setLevel(23)  # by the program, meanwhile
    level.ask("a", "info")
    level.ask("a", None)
    assert logger.level == 23
