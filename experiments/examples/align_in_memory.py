"""Align particles in memory, and see whether the errors are as large as torchsag expects them to be.

python align_in_memory.py [PICTURE.png]
"""

import sys

from matplotlib.figure import Figure

import torchsag
from torchsag.evaluation import compare_poses

made = torchsag.simulate("ribosome", 60, snr=0.02, box=48, voxel_size=8)
found = torchsag.align(made.particles, made.reference)

errors = compare_poses(found.poses, made.poses, torchsag.Symmetry("C1"))
expected = found.covariances[:, :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1).sqrt().rad2deg()
print(f"rotation: median error {errors.rotation_deg.median():.2f} deg, expected {expected.median():.2f} deg")

figure = Figure(figsize=(4, 3.4))
axis = figure.subplots()
axis.scatter(expected, errors.rotation_deg, s=12)
axis.axline((0, 0), slope=1, color="gray", linewidth=0.8)
axis.set(xlabel="expected rotation error (deg)", ylabel="rotation error (deg)")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "align_in_memory.png", dpi=110, bbox_inches="tight")
