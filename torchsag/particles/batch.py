"""Particles in memory, all in one form: ``particle = W * (reference at its pose) + white noise`` in Fourier space."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Complex, Float, Integer
from torch import Tensor

from torchsag.axes import ArrayLike, Box
from torchsag.errors import InputError
from torchsag.fourier import frequency_axes, from_half_spectrum, phase_ramp, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.geometry.coordinates import destination
from torchsag.geometry.poses import require_poses
from torchsag.keeping import kept_property
from torchsag.particles.in_memory import as_held
from torchsag.particles.indexing import chosen_rows
from torchsag.particles.reading import ParticleReading
from torchsag.particles.sources import TiltRange
from torchsag.particles.weighting import Weighting
from torchsag.recording import is_transformed
from torchsag.requirements import require_box, require_kind, require_positive, require_tensor


@dataclass(frozen=True, repr=False)
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

    Raises
    ------
    InputError
        If parts do not fit each other, or (on a CPU) numbers are not finite or weights negative.
    """

    spectra: Complex[Tensor, "particles z y kx"]
    weights: Float[Tensor, "weights z y kx"]
    weight_index: Integer[Tensor, " particles"]
    names: tuple[str, ...]
    voxel_size: float
    box: tuple[int, int, int]
    poses: Poses | None = None

    def __post_init__(self):
        self._check_kinds()
        count = self.spectra.shape[0]
        lengths = {"weight_index": len(self.weight_index), "names": len(self.names)}
        if self.poses is not None:
            lengths["poses"] = len(self.poses)
        for name, length in lengths.items():
            if length != count:
                raise InputError(f"particles: expected {count} {name}, one for each particle, got {length}")
        # A GPU would be waited for; what comes from a CPU was looked at there.
        if self.weight_index.device.type == "cpu" and count and not is_transformed():
            self._check_numbers()

    def _check_numbers(self) -> None:
        low, high = map(int, self.weight_index.aminmax())
        if low < 0 or high >= len(self.weights):
            raise InputError(f"particles: expected weight_index from 0 to {len(self.weights) - 1}, got {low} to {high}")
        lowest, highest = map(float, self.weights.detach().aminmax())
        if not 0 <= lowest <= highest < math.inf:
            raise InputError(
                f"weights: expected finite numbers of at least 0, got {lowest:g} to {highest:g}; "
                "ParticleBatch.from_arrays(..., weighting=Transfer()) takes a signed transfer function"
            )
        require_finite(self)

    def _check_kinds(self) -> None:
        require_box("particles", self.box)
        require_positive("particles", self.voxel_size, "a voxel size of angstrom")
        for name, kind in (("spectra", "complex"), ("weights", "real")):
            tensor = getattr(self, name)
            if isinstance(tensor, Tensor):
                check_half_spectra(name, tuple(tensor.shape), self.box)
            require_tensor(name, tensor, ("particles", "z", "y", "x // 2 + 1"), kind)
        require_tensor("weight_index", self.weight_index, ("particles",), "whole")
        require_kind("names", self.names, tuple, "a tuple of one name for each particle")
        if self.poses is not None:
            require_poses("poses", self.poses)

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
        require_tensor("volumes", volumes, ("particles", "z", "y", "x"))
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
        held = as_held(
            volumes, voxel_size, tilt_range=tilt_range, weights=weights, weighting=weighting, poses=poses, names=names
        )
        reading = ParticleReading(held.names, held.volumes, held.weights, held.weighting, held.reader)
        read = reading.load(range(len(held.names)), held.box, held.voxel_size)
        prior = None if held.poses is None else held.poses.to(torch.float32)
        return ParticleBatch(*read, held.names, held.voxel_size, held.box, prior)

    def __len__(self) -> int:
        return self.spectra.shape[0]

    def __repr__(self) -> str:
        z, y, x = self.box
        prior = "" if self.poses is None else "; with prior poses"
        return (
            f"ParticleBatch({len(self)} particles of {z} x {y} x {x} voxels of {self.voxel_size:g} angstrom, "
            f"{len(self.weights)} weights; {self.weights.dtype} on {self.weights.device}{prior})"
        )

    @kept_property
    def volumes(self) -> Float[Tensor, "particles z y x"]:
        """The same in real space, transformed once."""
        return from_half_spectrum(self.spectra, self.box)

    def masked(self, mask: Float[Tensor, "z y x"]) -> ParticleBatch:
        """The particles multiplied by a mask in real space."""
        require_tensor("mask", mask, ("...", *self.box))
        return replace(self, spectra=to_half_spectrum(self.volumes * mask))

    def recentred(self, shifts: Float[Tensor, "particles 3"]) -> ParticleBatch:
        """The particles with what lies at `shifts` (voxels from the box centre) brought to it; prior poses go along."""
        require_tensor("shifts", shifts, (len(self), 3))
        shifts = shifts.to(self.weights)
        # A phase of three coordinates is a product of three phases: a sine for each plane, not for each coefficient.
        along_z, along_y, along_x = (phase_ramp(axis, -shifts) for axis in frequency_axes(self.box, shifts))
        centred = self.spectra * (along_z[:, :, None] * along_y[:, None])[..., None] * along_x[:, None, None]
        poses = self.poses
        if poses is not None:
            poses = Poses(poses.rotations, poses.shifts - shifts.to(poses.shifts))
        return replace(self, spectra=centred, poses=poses)

    def __getitem__(self, index: Any) -> ParticleBatch:
        """Some particles, by a number, a slice, numbers or a mask; always a batch. Distinct weights are kept whole."""
        if not isinstance(index, slice):
            return self.take(chosen_rows(index, len(self), "particles"))
        return replace(
            self,
            spectra=self.spectra[index],
            weight_index=self.weight_index[index],
            names=self.names[index],
            poses=None if self.poses is None else self.poses[index],
        )

    def take(self, rows: Sequence[int]) -> ParticleBatch:
        """Some of the particles, in the order given; the distinct weights are kept whole."""
        rows = chosen_rows(rows, len(self), "particles")
        pick = torch.tensor(rows, dtype=torch.long, device=self.weight_index.device)
        return replace(
            self,
            spectra=self.spectra[pick],
            weight_index=self.weight_index[pick],
            names=tuple(self.names[row] for row in rows),
            poses=None if self.poses is None else self.poses[pick],
        )

    @staticmethod
    def concatenate(parts: Sequence[ParticleBatch]) -> ParticleBatch:
        """Particles of one box and voxel size one after another; prior poses are kept if all have them.

        A weight that parts share, the same tensor, is kept once.
        """
        if not isinstance(parts, (list, tuple)) or not parts:
            raise InputError(f"parts: expected a list of at least one batch of particles, got {type(parts).__name__}")
        for part in parts:
            require_kind("parts", part, ParticleBatch, "a ParticleBatch")
        if len(parts) == 1:
            return parts[0]
        first = parts[0]
        for part in parts:
            if part.box != first.box or not math.isclose(part.voxel_size, first.voxel_size, rel_tol=1e-4):
                raise InputError(
                    f"particles: expected one box and voxel size, got {first.box} of {first.voxel_size} angstrom and "
                    f"{part.box} of {part.voxel_size} angstrom"
                )
        starts: dict[int, int] = {}
        weights: list[Tensor] = []
        for part in parts:
            if id(part.weights) not in starts:
                starts[id(part.weights)] = sum(map(len, weights))
                weights.append(part.weights)
        prior = [part.poses for part in parts if part.poses is not None]
        return ParticleBatch(
            torch.cat([part.spectra for part in parts]),
            torch.cat(weights),
            torch.cat([part.weight_index + starts[id(part.weights)] for part in parts]),
            tuple(name for part in parts for name in part.names),
            first.voxel_size,
            first.box,
            Poses.concatenate(prior) if len(prior) == len(parts) else None,
        )

    def to(self, *args: Any, **kwargs: Any) -> ParticleBatch:
        """The same particles on another device or in another precision (`torch.float32` or `torch.float64`)."""
        device, dtype, non_blocking = destination("particles", *args, **kwargs)
        if dtype not in (None, torch.float32, torch.float64):
            raise InputError(f"particles: expected float32 or float64, got {dtype}; spectra have no other precision")
        complex_dtype = None if dtype is None else torch.complex64 if dtype == torch.float32 else torch.complex128
        return replace(
            self,
            spectra=self.spectra.to(device, complex_dtype, non_blocking),
            weights=self.weights.to(device, dtype, non_blocking),
            weight_index=self.weight_index.to(device, non_blocking=non_blocking),
            poses=None if self.poses is None else self.poses.to(device, dtype, non_blocking),
        )

    def pin_memory(self) -> ParticleBatch:
        """The same in page-locked memory, from which a GPU copies without waiting; a DataLoader calls it."""
        return replace(
            self,
            spectra=self.spectra.pin_memory(),
            weights=self.weights.pin_memory(),
            weight_index=self.weight_index.pin_memory(),
            poses=None if self.poses is None else self.poses.pin_memory(),
        )


def require_finite(particles: ParticleBatch) -> None:
    """Refuse particles with NaN or infinity.

    Raises
    ------
    InputError
        Naming the first of them.
    """
    parts = torch.view_as_real(particles.spectra.detach().resolve_conj()).flatten(1)
    # A sum is had in a sixteenth of the time; of finite numbers it is finite unless they are next to overflow.
    if bool(parts.sum(1).isfinite().all()):
        return
    finite = parts.isfinite().all(1)
    if not bool(finite.all()):
        first = int((~finite).nonzero()[0])
        raise InputError(f"particle {particles.names[first]}: expected finite values, got NaN or infinity")


def check_half_spectra(name: str, shape: tuple[int, ...], box: Box) -> None:
    """Refuse what has not the layout ``[any, z, y, x // 2 + 1]``: a full-size weight would be read askew."""
    z, y, x = box
    if len(shape) != 4 or shape[1:] != (z, y, x // 2 + 1):
        raise InputError(
            f"particles: expected {name} as half-spectra [any, {z}, {y}, {x // 2 + 1}] of the box {box}, got shape "
            f"{shape}; torchsag.fourier.half_weight turns a full weight into one"
        )
