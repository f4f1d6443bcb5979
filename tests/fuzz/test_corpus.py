"""Whatever fuzzing found stays mended: every input kept is run again."""

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS

KEPT = [(target, name, data) for target in TARGETS for name, data in corpus.entries(target)]


@pytest.mark.parametrize(("target", "data"), [pytest.param(t, d, id=f"{t}/{n}") for t, n, d in KEPT])
def test_input_that_was_found_does_no_harm(target: str, data: bytes) -> None:
    TARGETS[target](data)


@pytest.mark.parametrize("target", TARGETS)
def test_each_input_says_what_it_was(target: str) -> None:
    texts = corpus.explained(target)
    assert set(texts) == {name for name, _ in corpus.entries(target)}
    assert all(texts.values())
