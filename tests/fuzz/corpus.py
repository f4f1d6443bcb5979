"""The inputs kept in tests/data/fuzz/<target>: what was found, minimised, and sound ones (`seed-*`) to begin from.

INDEX of each folder has a line per file: its name, then what it was.
"""

from collections.abc import Iterator
from pathlib import Path

DATA = Path(__file__).parents[1] / "data" / "fuzz"


def entries(target: str) -> Iterator[tuple[str, bytes]]:
    """(name, content) of each input kept for a target, in the order of their names."""
    for path in sorted((DATA / target).iterdir()):
        if path.name != "INDEX":
            yield path.name, path.read_bytes()


def explained(target: str) -> dict[str, str]:
    """What each input was, by name."""
    lines = (DATA / target / "INDEX").read_text("utf-8").splitlines()
    return {name: text.strip() for name, _, text in (line.partition(" ") for line in lines)}
