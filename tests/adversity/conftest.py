"""The network that is staged (tools/loss.py) is a program of a checkout, not of a package."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))
