"""Small sets of particles on disk are those of the campaigns; what recovery means stands in ``experiments``."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests" / "campaigns"), str(ROOT / "experiments" / "campaigns")]
