"""The campaigns themselves stand in ``experiments/campaigns``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "campaigns"))
