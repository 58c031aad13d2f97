"""One rank of a command: ``one_rank.py VICTIM AT FOLDER... -- WORDS``.

The rank VICTIM is killed before its operation number AT on files below the folders.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from kills import watch

from torchsag.app.main import main


def _rank() -> int:
    names = ("RANK", "OMPI_COMM_WORLD_RANK", "PMI_RANK", "PMIX_RANK")
    return int(next(os.environ[name] for name in names if name in os.environ))


if __name__ == "__main__":
    split = sys.argv.index("--")
    victim, at = map(int, sys.argv[1:3])
    if _rank() == victim:
        watch(at, [Path(name) for name in sys.argv[3:split]], signal.SIGKILL, reads=True)
    sys.exit(main(sys.argv[split + 1 :]))
