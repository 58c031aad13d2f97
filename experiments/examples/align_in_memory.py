"""Align particles in memory, and see whether the errors are as large as torchsag expects them to be.

python align_in_memory.py [PICTURE.png]
"""

import sys

from matplotlib.figure import Figure

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.evaluation import compare_poses
from torchsag.geometry import Symmetry
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

reference = density_of(ribosome_phantom(), 48, 8.0, 8.0)  # 48 voxels of 8 angstrom
particles, truth = simulate_particles(reference, 60, 0.02)

aligner = CurvatureSAGAligner().prepare(reference, Symmetry("C1"))
result = aligner(particles)

errors = compare_poses(result.poses, truth, Symmetry("C1"))
expected = result.covariances[:, :3, :3].diagonal(dim1=-2, dim2=-1).sum(-1).sqrt().rad2deg()
print(f"rotation: median error {errors.rotation_deg.median():.2f} deg, expected {expected.median():.2f} deg")

figure = Figure(figsize=(4, 3.4))
axis = figure.subplots()
axis.scatter(expected, errors.rotation_deg, s=12)
axis.axline((0, 0), slope=1, color="gray", linewidth=0.8)
axis.set(xlabel="expected rotation error (deg)", ylabel="rotation error (deg)")
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "align_in_memory.png", dpi=110, bbox_inches="tight")
