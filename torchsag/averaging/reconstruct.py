"""From particles at poses to a map: weighted sums in the reference's Fourier frame.

The least-squares map of particles ``P = W * placed reference + white noise`` is
``G(q) = sum_p W_p(R q) P_p(R q) exp(2 pi i (R q).t / n) / (sum_p W_p(R q)^2 + tau)``. Numerator and denominator are
kept as float64 sums over a sphere of coefficients, so memory does not grow with the number of particles, and sums made
by several processes can simply be added.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_shells, to_half_spectrum
from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, GriddedParticles, ParticleBatch
from torchsag.spectra.gather_tables import GatherTables
from torchsag.spectra.kaiser_bessel import compensate
from torchsag.spectra.mates import steps_of, sum_reordered
from torchsag.spectra.tables import Sphere

# Particles turned into tables at a time: bounds memory (1.3 MB each for a 64-voxel box), not accuracy.
_CHUNK = 16
# Of the maps that are symmetrised together: 30 maps of 64 voxels, one of 192.
_COEFFICIENTS = 4_000_000


@dataclass(frozen=True)
class MapSums:
    """Sums from which maps are made, one row per group (a half-set, a class, or both).

    Attributes
    ----------
    numerator, denominator
        The sums of the module's formula over the coefficients of `sphere`.
    counts
        Particles seen.
    sphere
        Which coefficients.
    box
        Cubic box, voxels.
    voxel_size
        Angstrom per voxel.
    """

    numerator: Complex[Tensor, "groups points"]
    denominator: Float[Tensor, "groups points"]
    counts: Float[Tensor, " groups"]
    sphere: Sphere
    box: tuple[int, int, int]
    voxel_size: float

    @staticmethod
    def empty(
        box: tuple[int, int, int],
        voxel_size: float,
        groups: int = 1,
        last_shell: int | None = None,
        device: torch.device | str = "cpu",
    ) -> MapSums:
        """Sums of nothing.

        Parameters
        ----------
        box
            Cubic box of particles and maps.
        voxel_size
            Angstrom per voxel.
        groups
            Maps made side by side.
        last_shell
            Highest Fourier shell to keep, ``n // 2`` by default; time grows with its third power.
        device
            Where the sums live and the work is done.

        Raises
        ------
        InputError
            For a box that is not cubic or a shell outside ``1 .. n // 2``.
        """
        n = box[0]
        if len(set(box)) != 1:
            raise InputError(f"average: expected a cubic box, got {box}; crop or pad the particles first")
        last_shell = n // 2 if last_shell is None else last_shell
        if not 1 <= last_shell <= n // 2:
            raise InputError(f"average: expected last_shell in 1 .. {n // 2}, got {last_shell}")
        sphere = Sphere.up_to(n, last_shell, device)
        shape = (groups, len(sphere.flat))
        return MapSums(
            torch.zeros(shape, dtype=torch.complex128, device=device),
            torch.zeros(shape, dtype=torch.float64, device=device),
            torch.zeros(groups, dtype=torch.float64, device=device),
            sphere,
            box,
            voxel_size,
        )

    def add(
        self,
        particles: ParticleBatch | GriddedParticles,
        poses: Poses,
        groups: Integer[Tensor, " particles"] | None = None,
        strength: Float[Tensor, " particles"] | None = None,
        shares: Float[Tensor, "particles modes"] | None = None,
    ) -> None:
        """Add particles at poses, in place.

        Parameters
        ----------
        particles
            On the same device as the sums.
        poses
            One per particle, or ``[particles, modes]`` with `shares`; ``particles.poses`` is not looked at.
        groups
            Which row each belongs to; row 0 by default.
        strength
            Multiplies a particle's part of both sums, for example a likelihood or a function of its score.
        shares
            Of each pose of a particle, which add up to one; a pose without a share costs nothing.

        Raises
        ------
        InputError
            If box or voxel size differ from those of the sums.
        """
        self._check(particles)
        count = len(particles)
        if groups is None:
            groups = torch.zeros(count, dtype=torch.long, device=self.numerator.device)
        if strength is None:
            strength = torch.ones(count, dtype=torch.float64, device=self.numerator.device)
        gridded = particles if isinstance(particles, GriddedParticles) else GriddedParticles.of(particles)
        for start in range(0, count, _CHUNK):
            chunk = slice(start, start + _CHUNK)
            tables = GatherTables.of(
                gridded.spectra[chunk], gridded.weights, gridded.weight_index[chunk], self.last_shell
            )
            self._add(tables, poses[chunk], groups[chunk], strength[chunk], None if shares is None else shares[chunk])
        self.counts.index_add_(0, groups, torch.ones_like(groups, dtype=torch.float64))

    def _add(self, tables: GatherTables, poses: Poses, groups: Tensor, strength: Tensor, shares: Tensor | None) -> None:
        sums = self.numerator, self.denominator
        if shares is None:
            tables.add_to(*sums, groups, strength, poses, self.sphere.index)
            return
        for mode, share in enumerate(shares.mT):
            here = (share > 0).nonzero()[:, 0]
            if len(here):
                some = tables if len(here) == len(share) else tables[here]
                counted = strength[here] * share[here].double()
                some.add_to(*sums, groups[here], counted, poses[here, mode], self.sphere.index)

    @property
    def last_shell(self) -> int:
        """The largest frequency that the sums hold, Fourier voxels."""
        return math.ceil(float(self.sphere.index.norm(dim=-1).max()) - 1e-6)

    def _check(self, particles: ParticleBatch | GriddedParticles) -> None:
        if particles.box != self.box or abs(particles.voxel_size / self.voxel_size - 1) > 1e-3:
            name = particles.names[0] if len(particles) else "batch"
            raise InputError(
                f"average: expected particles of {self.box} voxels at {self.voxel_size:g} angstrom, "
                f"got {particles.box} at {particles.voxel_size:g} ({name}); resample them first"
            )

    def reduce(self, total: Callable[[Tensor], Tensor]) -> MapSums:
        """Sums over processes: `total` must return the sum of a tensor over all of them."""
        return replace(
            self,
            numerator=torch.view_as_complex(total(torch.view_as_real(self.numerator))),
            denominator=total(self.denominator),
            counts=total(self.counts),
        )

    def to(self, device: torch.device | str) -> MapSums:
        """The same sums on another device."""
        return replace(
            self,
            numerator=self.numerator.to(device),
            denominator=self.denominator.to(device),
            counts=self.counts.to(device),
            sphere=Sphere(self.sphere.flat.to(device), self.sphere.index.to(device)),
        )

    def __add__(self, other: MapSums) -> MapSums:
        """Sums over the particles of both."""
        return replace(
            self,
            numerator=self.numerator + other.numerator,
            denominator=self.denominator + other.denominator,
            counts=self.counts + other.counts,
        )

    def pooled(self, every: int | None = None) -> MapSums:
        """Each run of `every` groups in one; all of them by default."""
        every = len(self.counts) if every is None else every
        return replace(
            self,
            numerator=self.numerator.unflatten(0, (-1, every)).sum(1),
            denominator=self.denominator.unflatten(0, (-1, every)).sum(1),
            counts=self.counts.unflatten(0, (-1, every)).sum(1),
        )

    def without_each(self, every: int) -> MapSums:
        """In each run of `every` groups, the sums of the others in place of each; of all where no others are."""
        if every == 1:
            return self
        whole = self.pooled(every)
        counts = whole.counts.repeat_interleave(every, 0)
        left_out = (counts > self.counts).to(self.counts)
        return replace(
            self,
            numerator=whole.numerator.repeat_interleave(every, 0) - left_out[:, None] * self.numerator,
            # Rounding must not leave a negative weight where one group alone has measured anything.
            denominator=(
                whole.denominator.repeat_interleave(every, 0) - left_out[:, None] * self.denominator
            ).clamp_min(0),
            counts=counts - left_out * self.counts,
        )

    def within(self, last_shell: int) -> MapSums:
        """The part of the sums up to a shell: less work where no more is needed."""
        keep = (self.sphere.index.norm(dim=-1) <= last_shell + 1e-6).nonzero()[:, 0]
        return replace(
            self,
            numerator=self.numerator[:, keep],
            denominator=self.denominator[:, keep],
            sphere=Sphere(self.sphere.flat[keep], self.sphere.index[keep]),
        )

    def symmetrised(self, symmetry: Symmetry) -> MapSums:
        """Sums as if every particle had been added at each of its equivalent poses.

        Each group's map is turned by every rotation of the group and averaged with its own denominator as weight: the
        map is compact in real space and interpolates well, which the bare numerator is not.
        """
        if symmetry.order == 1:
            return self
        rotations, exact = (some.to(self.numerator.device) for some in steps_of(symmetry.rotations))
        each = max(1, _COEFFICIENTS // (self.box[0] ** 3 // 2))
        rows = [slice(start, start + each) for start in range(0, len(self.counts), each)]
        numerators, denominators = zip(*(self._over_mates(some, rotations) for some in rows), strict=True)
        sums = torch.cat(numerators), torch.cat(denominators)
        n = self.box[0]
        numerator, denominator = sum_reordered(sums, self.sphere, exact, n)
        return replace(self, numerator=numerator, denominator=denominator)

    def _over_mates(self, rows: slice, rotations: Float[Tensor, "mates 3 3"]) -> tuple[Tensor, Tensor]:
        """The symmetrised sums of some groups."""
        some = replace(self, numerator=self.numerator[rows], denominator=self.denominator[rows])
        volumes = some._to_volumes(some._quotient(some.denominator))
        index = torch.arange(len(volumes), device=volumes.device)
        halves = to_half_spectrum(compensate(volumes))
        tables = GatherTables.of(halves, some._to_half(some.denominator), index, self.last_shell)
        return tables.over_mates(rotations, self.sphere.index)

    def finish(
        self,
        symmetry: Symmetry | None = None,
        floor: float = 0.01,
        signal_to_noise: Float[Tensor, "groups shells"] | None = None,
    ) -> tuple[DensityMap, ...]:
        """One map per group.

        Parameters
        ----------
        symmetry
            Imposed on numerator and denominator before the division.
        floor
            Least denominator, as a fraction of its mean over the Fourier shell: keeps coefficients that hardly any
            particle measured from being blown up.
        signal_to_noise
            Per shell, for Wiener regularisation: tau is the shell's mean denominator divided by it. Usually
            ``FSC / (1 - FSC)`` of half-maps.

        Raises
        ------
        InputError
            If a group is empty.
        """
        if not bool((self.counts > 0).all()):
            empty = (self.counts == 0).nonzero()[:, 0].tolist()
            raise InputError(f"average: expected at least one particle in every group, got none in {empty}")
        sums = self if symmetry is None else self.symmetrised(symmetry)
        shells = half_shells(self.box, device=self.numerator.device).flatten()[self.sphere.flat]
        mean = _shell_mean(sums.denominator, shells)
        denominator = torch.maximum(sums.denominator, floor * mean[:, shells])
        if signal_to_noise is not None:
            tau = mean / signal_to_noise.to(mean)[:, : mean.shape[1]].clamp_min(1e-6)
            denominator = denominator + tau[:, shells]
        volumes = self._to_volumes(sums._quotient(denominator))
        return tuple(DensityMap(volume, self.voxel_size) for volume in volumes)

    def _quotient(self, denominator: Tensor) -> Tensor:
        measured = denominator > 0
        return torch.where(measured, self.numerator / torch.where(measured, denominator, 1.0), 0)

    def _to_half(self, values: Tensor) -> Tensor:
        n = self.box[0]
        half = torch.zeros(len(values), n * n * (n // 2 + 1), dtype=values.dtype, device=values.device)
        half[:, self.sphere.flat] = values
        return half.unflatten(-1, (n, n, n // 2 + 1))

    def _to_volumes(self, values: Tensor) -> Tensor:
        return from_half_spectrum(self._to_half(values), self.box).float()


def _shell_mean(values: Float[Tensor, "groups points"], shells: Tensor) -> Float[Tensor, "groups shells"]:
    count = torch.bincount(shells).clamp_min(1)
    return values.new_zeros(len(values), len(count)).index_add_(1, shells, values) / count
