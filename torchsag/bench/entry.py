"""What an entrant hands in: a list of the task's particles with poses, classes, halves and uncertainties."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float, Integer
from torch import Tensor

from torchsag.bench.task import Task
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import read_covariances
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList, parse_name

_STAR = ".star"


@dataclass(frozen=True)
class Entry:
    """Rows in the order of the task, whatever the order of the list.

    Attributes
    ----------
    listed
        Which particles the list has; the others count as failures.
    poses
        Identity where a particle is not listed.
    classes, halves
        As listed, 0 where a particle is not; None where the list has no such column.
    covariances
        Of the tangent move, radians and voxels; NaN where there is none, None where the list has no such column.
    """

    listed: Bool[Tensor, " particles"]
    poses: Poses
    classes: Integer[Tensor, " particles"] | None = None
    halves: Integer[Tensor, " particles"] | None = None
    covariances: Float[Tensor, "particles 6 6"] | None = None

    def beginning(self, count: int) -> Entry:
        """The first `count` particles alone."""
        parts = (None if part is None else part[:count] for part in (self.classes, self.halves, self.covariances))
        return Entry(self.listed[:count], self.poses[:count], *parts)


def read_entry(path: str | Path, task: Task) -> Entry:
    """Read a list; folders in the names of its volumes do not matter, and the volumes need not be there.

    Raises
    ------
    InputError
        If it cannot be read, is of other particles, lists one twice, or has no poses where poses are asked for.
    """
    listing = read_list(path)
    rows = _rows(path, listing, task)
    poses = listing.poses(task.voxel_size_angstrom)
    if poses is None and task.kind != "classify":
        raise InputError(f"{path}: expected a pose for every particle, got a list without angles and origins")
    if listing.classes is None and task.kind == "classify":
        raise InputError(f"{path}: expected a class for every particle (rlnClassNumber), got a list without")
    found = Poses.identity(task.particles, torch.float64)
    if poses is not None:
        found.rotations[rows] = poses.rotations.double()
        found.shifts[rows] = poses.shifts.double()
    listed = torch.zeros(task.particles, dtype=torch.bool)
    listed[rows] = True
    classes, halves = (_placed(values, rows, task.particles) for values in (listing.classes, listing.halves))
    return Entry(listed, found, classes, halves, _covariances(Path(path), rows, task))


def _rows(path: str | Path, listing: ParticleList, task: Task) -> Integer[Tensor, " listed"]:
    """The number of each listed particle."""
    number = {task.particle_name(i): i for i in range(task.particles)}
    rows: list[int] = []
    for name in listing.names:
        file = parse_name(name, listing.path).path.name
        if file not in number:
            raise InputError(
                f"{path}: expected particles of task {task.name}, such as {next(iter(number))}, got {name}"
            )
        rows.append(number[file])
    if len(set(rows)) < len(rows):
        twice = next(row for row in rows if rows.count(row) > 1)
        raise InputError(
            f"{path}: expected each particle once, got {task.particle_name(twice)} {rows.count(twice)} times"
        )
    return torch.tensor(rows, dtype=torch.long)


def _placed(values: Tensor | None, rows: Tensor, count: int) -> Integer[Tensor, " particles"] | None:
    if values is None:
        return None
    placed = torch.zeros(count, dtype=torch.long)
    placed[rows] = values.long()
    return placed


def _covariances(path: Path, rows: Tensor, task: Task) -> Float[Tensor, "particles 6 6"] | None:
    listed = read_covariances(path) if path.suffix.lower() == _STAR else None
    if listed is None:
        return None
    scale = torch.tensor([math.pi / 180] * 3 + [1 / task.voxel_size_angstrom] * 3, dtype=torch.float64)
    placed = torch.full((task.particles, 6, 6), math.nan, dtype=torch.float64)
    placed[rows] = listed * scale[:, None] * scale
    return placed
