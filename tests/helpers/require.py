"""What some tests need beyond the venv: named in FEEDER_REQUIRE a missing one fails, elsewhere it skips."""

import os
import shutil
from pathlib import Path
from typing import NoReturn

import pytest

PEERS = Path(__file__).parents[2] / ".venv-peers"


def require(program: str) -> str:
    """The program's path."""
    path = shutil.which(program)
    if path is None:
        missing(program, f"{program} is not on this machine")
    return path


def require_namespaces() -> None:
    """Network namespaces and a packet filter in them: root, `ip` and `nft`."""
    require("ip")
    require("nft")
    if os.geteuid() != 0:
        missing("ip", "network namespaces need root")


def require_peers() -> str:
    """The Python that has the foreign clients; `peers` in FEEDER_REQUIRE."""
    if not (PEERS / ".ready").exists():
        missing("peers", "the foreign clients are not installed; `make peers` does it, with a C compiler")
    return str(PEERS / "bin" / "python")


def missing(name: str, reason: str) -> NoReturn:
    """Fail when FEEDER_REQUIRE has the name, skip when not."""
    if name in os.environ.get("FEEDER_REQUIRE", "").split(","):
        pytest.fail(f"{name} is in FEEDER_REQUIRE, but {reason}")
    pytest.skip(reason)
