"""Tools are programs of a checkout, not a package: each finds the others beside it."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[3] / "tools"))
