"""What every method of a comparison is measured by, whatever it minimises itself."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging import MapSums
from torchsag.evaluation import HalfMapFSC, compare_half_maps, compare_poses
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.reference import isolated
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.fisher import noise_variance, pose_covariance
from torchsag.likelihood.fourier_blocks import BlockSums, block_sums
from torchsag.likelihood.information import shell_of_information
from torchsag.likelihood.observations import Observations, observe
from torchsag.likelihood.reference_bound import bound_with_reference
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.trajectory import Snapshot
from torchsag.workflows.compare.trials import Trial

_INFORMATION = 0.99
_EXACT, _GIVEN = "bound", "bound_with_reference"


def correlation(particles: ParticleBatch, reference: DensityMap, poses: Poses) -> Float[Tensor, " particles"]:
    """The constrained correlation: all shells but the last that a particle measured, nothing whitened."""
    every = torch.arange(len(particles), device=poses.shifts.device)
    observed, sums = _sums(particles, reference, poses, every, reference.box[0] // 2 - 1)
    return sums.matched_filter[:, 0] * observed.power.sum(-1).clamp_min(1e-30).rsqrt()


def bound(trial: Trial) -> dict[str, float | None]:
    """Root mean square of the least errors that an unbiased method could make, by Cramer and Rao.

    With the exact map, and with the reference that the methods are given.
    """
    if trial.truth is None or trial.structure is None:
        return dict.fromkeys((*_errors(_EXACT), *_errors(_GIVEN)))
    every = torch.arange(len(trial.particles), device=trial.truth.shifts.device)
    observed, sums = _sums(trial.particles, trial.structure, trial.truth, every, trial.structure.box[0] // 2 - 1)
    variance = noise_variance(observed, sums.matched_filter[:, 0])
    exact = pose_covariance(sums, sums.amplitude[:, 0], variance)
    given = bound_with_reference(trial.particles, trial.structure, trial.reference, trial.truth)
    scales = (180 / math.pi, trial.structure.voxel_size)
    found: dict[str, float | None] = {}
    for name, covariance in ((_EXACT, exact), (_GIVEN, given)):
        diagonal = covariance.diagonal(dim1=1, dim2=2)
        for key, part, scale in zip(_errors(name), (slice(0, 3), slice(3, 6)), scales, strict=True):
            found[key] = scale * float(diagonal[:, part].sum(1).nanmean().sqrt())
    return found


def _errors(name: str) -> tuple[str, str]:
    return f"{name}_rotation_deg", f"{name}_shift_angstrom"


def average_fsc(trial: Trial, poses: Poses, symmetry: Symmetry) -> HalfMapFSC:
    """Of the averages of every other particle at these poses, symmetry imposed, no mask.

    All were aligned to one reference, so shells within its band say little; beyond it nothing favours agreement.
    """
    particles = trial.particles
    sums = MapSums.empty(particles.box, particles.voxel_size, groups=2, device=poses.shifts.device)
    sums.add(particles, poses, torch.arange(len(particles), device=poses.shifts.device) % 2)
    first, second = sums.finish(symmetry)
    return compare_half_maps(first, second)


def convergence(trial: Trial, snapshots: Sequence[Snapshot], symmetry: Symmetry) -> list[dict[str, Any]]:
    """Correlation and error of each particle's best candidate by evaluations spent; means and medians of particles.

    Which candidate is best is judged by the correlation over the shells that hold the reference's pose information.
    """
    rows = []
    for snapshot in snapshots:
        best = _best(trial, snapshot)
        row: dict[str, Any] = {
            "evaluations": snapshot.passes,
            "mean_ccc": float(correlation(trial.particles, trial.reference, best).mean()),
        }
        if trial.truth is not None:
            turned = compare_poses(best, trial.truth, symmetry).rotation_deg
            row["median_rotation_error_deg"] = float(turned.quantile(0.5))
        rows.append(row)
    return rows


def _best(trial: Trial, snapshot: Snapshot) -> Poses:
    reference, count = trial.reference, len(trial.particles)
    shell = shell_of_information(isolated(reference.density.float()), _INFORMATION)
    _, sums = _sums(trial.particles, reference, snapshot.poses, snapshot.particle, shell)
    scores = sums.matched_filter[:, 0]
    unknown = torch.ones_like(scores)
    ranked = Contenders(snapshot.poses, snapshot.particle, scores, unknown, unknown > 0)
    return ranked[ranked.best(count)].poses


def _sums(
    particles: ParticleBatch, model: DensityMap, poses: Poses, particle: Tensor, shell: int
) -> tuple[Observations, BlockSums]:
    """Particles against a placed map up to a shell."""
    band = FourierBand.of(model.box[0], shell, device=model.density.device)
    observed = observe(particles, band)
    table = FourierTable.from_density(isolated(model.density.float()), shell)
    return observed, block_sums(table, band, observed, poses, particle, torch.arange(band.num_blocks)).total()
