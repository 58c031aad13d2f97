"""The command line from Python: simulate, average from a low-passed map, and look at the FSC.

python first_average.py [PICTURE.png]
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from torchsag.app.main import main

with tempfile.TemporaryDirectory() as folder:
    data, out = Path(folder, "data"), Path(folder, "averaged")
    main(f"simulate out={data} n=60 snr=0.05 seed=1 box=32 voxel_size_angstrom=10 threads=1".split())
    known = f"truth={data}/particles.star truth_map={data}/reference.mrc"
    begin = f"particles={data}/particles.star reference={data}/reference.mrc symmetry=D7 iterations=2"
    main(f"average {begin} {known} out={out} threads=1".split())
    table = np.genfromtxt(out / "fsc.csv", delimiter=",", names=True)

print("curves:", ", ".join(table.dtype.names or ()))
figure = Figure(figsize=(5, 3.2))
axis = figure.subplots()
frequency = 1 / table["resolution_angstrom"]
for name, label in {
    "corrected": "half-maps, corrected",
    "oracle": "at the true poses",
    "truth": "against the truth",
}.items():
    axis.plot(frequency, table[name], label=label)
axis.axhline(0.143, color="gray", linewidth=0.8)
axis.set(xlabel="1 / angstrom", ylabel="FSC", ylim=(-0.1, 1.05))
axis.legend(frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "first_average.png", dpi=110, bbox_inches="tight")
