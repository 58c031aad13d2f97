"""Sums of maps over the rotations of a point group, in Fourier space.

A map turned by a rotation R has at q the coefficient that the map has at ``R q``. Averaging a map with its own weights
over a group needs ``sum_R W(R q) F(R q)`` and ``sum_R W(R q)``. The compiled loop takes one map
after another, for the sake of the caches; `mate_sums_torch` does the same for any device.

A rotation that permutes the axes of the grid needs no interpolation: half of a dihedral group, all of the octahedral
one follow from the others by reordering coefficients (`steps_of`).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Complex, Float, Integer
from torch import Tensor

from torchsag.spectra.gather import gather_torch
from torchsag.spectra.mates_numba import mate_sums_numba
from torchsag.spectra.tables import Sphere

_EXACT = 1e-6


def mate_sums(
    spectra: Complex[Tensor, "maps pz py px"],
    weights: Float[Tensor, "maps pz py px"],
    rotations: Float[Tensor, "mates 3 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> tuple[Complex[Tensor, "maps points"], Float[Tensor, "maps points"]]:
    """This module's sums, in double precision, by the kernel of the device.

    Parameters
    ----------
    spectra, weights
        Tables from `torchsag.spectra.tables.padded_table`: of transforms of compensated maps, and of their weights.
    rotations
        R, of the group.
    points
        Frequencies q in Fourier voxels, (x, y, z).
    n
        Edge of the box that the tables are of, voxels.
    """
    evaluate = mate_sums_numba if spectra.device.type == "cpu" else mate_sums_torch
    return evaluate(spectra, weights, rotations, points, n)


def mate_sums_torch(
    spectra: Complex[Tensor, "maps pz py px"],
    weights: Float[Tensor, "maps pz py px"],
    rotations: Float[Tensor, "mates 3 3"],
    points: Float[Tensor, "points 3"],
    n: int,
) -> tuple[Complex[Tensor, "maps points"], Float[Tensor, "maps points"]]:
    """`mate_sums` in plain tensor operations."""
    maps = len(spectra)
    index, still = torch.arange(maps, device=spectra.device), torch.zeros(maps, 3, device=spectra.device)
    total = torch.zeros(maps, len(points), dtype=torch.complex128, device=spectra.device)
    weight_total = torch.zeros(maps, len(points), dtype=torch.float64, device=spectra.device)
    for rotation in rotations.float():
        value, weight = gather_torch(spectra, weights, index, rotation.expand(maps, 3, 3), still, points, n)
        total += weight.double() * value
        weight_total += weight
    return total, weight_total


def steps_of(
    rotations: Float[Tensor, "mates 3 3"],
) -> tuple[Float[Tensor, "steps 3 3"], Float[Tensor, "exact 3 3"]]:
    """Rotations r and h, all h permuting the grid's axes, of which every mate of a group is one product ``r h``."""
    on_grid = (rotations - rotations.round()).abs().amax((1, 2)) < _EXACT
    exact, left, steps = rotations[on_grid].round(), rotations, []
    while len(left):
        steps.append(left[0])
        same = ((left[:, None] - left[0] @ exact).abs().amax((2, 3)) < _EXACT).any(1)
        left = left[~same]
    return torch.stack(steps), exact


def reordered(
    values: Complex[Tensor, "maps points"] | Float[Tensor, "maps points"],
    sphere: Sphere,
    rotation: Float[Tensor, "3 3"],
    n: int,
) -> Tensor:
    """What stands at ``h q`` for each point q of the sphere; h permutes the axes of the grid, of n voxels a side."""
    return _at(values, *_places(sphere, rotation, n))


def sum_reordered(
    parts: Sequence[Tensor], sphere: Sphere, rotations: Float[Tensor, "exact 3 3"], n: int
) -> list[Tensor]:
    """Of each part, values ``[maps, points]``, the sum of what `reordered` makes of it for all of these rotations."""
    sums = [torch.zeros_like(part) for part in parts]
    for rotation in rotations:
        place, mirrored = _places(sphere, rotation, n)
        for whole, part in zip(sums, parts, strict=True):
            whole += _at(part, place, mirrored)
    return sums


def _places(
    sphere: Sphere, rotation: Float[Tensor, "3 3"], n: int
) -> tuple[Integer[Tensor, " points"], Bool[Tensor, " points"]]:
    """At which point of the sphere ``h q`` stands, or its opposite; and which it is."""
    turned = (sphere.index.double() @ rotation.mT.double()).round().long()
    x = turned[:, 0] % n
    mirrored = x > n // 2
    turned = torch.where(mirrored[:, None], -turned, turned) % n
    flat = (turned[:, 2] * n + turned[:, 1]) * (n // 2 + 1) + turned[:, 0]
    place = torch.full((n * n * (n // 2 + 1),), -1, device=flat.device)
    place[sphere.flat] = torch.arange(len(sphere.flat), device=flat.device)
    return place[flat], mirrored


def _at(values: Tensor, place: Integer[Tensor, " points"], mirrored: Bool[Tensor, " points"]) -> Tensor:
    found = values[:, place]
    return torch.where(mirrored, found.conj(), found) if found.is_complex() else found
