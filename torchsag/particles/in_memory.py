"""Particles made of arrays: described like a list on disk, read from memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.axes import ArrayLike, Box
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.particles.arrays import as_float32, as_voxel_size
from torchsag.particles.sources import DensitySource, TiltRange, VolumeSource, WeightSource
from torchsag.particles.weighting import Transfer, Weighting

# What sources name in place of files; no path on disk looks like these.
_VOLUMES, _WEIGHTS = Path("memory:volumes"), Path("memory:weights")


@dataclass(frozen=True, eq=False)
class HeldVolumes:
    """Reads volumes, and weight volumes, that are in memory.

    Attributes
    ----------
    volumes
        One for each particle.
    weights
        The distinct weight volumes, if any: whole with zero frequency at the centre, or half-spectra in FFT order.
    """

    volumes: Float[Tensor, "particles z y x"]
    weights: Float[Tensor, "weights z y w"] | None = None

    def __call__(self, source: DensitySource) -> Float[Tensor, "z y x"]:
        """See `torchsag.particles.VolumeReader`."""
        held = {_VOLUMES: self.volumes, _WEIGHTS: self.weights}.get(source.path)
        if held is None or not isinstance(source, VolumeSource) or source.index is None:
            raise InputError(f"{source}: expected a volume held in memory, got a file")
        return held[source.index]


@dataclass(frozen=True, eq=False)
class HeldParticles:
    """What a `torchsag.particles.ParticleSet` of particles in memory is made of; fields as there."""

    names: tuple[str, ...]
    box: Box
    voxel_size: float
    volumes: tuple[VolumeSource, ...]
    weights: tuple[WeightSource, ...]
    weighting: Weighting
    reader: HeldVolumes
    poses: Poses | None


def as_held(
    volumes: ArrayLike,
    voxel_size: float | int,
    *,
    tilt_range: TiltRange | Sequence[float | int] | None = None,
    weights: ArrayLike | None = None,
    weighting: Weighting | None = None,
    poses: Poses | None = None,
    names: Sequence[str] | None = None,
) -> HeldParticles:
    """Arrays, checked; see `torchsag.particles.ParticleSet.from_arrays`."""
    density = as_float32("volumes", volumes, ("particles", "z", "y", "x"))
    count, box = len(density), (density.shape[1], density.shape[2], density.shape[3])
    if len(set(box)) > 1:
        raise InputError(f"volumes: expected cubic boxes, got {box} voxels (z, y, x); crop or pad them to cubes")
    if count == 0:
        raise InputError("volumes: expected at least one particle, got none")
    held, sources = _weights(weights, tilt_range, count, box)
    return HeldParticles(
        names=_names(names, count),
        box=box,
        voxel_size=as_voxel_size(voxel_size),
        volumes=tuple(VolumeSource(_VOLUMES, i) for i in range(count)),
        weights=sources,
        weighting=Transfer() if weighting is None else weighting,
        reader=HeldVolumes(density, held),
        poses=_poses(poses, count),
    )


def held_canonical(
    volumes: Float[Tensor, "particles z y x"],
    weights: Float[Tensor, "weights z y kx"],
    weight_index: Integer[Tensor, " particles"],
    names: tuple[str, ...],
    voxel_size: float,
    poses: Poses | None,
) -> HeldParticles:
    """Particles in the form of a `torchsag.particles.ParticleBatch`; loaded, they are what was given."""
    _, z, y, x = volumes.shape
    return HeldParticles(
        names=names,
        box=(z, y, x),
        voxel_size=voxel_size,
        volumes=tuple(VolumeSource(_VOLUMES, i) for i in range(len(volumes))),
        weights=tuple(VolumeSource(_WEIGHTS, i) for i in weight_index.tolist()),
        weighting=Transfer(floor=0.0),  # such particles say themselves where nothing was measured
        reader=HeldVolumes(volumes.float(), weights.float()),
        poses=None if poses is None else poses.to(torch.float64),
    )


def as_tilt_range(value: Any) -> TiltRange:
    """A tilt range, or the pair of its angles.

    Raises
    ------
    InputError
        If it is neither.
    """
    if isinstance(value, TiltRange):
        return value
    try:
        first, last = (float(angle) for angle in value)
    except (TypeError, ValueError):
        raise InputError(
            f"tilt_range: expected a TiltRange, or first and last angle in degrees such as (-60, 60), got {value!r}"
        ) from None
    return TiltRange(first, last)


def _weights(
    weights: Any, tilt_range: Any, count: int, box: tuple[int, int, int]
) -> tuple[Tensor | None, tuple[WeightSource, ...]]:
    if weights is None:
        source = None if tilt_range is None else as_tilt_range(tilt_range)
        return None, (source,) * count
    if tilt_range is not None:
        raise InputError("weights: expected either weights or tilt_range, got both; weights say all that was measured")
    held = as_float32("weights", weights, ("particles or 1", "z", "y", "x or x // 2 + 1"))
    whole, half = list(box), [*box[:2], box[2] // 2 + 1]
    if list(held.shape[1:]) not in (whole, half) or len(held) not in (1, count):
        raise InputError(
            f"weights: expected {count} or 1 of {whole} (zero frequency at the centre) or {half} (half-spectrum in FFT "
            f"order) as the volumes have them, got shape {list(held.shape)}"
        )
    return held, tuple(VolumeSource(_WEIGHTS, i if len(held) > 1 else 0) for i in range(count))


def _names(names: Sequence[str] | None, count: int) -> tuple[str, ...]:
    if names is None:
        return tuple(f"particle_{i:06d}" for i in range(count))
    listed = tuple(names)
    if isinstance(names, str) or len(set(listed)) != count or not all(isinstance(name, str) for name in listed):
        raise InputError(f"names: expected {count} different names, one for each particle, got {names!r:.60}")
    return listed


def _poses(poses: Any, count: int) -> Poses | None:
    if poses is None:
        return None
    if not isinstance(poses, Poses):
        raise InputError(f"poses: expected Poses, got {type(poses).__name__}; make one from rotations and shifts")
    if poses.rotations.shape != (count, 3, 3) or poses.shifts.shape != (count, 3):
        raise InputError(
            f"poses: expected one for each of {count} particles, got rotations of shape {list(poses.rotations.shape)} "
            f"and shifts of shape {list(poses.shifts.shape)}"
        )
    return poses.to("cpu", torch.float64)
