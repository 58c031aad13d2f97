"""Particles whose poses are known: any box, voxel size, wedge, symmetry and scale."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from hypothesis import strategies as st
from torch import Tensor

from torchsag import DensityMap, Poses, Simulation, Symmetry, simulate

# How much of the structure a particle shows, the same for all boxes: signal variance by noise variance, summed over
# the voxels. A million particles like the fullest of these still tell one turn from another.
_SIGNAL = 4000.0
# What a border cuts off is missing in a particle and not in the model: with blobs within a third of boxes of 16 to 24,
# whatever the shift, shifts in x and y were off by 1.5 to 1.9 standard errors (rms) for C1 and C7.
_BLOB = 2.5  # widths; where a blob has 4 % of its height
# In smaller ones a structure that stays inside is a lump with few details, which fits other poses nearly as well: 7 of
# 120 poses were off, where `ambiguity` expected 5.7 (experiments/campaigns/recovery.json).
SMALLEST_BOX = 18
_COPIES = 40  # blobs of a structure, at least: a lump, as complexes are, not a few points on a sphere


@dataclass(frozen=True)
class RandomProblem:
    """What `simulate` is told, and the scales of what it makes."""

    box: int
    voxel_size: float
    symmetry: str
    tilt_range: tuple[int, int]
    particle_scale: float
    reference_scale: float
    seed: int
    count: int = 3
    cut_off: bool = False  # whether shifts may carry parts of the structure over the border

    @property
    def max_shift(self) -> float:
        """Voxels."""
        return self.box / 12

    @property
    def structure(self) -> DensityMap:
        """Blobs as wide as two voxels allow, repeated as the symmetry says."""
        generator = torch.Generator().manual_seed(self.seed)
        group = Symmetry(self.symmetry).rotations
        own = max(5, math.ceil(_COPIES / len(group)))
        direction = torch.nn.functional.normalize(torch.randn(own, 3, generator=generator, dtype=torch.float64), dim=-1)
        width = max(1.4, self.box / 24)
        inside = self.box / 2 - self.max_shift - _BLOB * width
        reach = self.box / 3 if self.cut_off else min(self.box / 3, inside)
        away = reach * torch.rand(own, 1, generator=generator, dtype=torch.float64) ** (1 / 3)
        centres = torch.einsum("gij,oj->goi", group, direction * away).reshape(-1, 3)
        heights = (0.5 + torch.rand(own, generator=generator, dtype=torch.float64)).repeat(len(group))
        axis = torch.arange(self.box, dtype=torch.float64) - self.box // 2
        x, y, z = (torch.exp(-((axis - centres[:, i, None]) ** 2) / (2 * width**2)) for i in range(3))
        return DensityMap(torch.einsum("g,gz,gy,gx->zyx", heights, z, y, x).float(), self.voxel_size)

    def simulate(self) -> Simulation:
        """Particles and reference at their own scales."""
        return simulate(
            self.structure, self.count, snr=_SIGNAL / self.box**3, tilt_range=self.tilt_range,
            max_shift=self.max_shift, seed=self.seed,
        )  # fmt: skip


def errors_in_sigmas(found: Poses, covariances: Tensor, true: Poses, symmetry: str) -> Tensor:
    """The tangent move to the nearest equivalent of each true pose, in standard errors of its own six parts."""
    group = Symmetry(symmetry).rotations.double()
    nothing = torch.zeros(len(group), 3, dtype=torch.float64)
    worst = []
    for k in range(len(found)):
        rotations = true.rotations[k].double()[None].expand(len(group), 3, 3)
        equivalents = Poses(rotations, true.shifts[k].double() + nothing).compose(Poses(group, nothing))
        one = found[k : k + 1].to(torch.float64)
        here = Poses(one.rotations.expand(len(group), 3, 3), one.shifts + nothing)
        moves = here.move_to(equivalents)
        nearest = moves[int(moves[:, :3].norm(dim=-1).argmin())]
        worst.append(float((nearest.abs() / covariances[k].double().diagonal().sqrt()).max()))
    return torch.tensor(worst)


@st.composite
def random_problems(draw: st.DrawFn, largest_box: int = 100) -> RandomProblem:
    """Boxes odd and even; the scales multiply particles and reference apart from each other."""
    powers = st.floats(-11, 11)
    return RandomProblem(
        box=draw(st.integers(SMALLEST_BOX, largest_box)),
        voxel_size=draw(st.floats(0.5, 25)),
        symmetry=draw(st.sampled_from(["C1", "C2", "C3", "C7", "D2", "D7", "T", "O"])),
        tilt_range=(-draw(st.integers(35, 70)), draw(st.integers(35, 70))),
        particle_scale=10 ** draw(powers),
        reference_scale=10 ** draw(powers),
        seed=draw(st.integers(0, 2**31)),
    )
