"""Where a list says that its particles are: the places around which a search looks."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.particles import ParticleSet

_NONE = 1e-3  # voxels


def listed_origins(particles: ParticleSet, truth: Poses | None) -> Float[Tensor, "particles 3"] | None:
    """Listed shifts, voxels; None where the list has none that differ from the box centre.

    An origin outside of the box is not looked at: there is nothing of the particle in it. Nor are origins that are the
    very truth the run is to be judged by, as in the list that `torchsag simulate` writes.

    Parameters
    ----------
    particles
        The set.
    truth
        True poses that the run is judged by, if any.
    """
    if particles.poses is None:
        return None
    shifts = particles.poses.shifts.float()
    within = shifts.isfinite().all(-1) & (shifts.abs().amax(-1) < min(particles.box) / 2)
    shifts = torch.where(within[:, None], shifts, 0.0)
    if bool((shifts.abs() < _NONE).all()):
        return None
    if truth is not None and bool(((truth.shifts.float() - shifts).abs() < _NONE).all()):
        return None
    return shifts
