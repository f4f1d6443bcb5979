"""A log that cannot be written never stops what it speaks of."""

import logging

import pytest

from feeder import log


class Broken:
    """A stream whose reader left, or whose disk is full."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, _: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error

    def isatty(self) -> bool:
        return False


@pytest.mark.parametrize(
    "error", [BrokenPipeError("gone"), OSError(28, "No space left on device"), ValueError("I/O on closed file")]
)
def test_a_line_that_cannot_be_written_is_counted_not_raised(monkeypatch, error):
    monkeypatch.setattr("sys.stderr", Broken(error))
    log.configure("info")
    before = log.standard_error.lost_lines
    log.logger("test").warning("book stale", symbol="BTCUSDT")
    logging.getLogger("feeder.client").warning("from the standard library")
    assert log.standard_error.lost_lines >= before + 2


def test_lines_of_both_libraries_are_json_with_the_same_names(capsys):
    log.configure("info", as_json=True)
    log.logger("pipeline.worker").warning("book stale", symbol="BTCUSDT")
    logging.getLogger("feeder.multicast").warning("line %s cannot send", "A")
    log.logger("pipeline.worker").debug("unheard")
    ours, theirs = capsys.readouterr().err.splitlines()
    assert '"part": "pipeline.worker"' in ours
    assert '"part": "multicast"' in theirs
    assert '"event": "line A cannot send"' in theirs
    assert '"level": "warning"' in ours
