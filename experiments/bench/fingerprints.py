"""Write what the benchmark's tasks are: run once for an edition, and only when it is made.

python experiments/bench/fingerprints.py            # compares, and fails if something differs
python experiments/bench/fingerprints.py --write
"""

import json
import sys
from pathlib import Path

import torchsag.bench.fingerprint
from torchsag.bench.fingerprint import Fingerprint, published
from torchsag.bench.making import make
from torchsag.bench.task import TASKS

FILE = Path(torchsag.bench.fingerprint.__file__).with_name("fingerprints.json")

if __name__ == "__main__":
    found = {task.name: Fingerprint.of(make(task)) for task in TASKS}
    if "--write" in sys.argv:
        FILE.write_text(json.dumps({name: one.record() for name, one in found.items()}, indent=1) + "\n")
    different = {task.name: found[task.name].differences(published(task)) for task in TASKS}
    for name, what in different.items():
        print(name, "differs in " + ", ".join(what) if what else "as published")
    sys.exit(any(different.values()))
