"""Where the symmetry axes of a map stand: an average made without a reference may come out turned and off-centre.

The map's transform is read at ``R q`` and at ``R S q`` for the generators S of the group; the pose at which the two
agree best, shell by shell, puts the axes of the group onto the axes of the map.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Complex, Float
from torch import Tensor

from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, Symmetry, zyz_to_matrix
from torchsag.particles import DensityMap
from torchsag.spectra.gather import gather_torch
from torchsag.spectra.gather_numba import gather_numba
from torchsag.spectra.kaiser_bessel import compensate
from torchsag.spectra.tables import Sphere, padded_table

_STEP_DEG = 10.0
# Enough to tell orientations `_STEP_DEG` apart for a particle that fills half its box.
_COARSE_SHELL = 8
_TRIED = 3
_CHUNK = 256


@dataclass(frozen=True)
class SymmetryAxes:
    """How the axes of a symmetry stand in a map.

    Attributes
    ----------
    pose
        Batch of one: it places a map that stands on the axes so that it becomes the given one. Compose every particle's
        pose with it, ``pose.compose(axes.pose)``, and the average of those poses stands on the axes.
    agreement
        Mean correlation over shells between the map and its symmetry mates, at that pose; 1 for perfect symmetry.
    """

    pose: Poses
    agreement: float


def find_symmetry_axes(
    volume: DensityMap, symmetry: Symmetry, last_shell: int, coarse_shells: Sequence[int] = (_COARSE_SHELL,)
) -> SymmetryAxes:
    """Search all orientations, then refine orientation and centre.

    Parameters
    ----------
    volume
        A map, particle bright, roughly centred (within the width of its features at `last_shell`).
    symmetry
        The group to look for.
    last_shell
        Highest Fourier shell to compare; what lies beyond the map's resolution is noise.
    coarse_shells
        The search over all orientations compares up to each of these in turn: the lower, the farther an orientation of
        its grid may be from the axes of a structure of fine detail; the higher, the less it takes for them what is
        round.
    """
    if symmetry.order == 1:
        return SymmetryAxes(Poses.identity(1), 1.0)
    rotations, fine = _orientations(symmetry), _Agreement(volume, symmetry, last_shell)
    starts = [_start(volume, symmetry, min(last_shell, shell), rotations) for shell in coarse_shells]
    pose, agreement = max((_refine(fine, start) for start in starts), key=lambda pair: pair[1])
    return SymmetryAxes(pose, agreement)


def _start(volume: DensityMap, symmetry: Symmetry, last_shell: int, rotations: Float[Tensor, "poses 3 3"]) -> Poses:
    """The best of all orientations up to a coarse shell, refined there."""
    coarse = _Agreement(volume, symmetry, last_shell)
    scores = torch.cat([coarse.fast(part) for part in rotations.split(_CHUNK)])
    best = _distinct(rotations, scores, symmetry)
    refined = [_refine(coarse, Poses(rotations[i : i + 1], torch.zeros(1, 3))) for i in best]
    return max(refined, key=lambda pair: pair[1])[0]


def symmetry_agreement(
    volume: DensityMap, symmetry: Symmetry, last_shell: int, pose: Poses
) -> Float[Tensor, " shells"]:
    """Correlation between a map and its symmetry mates on shells 1 .. `last_shell`, the axes standing at `pose`.

    Parameters
    ----------
    volume
        A map.
    symmetry
        A group of more than one rotation.
    last_shell
        Highest Fourier shell to compare.
    pose
        Batch of one, as `SymmetryAxes.pose`; the identity for axes as the group defines them.
    """
    return _Agreement(volume, symmetry, last_shell).by_shell(pose)


class _Agreement:
    """Mean shell correlation of a map with its mates, as a function of the pose of the axes."""

    def __init__(self, volume: DensityMap, symmetry: Symmetry, last_shell: int):
        self._n = volume.box[0]
        self._table = padded_table(to_half_spectrum(compensate(volume.density.float().cpu()))[None], self._n)
        self._ones = torch.ones_like(self._table.real)
        index = Sphere.up_to(self._n, last_shell).index
        self._points = index[1:]
        self._shell = self._points.norm(dim=-1).round().long() - 1
        self._generators = symmetry.generators.float()

    def fast(self, rotations: Float[Tensor, "poses 3 3"]) -> Float[Tensor, " poses"]:
        """For many orientations about the box centre."""
        turned = torch.einsum("pij,gj->pgi", rotations, self._points)
        mates = torch.einsum("pij,sjk,gk->psgi", rotations, self._generators, self._points)
        return self._score(self._read(gather_numba, turned), self._read(gather_numba, mates))

    def exact(self, pose: Poses) -> Float[Tensor, " poses"]:
        """For one pose, differentiable."""
        return self._score(*self._pair(pose))

    def by_shell(self, pose: Poses) -> Float[Tensor, " shells"]:
        """For one pose, the mean over mates on each shell."""
        return self._correlations(*self._pair(pose))[0].mean(0)

    def _pair(self, pose: Poses) -> tuple[Tensor, Tensor]:
        """The map's transform at the points, and at their mates."""
        turned = torch.einsum("pij,gj->pgi", pose.rotations, self._points)
        mates = torch.einsum("pij,sjk,gk->psgi", pose.rotations, self._generators, self._points)
        here = self._read(gather_torch, turned) * self._ramp(turned, pose)
        there = self._read(gather_torch, mates) * self._ramp(mates, pose)
        return here, there

    def _read(self, gather, points: Float[Tensor, "*batch 3"]) -> Complex[Tensor, "*batch"]:
        zero, still = torch.zeros(1, dtype=torch.long), Poses.identity(1)
        flat = points.reshape(-1, 3)
        value, _ = gather(self._table, self._ones, zero, still.rotations, still.shifts, flat, self._n)
        return value[0].reshape(points.shape[:-1])

    def _ramp(self, points: Tensor, pose: Poses) -> Tensor:
        angle = 2 * math.pi / self._n * (points @ pose.shifts[0])
        return torch.polar(torch.ones_like(angle), angle)

    def _score(self, here: Complex[Tensor, "poses points"], there: Complex[Tensor, "poses mates points"]) -> Tensor:
        return self._correlations(here, there).mean((-2, -1))

    def _correlations(
        self, here: Complex[Tensor, "poses points"], there: Complex[Tensor, "poses mates points"]
    ) -> Float[Tensor, "poses mates shells"]:
        shells = int(self._shell.max()) + 1
        here = here[:, None].expand_as(there)

        def summed(values: Tensor) -> Tensor:
            return values.new_zeros(*values.shape[:-1], shells).index_add(-1, self._shell, values)

        cross = summed((here * there.conj()).real)
        power = summed(here.abs().square()) * summed(there.abs().square())
        return cross / power.clamp_min(1e-30).sqrt()


