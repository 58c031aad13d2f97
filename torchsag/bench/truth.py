"""True poses in whole numbers, so that their hash is the same on every machine."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Integer

from torchsag.bench.task import Task
from torchsag.geometry import Poses
from torchsag.simulation.pose_distribution import UniformPoses

_PARTS = 1000
"""Of a degree and of a voxel: finer than any method is accurate, far coarser than floating point differs."""


@dataclass(frozen=True)
class Truth:
    """Where particles lie and which structure each is.

    Attributes
    ----------
    table
        Rot, tilt and psi in thousandths of a degree, shift (x, y, z) in thousandths of a voxel, and the class from 1.
    """

    table: Integer[np.ndarray, "particles 7"]

    def __len__(self) -> int:
        return len(self.table)

    @property
    def poses(self) -> Poses:
        """Double precision."""
        numbers = torch.from_numpy(self.table[:, :6]).double() / _PARTS
        return Poses.from_zyz(numbers[:, :3] * (math.pi / 180), numbers[:, 3:])

    @property
    def classes(self) -> Integer[torch.Tensor, " particles"]:
        """From 1."""
        return torch.from_numpy(self.table[:, 6])

    @property
    def digest(self) -> str:
        """SHA-256 of the table as 64-bit integers, lowest byte first."""
        return hashlib.sha256(np.ascontiguousarray(self.table, "<i8").tobytes()).hexdigest()


def draw(task: Task, first: int = 0, count: int | None = None) -> Truth:
    """The truth about particles of a task; those from ``task.particles`` on are made for its reference."""
    rows = range(first, first + (task.particles if count is None else count))
    drawn = UniformPoses(task.max_shift_voxels).draw(task.seed, rows)
    numbers = torch.cat([torch.rad2deg(drawn.zyz), drawn.shifts], 1) * _PARTS
    return Truth(np.concatenate([np.rint(numbers.numpy()).astype(np.int64), _classes(task, rows)[:, None]], 1))


def _classes(task: Task, rows: range) -> Integer[np.ndarray, " particles"]:
    """Drawn by whole numbers alone: the raw words of a counter-based generator, which numpy promises to keep."""
    words = np.random.Philox(key=task.seed).random_raw(rows.stop)[rows.start :]
    return (words % np.uint64(len(task.structures))).astype(np.int64) + 1
