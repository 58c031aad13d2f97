"""A pose says where and how the reference sits in a particle: ``particle(x) = reference(R^T (x - c - t) + c)``."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.axes import Moves, Rotations, Vectors
from torchsag.errors import InputError
from torchsag.geometry.coordinates import destination, require_broadcast, require_coordinates, require_partners
from torchsag.geometry.precision import exact_product
from torchsag.geometry.rotations import matrix_to_rotvec, matrix_to_zyz, rotvec_to_matrix, zyz_to_matrix
from torchsag.requirements import require_kind, require_tensor, require_whole


@dataclass(frozen=True)
class Poses:
    """A batch of rigid placements.

    Attributes
    ----------
    rotations
        Active rotation matrices: they turn the reference into the particle.
    shifts
        Where the particle's centre lies relative to the box centre, voxels, (x, y, z).
    """

    rotations: Rotations
    shifts: Vectors

    def __post_init__(self):
        require_coordinates("rotations", self.rotations, 3, 3)
        require_coordinates("shifts", self.shifts, 3)
        require_partners("rotations", self.rotations, "shifts", self.shifts, (2, 1))

    @staticmethod
    def identity(count: int, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None) -> Poses:
        """`count` poses that leave the reference where it is."""
        require_whole("count", count)
        destination("poses", device, dtype)
        eye = torch.eye(3, dtype=dtype, device=device).expand(count, 3, 3).clone()
        return Poses(eye, torch.zeros(count, 3, dtype=dtype, device=device))

    @staticmethod
    def from_zyz(zyz: Vectors, shifts: Vectors) -> Poses:
        """Poses from ZYZ Euler angles (radians) and shifts (voxels)."""
        return Poses(zyz_to_matrix(zyz), shifts)

    @staticmethod
    def concatenate(parts: list[Poses]) -> Poses:
        """Poses one after another along the first axis."""
        if not isinstance(parts, (list, tuple)) or not parts:
            raise InputError(f"parts: expected a list of at least one batch of poses, got {type(parts).__name__}")
        for part in parts:
            require_poses("parts", part)
        return Poses(torch.cat([p.rotations for p in parts]), torch.cat([p.shifts for p in parts]))

    @property
    def zyz(self) -> Vectors:
        """ZYZ Euler angles (rot, tilt, psi), radians."""
        return matrix_to_zyz(self.rotations)

    def __len__(self) -> int:
        return self.rotations.shape[0]

    def __getitem__(self, index: Any) -> Poses:
        try:
            return Poses(self.rotations[index], self.shifts[index])
        except TypeError:
            raise InputError(f"poses: expected numbers, a slice or a mask, got {index!r}") from None

    def flatten(self) -> Poses:
        """Poses with several batch axes, such as candidates of particles, in one row."""
        return Poses(self.rotations.flatten(0, -3), self.shifts.flatten(0, -2))

    def unflatten(self, shape: tuple[int, ...]) -> Poses:
        """One row of poses as an array of this shape."""
        require_row("poses", self)
        if math.prod(shape) != len(self):
            raise InputError(f"shape: expected one for {len(self)} poses, got {shape}")
        return Poses(self.rotations.unflatten(0, shape), self.shifts.unflatten(0, shape))

    def where(self, condition: Bool[Tensor, " *batch"], others: Poses) -> Poses:
        """These poses where the condition holds, `others` elsewhere."""
        require_poses("others", others)
        require_tensor("condition", condition, ("...",), "whole")
        require_broadcast("poses", self.rotations, "others", others.rotations)
        require_partners("condition", condition, "poses", self.rotations, (0, 2))
        return Poses(
            torch.where(condition[..., None, None], self.rotations, others.rotations),
            torch.where(condition[..., None], self.shifts, others.shifts),
        )

    def to(self, *args: Any, **kwargs: Any) -> Poses:
        """The same poses in another dtype or on another device."""
        device, dtype, non_blocking = destination("poses", *args, **kwargs)
        return Poses(
            self.rotations.to(device, dtype, non_blocking=non_blocking),
            self.shifts.to(device, dtype, non_blocking=non_blocking),
        )

    def pin_memory(self) -> Poses:
        """The same poses in page-locked memory."""
        return Poses(self.rotations.pin_memory(), self.shifts.pin_memory())

    def compose(self, inner: Poses) -> Poses:
        """The pose that applies `inner` first and then this one."""
        require_poses("inner", inner)
        require_broadcast("poses", self.rotations, "inner", inner.rotations)
        shifts = exact_product(self.rotations, inner.shifts[..., None])[..., 0] + self.shifts
        return Poses(exact_product(self.rotations, inner.rotations), shifts)

    def inverse(self) -> Poses:
        """The pose that undoes this one."""
        back = self.rotations.mT
        return Poses(back, -exact_product(back, self.shifts[..., None])[..., 0])

    def retract(self, move: Moves) -> Poses:
        """Apply a tangent move: rotate on the left by its rotation vector, then add its shift.

        The rotation is about the particle's own centre, so the two halves of a move do not mix.
        """
        require_tensor("move", move, ("...", 6))
        turn = rotvec_to_matrix(move[..., :3])
        require_broadcast("poses", self.rotations, "move", move, (2, 1))
        return Poses(exact_product(turn, self.rotations), self.shifts + move[..., 3:])

    def move_to(self, other: Poses) -> Float[Tensor, "*batch 6"]:
        """The tangent move with ``self.retract(move) == other``."""
        require_poses("other", other)
        require_broadcast("poses", self.rotations, "other", other.rotations)
        return torch.cat(
            [matrix_to_rotvec(exact_product(other.rotations, self.rotations.mT)), other.shifts - self.shifts], -1
        )


def require_poses(name: str, given: Any) -> None:
    """Refuse what are no poses.

    Raises
    ------
    InputError
        Naming the argument.
    """
    require_kind(name, given, Poses, "Poses", "Poses(rotations, shifts) makes them")


def require_row(name: str, given: Any) -> None:
    """Refuse what are no poses with one batch axis.

    Raises
    ------
    InputError
        Naming the argument.
    """
    require_poses(name, given)
    if given.shifts.ndim != 2:
        batch = list(given.shifts.shape[:-1])
        raise InputError(f"{name}: expected poses in one row, got a batch of shape {batch}; flatten() makes one")
