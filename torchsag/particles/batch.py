"""Particles in memory, all in one form: ``particle = W * (reference at its pose) + white noise`` in Fourier space."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.axes import ArrayLike
from torchsag.fourier import from_half_spectrum, half_frequencies, phase_ramp, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.particles.sources import TiltRange
from torchsag.particles.weighting import Weighting


@dataclass(frozen=True)
class ParticleBatch:
    """A few particles ready for computation.

    Whatever a file's weights mean (see `torchsag.particles.weighting`), here the noise is white where ``W > 0`` and
    the signal is the placed reference times ``W``; nothing was measured where ``W = 0``. A binary missing wedge is the
    simplest ``W``.

    Attributes
    ----------
    spectra
        Half-spectra of the volumes in that form (see `torchsag.fourier.transforms`).
    weights
        The distinct ``W`` in half-spectrum layout.
    weight_index
        For each particle, which of `weights` is its own. Particles of one tomogram usually share one.
    names
        How to call each particle in messages and results.
    voxel_size
        Angstrom per voxel.
    box
        Size (z, y, x) in voxels.
    poses
        Prior poses, where known.
    """

    spectra: Complex[Tensor, "particles z y kx"]
    weights: Float[Tensor, "weights z y kx"]
    weight_index: Integer[Tensor, " particles"]
    names: tuple[str, ...]
    voxel_size: float
    box: tuple[int, int, int]
    poses: Poses | None = None

    @staticmethod
    def from_volumes(
        volumes: Float[Tensor, "particles z y x"],
        weights: Float[Tensor, "weights z y kx"],
        weight_index: Integer[Tensor, " particles"],
        names: tuple[str, ...],
        voxel_size: float,
        poses: Poses | None = None,
    ) -> ParticleBatch:
        """The batch of volumes that are in the canonical form already."""
        _, z, y, x = volumes.shape
        return ParticleBatch(to_half_spectrum(volumes), weights, weight_index, names, voxel_size, (z, y, x), poses)

    @staticmethod
    def from_arrays(
        volumes: ArrayLike,
        voxel_size: float | int,
        *,
        tilt_range: TiltRange | Sequence[float | int] | None = None,
        weights: ArrayLike | None = None,
        weighting: Weighting | None = None,
        poses: Poses | None = None,
        names: Sequence[str] | None = None,
    ) -> ParticleBatch:
        """Particles that are in memory, brought to the canonical form; see `ParticleSet.from_arrays`.

        Raises
        ------
        InputError
            Naming the argument or the particle that cannot be used.
        """
        from torchsag.particles.in_memory import set_from_arrays  # which is made of this class

        particles = set_from_arrays(
            volumes, voxel_size, tilt_range=tilt_range, weights=weights, weighting=weighting, poses=poses, names=names
        )
        return particles.load(range(len(particles)))

    def __len__(self) -> int:
        return self.spectra.shape[0]

    @cached_property
    def volumes(self) -> Float[Tensor, "particles z y x"]:
        """The same in real space, transformed once."""
        return from_half_spectrum(self.spectra, self.box)

    def masked(self, mask: Float[Tensor, "z y x"]) -> ParticleBatch:
        """The particles multiplied by a mask in real space."""
        return replace(self, spectra=to_half_spectrum(self.volumes * mask))

    def recentred(self, shifts: Float[Tensor, "particles 3"]) -> ParticleBatch:
        """The particles with what lies at `shifts` (voxels from the box centre) brought to it; prior poses go along."""
        shifts = shifts.to(self.weights)
        ramp = phase_ramp(half_frequencies(self.box, device=self.weights.device).to(shifts), -shifts)
        poses = self.poses
        if poses is not None:
            poses = Poses(poses.rotations, poses.shifts - shifts.to(poses.shifts))
        return replace(self, spectra=self.spectra * ramp, poses=poses)

    def __getitem__(self, index: slice) -> ParticleBatch:
        """A slice of the particles; the distinct weights are kept whole."""
        return replace(
            self,
            spectra=self.spectra[index],
            weight_index=self.weight_index[index],
            names=self.names[index],
            poses=None if self.poses is None else self.poses[index],
        )

    def take(self, rows: Sequence[int]) -> ParticleBatch:
        """Some of the particles, in the order given; the distinct weights are kept whole."""
        pick = torch.tensor(list(rows), dtype=torch.long, device=self.weight_index.device)
        return replace(
            self,
            spectra=self.spectra[pick],
            weight_index=self.weight_index[pick],
            names=tuple(self.names[row] for row in rows),
            poses=None if self.poses is None else self.poses[pick],
        )

    @staticmethod
    def concatenate(parts: Sequence[ParticleBatch]) -> ParticleBatch:
        """Particles of one box and voxel size one after another, without their poses."""
        if len(parts) == 1:
            return parts[0]
        first, start, index = parts[0], 0, []
        for part in parts:
            index.append(part.weight_index + start)
            start += len(part.weights)
        return ParticleBatch(
            torch.cat([part.spectra for part in parts]),
            torch.cat([part.weights for part in parts]),
            torch.cat(index),
            tuple(name for part in parts for name in part.names),
            first.voxel_size,
            first.box,
        )

    def to(self, device: torch.device | str) -> ParticleBatch:
        """The same particles on another device."""
        return replace(
            self,
            spectra=self.spectra.to(device),
            weights=self.weights.to(device),
            weight_index=self.weight_index.to(device),
            poses=None if self.poses is None else self.poses.to(device),
        )
