"""Rings, and rings with a cap: simulated, mixed, and divided again at their known poses.

python two_classes.py [PICTURE.png]
"""

import json
import sys
import tempfile
from pathlib import Path

import mrcfile
from matplotlib.figure import Figure

from torchsag.app.main import main

with tempfile.TemporaryDirectory() as folder:
    data, out = Path(folder, "data"), Path(folder, "classes")
    mixture = "+structure@others.second=capped n=60 snr=0.05 box=32 voxel_size_angstrom=10 low_pass_angstrom=null"
    main(f"simulate out={data} {mixture} threads=1".split())
    known = "start=listed_poses common_iterations=0 class_alignments=0"
    settings = f"{known} symmetry=C7 classes=4 repeats=2 truth={data}/particles.star"
    main(f"classify particles={data}/particles.star out={out} {settings} threads=1".split())
    summary = json.loads((out / "metrics.json").read_text())["summary"]
    maps = {path.stem: mrcfile.read(path) for path in sorted(out.glob("class_00[1-9].mrc"))}

print(f"classes: {len(maps)}; adjusted Rand index {summary['adjusted_rand_index']:.2f}")
figure = Figure(figsize=(2.2 * len(maps), 2.4))
for axis, (name, volume) in zip(figure.subplots(1, len(maps), squeeze=False)[0], maps.items(), strict=True):
    axis.imshow(volume[:, volume.shape[1] // 2], cmap="gray", origin="lower")
    axis.set_title(name, fontsize=9)
    axis.set_axis_off()
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "two_classes.png", dpi=110, bbox_inches="tight")
