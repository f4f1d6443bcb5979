"""An exporter gives its feeder precedence as far as it may, and serves all the same where it may not."""

import os
from typing import Any

import pytest

from feeder.telemetry import exporter

ALLOWED, MACHINE = {2, 3}, 4


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    done: list[Any] = []
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(ALLOWED))
    monkeypatch.setattr(os, "sysconf", {"SC_NPROCESSORS_CONF": MACHINE}.__getitem__)
    monkeypatch.setattr(os, "nice", done.append)
    monkeypatch.setattr(os, "sched_setaffinity", lambda _, cores: done.append(cores))
    return done


def refuse(*_: Any) -> None:
    raise PermissionError(1, "Operation not permitted")


def test_it_goes_to_the_processors_that_its_feeder_is_not_bound_to(done: list[Any]) -> None:
    exporter.make_way()
    assert done == [10, {0, 1}]


def test_it_stays_where_a_feeder_may_use_them_all(done: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(MACHINE)))
    exporter.make_way()
    assert done == [10, {0, 1, 2, 3}]


@pytest.mark.parametrize(("refused", "left"), [("nice", [{0, 1}]), ("sched_setaffinity", [10])])
def test_what_is_refused_is_done_without(
    refused: str, left: list[Any], done: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, refused, refuse)
    exporter.make_way()
    assert done == left
