"""Relatives of the inputs kept, made by hypothesis's randomness: few each time, others each time."""

from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz import corpus
from tests.fuzz.mutation import mutate
from tests.fuzz.targets import TARGETS, TOKENS

EXAMPLES = 40


@pytest.mark.parametrize("target", TARGETS)
def test_relatives_of_what_was_found_do_no_harm(target: str) -> None:
    seeds = [data for _, data in corpus.entries(target)]

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(seed=st.integers(0, len(seeds) - 1), draw=st.integers(0, (1 << 32) - 1))
    def mutated(seed: int, draw: int) -> None:
        data = mutate(seeds[seed], Random(draw), seeds, TOKENS[target])
        try:
            TARGETS[target](data)
        except BaseException as error:
            error.add_note(f"target {target}, input {data!r}")
            raise

    mutated()
