"""Gold beads: does a loss that trusts outliers less find better poses when a few voxels are far too bright?

python outliers.py [PICTURE.png]
"""

import sys
from dataclasses import replace

import torch
from matplotlib.figure import Figure

from torchsag.alignment.candidate_refinement import CandidateRefinement
from torchsag.alignment.sag import SAGAligner
from torchsag.evaluation import compare_poses
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.losses.robust_distance import RobustDistance
from torchsag.losses.student_t import StudentT
from torchsag.optim import LevenbergMarquardt, Preconditioned, Whitening
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

reference, symmetry = density_of(ribosome_phantom(), 32, 12.0, 24.0), Symmetry("C1")
particles, truth = simulate_particles(reference, 8, 0.1)
beads = (torch.rand(particles.volumes.shape, generator=torch.Generator().manual_seed(1)) < 1e-3).float()
spoilt = replace(particles, spectra=particles.spectra + to_half_spectrum(30 * particles.volumes.std() * beads))

settings = SAGAligner(resolution_angstrom=None, max_candidates=2)
figure = Figure(figsize=(5, 3))
axis = figure.subplots()
for place, loss in enumerate((settings.loss, RobustDistance(), StudentT())):
    method = CandidateRefinement(
        search=settings.search, loss=loss, partition=settings.partition, interpolation=settings.interpolation,
        optimizer=Preconditioned(LevenbergMarquardt(), Whitening()), resolution_angstrom=None, max_candidates=2,
    )  # fmt: skip
    aligner = method.prepare(reference, symmetry)
    name = type(loss).__name__
    for batch, colour, said in ((particles, "tab:blue", "as they are"), (spoilt, "tab:orange", "with beads")):
        error = compare_poses(aligner(batch).poses, truth, symmetry).rotation_deg
        print(f"{name}, {said}: median rotation error {error.median():.2f} deg")
        axis.bar(
            place + (0.2 if batch is spoilt else -0.2),
            error.median(),
            0.35,
            color=colour,
            label=said if place == 0 else None,
        )
axis.set_xticks(range(3), ["ConstrainedDistance", "RobustDistance", "StudentT"])
axis.set_ylabel("median rotation error (deg)")
axis.legend(frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "outliers.png", dpi=110, bbox_inches="tight")
