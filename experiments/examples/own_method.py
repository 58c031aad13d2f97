"""A method of one's own: keep the best of many random rotations, at the best shift for each. Beside the default.

python own_method.py [PICTURE.png]
"""

import sys
from dataclasses import dataclass

import torch
from matplotlib.figure import Figure

from torchsag.alignment.aligner import Aligner, AlignmentResult
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.evaluation import compare_poses
from torchsag.fourier import from_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.imaging.placement import place_spectrum
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.gridding import ContinuousSpectrum


@dataclass(frozen=True)
class RandomRotations:
    """Try `count` rotations: as a yaml, ``_target_: own_method.RandomRotations`` and ``count: 500``."""

    count: int = 500

    def prepare(self, reference, symmetry, device="cpu"):
        """Turn the reference once for all particles."""
        poses = Poses.identity(self.count, device=device)
        turned = Poses(random_rotations(self.count, torch.Generator().manual_seed(0)).to(device), poses.shifts)
        return Prepared(turned, place_spectrum(ContinuousSpectrum.of(reference.density.to(device)), turned))


@dataclass(frozen=True)
class Prepared:
    """The reference at every rotation."""

    poses: Poses
    spectra: torch.Tensor

    def __call__(self, particles):
        """Correlate each particle with each turned reference at every shift, seen through the particle's weight."""
        found = []
        for spectrum, weight in zip(particles.spectra, particles.weights[particles.weight_index], strict=True):
            seen = self.spectra * weight
            correlation = from_half_spectrum(spectrum * seen.conj(), particles.box).flatten(1)
            correlation = correlation / seen.abs().square().sum((1, 2, 3)).sqrt()[:, None]
            best = int(correlation.max(1).values.argmax())
            place = torch.stack(torch.unravel_index(correlation[best].argmax(), particles.box))
            found.append((best, correlation[best].max(), (place - torch.tensor(particles.box) // 2).flip(0)))
        rows, scores, shifts = zip(*found, strict=True)
        count, unknown = len(rows), torch.full((len(rows),), torch.nan)
        poses = Poses(self.poses.rotations[list(rows)], torch.stack(shifts).float())
        score = torch.stack(scores) / torch.stack(scores).max()
        done = torch.ones(count, dtype=torch.bool)
        return AlignmentResult(poses, score, unknown[:, None, None].expand(count, 6, 6), unknown, done, unknown)


if __name__ == "__main__":
    assert isinstance(RandomRotations(), Aligner)
    reference = density_of(ribosome_phantom(), 32, 12.0, 24.0)
    particles, truth = simulate_particles(reference, 20, 0.1)
    figure = Figure(figsize=(4, 3))
    axis = figure.subplots()
    for method in (CurvatureSAGAligner(), RandomRotations(100), RandomRotations(1000)):
        result = method.prepare(reference, Symmetry("C1"))(particles)
        error = compare_poses(result.poses, truth, Symmetry("C1")).rotation_deg.sort().values
        name = type(method).__name__ + (f", {method.count}" if isinstance(method, RandomRotations) else "")
        print(f"{name}: median rotation error {error.median():.1f} deg")
        axis.semilogy(error, "o-", markersize=3, label=name)
    axis.set(xlabel="particles, best first", ylabel="rotation error (deg)")
    axis.legend(frameon=False, fontsize=7)
    figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "own_method.png", dpi=110, bbox_inches="tight")