def _refine(score: _Agreement, start: Poses) -> tuple[Poses, float]:
    """Climb from a start by the quasi-Newton method; a voxel counts as much as a tenth of a radian."""
    move = torch.zeros(1, 6, requires_grad=True)
    scale = torch.tensor([0.1, 0.1, 0.1, 1.0, 1.0, 1.0])
    optimizer = torch.optim.LBFGS([move], max_iter=20, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = -score.exact(start.retract(move * scale)).sum()
        value.backward()
        return value

    optimizer.step(loss)  # type: ignore[arg-type]
    with torch.no_grad():
        pose = start.retract(move * scale)
        return pose, float(score.exact(pose)[0])


def _orientations(symmetry: Symmetry) -> Float[Tensor, "poses 3 3"]:
    """Directions of z over the sphere times turns about it, `_STEP_DEG` apart, without turns the group repeats."""
    step = math.radians(_STEP_DEG)
    count = math.ceil(4 * math.pi / step**2)
    index = torch.arange(count, dtype=torch.float64) + 0.5
    tilt = torch.acos(1 - 2 * index / count)
    rot = math.pi * (1 + math.sqrt(5)) * index
    about_z = 2 * math.pi / symmetry.fold_about_z
    turns = 1 if symmetry.is_cyclic else math.ceil(about_z / step)
    psi = torch.arange(turns, dtype=torch.float64) * (about_z / turns)
    # R takes the group's z axis to the direction (rot, tilt): R = (Rz(psi) Ry(-tilt) Rz(-rot))^T as ZYZ angles.
    zyz = torch.stack([psi.repeat(count), -tilt.repeat_interleave(turns), -rot.repeat_interleave(turns)], -1)
    return zyz_to_matrix(zyz).float()


def _distinct(rotations: Tensor, scores: Tensor, symmetry: Symmetry) -> list[int]:
    """The best few orientations that are not neighbours of a better one."""
    chosen: list[int] = []
    for index in scores.argsort(descending=True)[:200].tolist():
        separate = all(
            float(symmetry.distance(rotations[index], rotations[other])) > math.radians(1.5 * _STEP_DEG)
            for other in chosen
        )
        if separate:
            chosen.append(index)
        if len(chosen) == _TRIED:
            break
    return chosen
