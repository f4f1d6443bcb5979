"""Programs beyond Python that some tests need: named in FEEDER_REQUIRE a missing one fails, elsewhere it skips."""

import os
import shutil

import pytest


def require(program: str) -> str:
    """The program's path."""
    path = shutil.which(program)
    if path is None:
        if program in os.environ.get("FEEDER_REQUIRE", "").split(","):
            pytest.fail(f"{program} is in FEEDER_REQUIRE but not on this machine")
        pytest.skip(f"{program} is not on this machine")
    return path
