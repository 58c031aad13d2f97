"""Whether tilt images show a reference or its mirror image.

The sign of the tilt angles decides about the hand of everything assembled from tilt images, and neither it nor the hand
of a map can be seen in its file. Aligning to the wrong hand gives poses that mean nothing, so it is tried on a few
particles before the run: a chiral structure fits one of the two better, particle by particle.
"""

from __future__ import annotations

import logging

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import Aligner
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.parallel import Serial, Workers
from torchsag.particles import DensityMap, ParticleSet, TiltStack
from torchsag.runs.usable_particles import load_usable
from torchsag.verdict import Finding

_LOG = logging.getLogger(__name__)
_SAMPLE = 16
_LEAST = 5  # with fewer particles the spread of the differences is not known
_CERTAIN = 4.0  # standard errors
_SAME_AXES = 1e-6  # entries of equal rotations differ by less
_MIRRORED = (
    "the particles show the mirror image of the reference, so they are aligned to that; poses and average are in the "
    "hand that the tilt angles say. One of the two is wrong: mirror=true or false decides, see docs/particles.md"
)


def in_hand_of(
    particles: ParticleSet,
    reference: DensityMap,
    mirror: bool | None,
    method: Aligner,
    symmetry: Symmetry,
    device: torch.device,
    workers: Workers | None = None,
) -> tuple[DensityMap, bool]:
    """The reference or its mirror image, and whether it is that; the same on every rank.

    Parameters
    ----------
    mirror
        Decides; None finds out, and says so where it is the mirror image.
    """
    workers = Serial() if workers is None else workers
    mirrored = mirror
    if mirrored is None:
        found = workers.is_root and shows_mirror_image(particles, reference, method, symmetry, device)
        mirrored = workers.broadcast(found)
        if mirrored and workers.is_root:
            _LOG.warning("%s", _MIRRORED)
    return (mirror_image(reference, symmetry), True) if mirrored else (reference, False)


def mirror_image(reference: DensityMap, symmetry: Symmetry) -> DensityMap:
    """The reference as tilt images show it whose angles have the other sign: z counted backwards.

    So poses are those that a list of the other hand has. Where that would turn the axes of a group, those of T, x is.
    """
    backwards = torch.diag(torch.tensor([1.0, 1.0, -1.0], dtype=torch.float64))
    mates = symmetry.rotations
    apart = (backwards @ mates @ backwards)[:, None] - mates
    kept = bool((apart.abs().amax((-1, -2)).amin(1) < _SAME_AXES).all())
    return reference.mirrored("z" if kept else "x")


def judge_hand(mirror: bool | None, mirrored: bool) -> Finding | None:
    """A reference that was mirrored unasked is a doubt."""
    return Finding("hand_opposite", "doubt", _MIRRORED) if mirrored and mirror is None else None


def refuse_without_reference(mirror: bool | None, reference: str | None) -> None:
    """Nothing can be mirrored that is not there; InputError."""
    if mirror is not None and reference is None:
        raise InputError(
            f"mirror={str(mirror).lower()}: expected reference=MAP with it; from the particles alone the map has the "
            "hand that the tilt angles say"
        )


def shows_mirror_image(
    particles: ParticleSet, reference: DensityMap, method: Aligner, symmetry: Symmetry, device: torch.device
) -> bool:
    """Whether tilt stacks fit the mirror image of a reference better than the reference, beyond doubt.

    False where particles are volumes: their hand is a matter of whoever made them, as that of the reference is.
    """
    stacks = [row for row, source in enumerate(particles.volumes) if isinstance(source, TiltStack)]
    rows = stacks[:: max(1, -(-len(stacks) // _SAMPLE))]
    batch, rows, _ = load_usable(particles, rows, device)
    if batch is None or len(rows) < _LEAST:
        return False
    given, mirrored = (
        method.prepare(one, symmetry, device)(batch).scores.double().cpu()
        for one in (reference, mirror_image(reference, symmetry))
    )
    return _is_larger(mirrored - given)


def _is_larger(difference: Float[Tensor, " particles"]) -> bool:
    """Whether the mean difference lies above zero by more than chance."""
    spread = difference.std() / len(difference) ** 0.5
    _LOG.debug("hand: mean difference of scores %g +- %g", float(difference.mean()), float(spread))
    return bool(difference.mean() > _CERTAIN * spread) and bool(difference.isfinite().all())
