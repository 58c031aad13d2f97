"""Where the true poses come from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.geometry.rotations import axis_rotation
from torchsag.simulation.randomness import Purpose, particle_stream


@runtime_checkable
class PoseDistribution(Protocol):
    """How particles lie: a frozen dataclass and one yaml under ``conf/poses``."""

    def draw(self, seed: int, particles: Sequence[int]) -> Poses:
        """True poses of `particles`, float64; each depends on the seed and its own number alone."""
        ...


@dataclass(frozen=True)
class UniformPoses:
    """Rotations uniform on SO(3), shifts uniform in a ball.

    Attributes
    ----------
    max_shift
        Radius of the ball, voxels.
    """

    max_shift: float = 3.0

    def __post_init__(self):
        if not self.max_shift >= 0:
            raise InputError(f"poses: expected max_shift >= 0 voxels, got {self.max_shift}")

    def draw(self, seed: int, particles: Sequence[int]) -> Poses:
        """True poses of `particles`, float64; each depends on the seed and its own number alone."""
        return Poses(_rotations(seed, particles), _shifts(seed, particles, self.max_shift))


@dataclass(frozen=True)
class BiasedPoses:
    """Preferred orientation: the reference's z axis gathers about the beam, as particles lie at an interface.

    The angle between the two follows a von Mises-Fisher density ``exp(concentration * cos(angle))``; the turns about
    either axis stay uniform.

    Attributes
    ----------
    max_shift
        Radius of the ball of shifts, voxels.
    concentration
        0 is uniform; at 5 half of the particles lie within 31 degrees of the beam.
    """

    max_shift: float = 3.0
    concentration: float = 5.0

    def __post_init__(self):
        if not self.max_shift >= 0:
            raise InputError(f"poses: expected max_shift >= 0 voxels, got {self.max_shift}")
        if not 0 <= self.concentration <= 1e4:
            raise InputError(f"poses: expected concentration in 0 to 10000, got {self.concentration}")

    def draw(self, seed: int, particles: Sequence[int]) -> Poses:
        """True poses of `particles`, float64; each depends on the seed and its own number alone."""
        draws = np.stack([particle_stream(seed, i, Purpose.ROTATION).random(3) for i in particles])
        first, cosine, last = torch.from_numpy(draws).unbind(-1)
        if self.concentration > 0:
            # Inverse of the cumulative density of cos(angle), written to survive a large concentration.
            floor = math.exp(-2 * self.concentration)
            cosine = 1 + torch.log(floor + (1 - floor) * cosine) / self.concentration
        else:
            cosine = 2 * cosine - 1
        tilt = torch.acos(cosine.clamp(-1, 1))
        turns = [axis_rotation("z", 2 * math.pi * first), axis_rotation("y", tilt)]
        rotations = turns[0] @ turns[1] @ axis_rotation("z", 2 * math.pi * last)
        return Poses(rotations, _shifts(seed, particles, self.max_shift))


def _rotations(seed: int, particles: Sequence[int]) -> torch.Tensor:
    """Rotations from unit quaternions of normal deviates."""
    draws = np.stack([particle_stream(seed, i, Purpose.ROTATION).standard_normal(4) for i in particles])
    quaternion = torch.from_numpy(draws)
    x, y, z, w = (quaternion / quaternion.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def _shifts(seed: int, particles: Sequence[int], radius: float) -> torch.Tensor:
    """Vectors uniform in a ball: a random direction times the cube root of a uniform deviate."""
    streams = [particle_stream(seed, i, Purpose.SHIFT) for i in particles]
    draws = np.stack([np.append(stream.standard_normal(3), stream.random()) for stream in streams])
    direction, depth = torch.from_numpy(draws[:, :3]), torch.from_numpy(draws[:, 3:])
    return radius * depth ** (1 / 3) * direction / direction.norm(dim=-1, keepdim=True)
