"""What the lists of other programs have in common: numbered particles and tables of numbers."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io.particle_list import ParticleList, parse_name
from torchsag.io.volumes import is_volume

_FOLDERS = (".", "particles", "subtomograms", "subtomos", "../particles", "../subtomograms", "../subtomos")


def numbered_names(path: Path, numbers: Sequence[int], default: str) -> list[str]:
    """Volume names of particles that a list knows by number.

    Looks beside the list, and in ``particles``, ``subtomograms`` or ``subtomos`` there or one level up, for volumes
    whose names end in the numbers; where that finds not all, names are made from `default`, such as
    ``"particle_{:06d}.em"``.
    """
    wanted = set(numbers)
    for folder in _FOLDERS:
        found: dict[int, str] = {}
        if not (path.parent / folder).is_dir():
            continue
        for file in sorted((path.parent / folder).iterdir()):
            number = trailing_number(file.name)
            if number in wanted and is_volume(file) and file != path:
                found.setdefault(number, file.name if folder == "." else f"{folder}/{file.name}")
        if len(found) == len(wanted):
            return [found[number] for number in numbers]
    return [default.format(number) for number in numbers]


def trailing_number(name: str) -> int | None:
    """The number that a file name ends in, before its suffixes."""
    match = re.search(r"(\d+)(\.[A-Za-z][A-Za-z0-9]*)*$", name)
    return int(match[1]) if match else None


def particle_numbers(listing: ParticleList) -> list[int]:
    """A number for each particle: what its name ends in where that tells them apart, else its place in the list."""
    numbers = [trailing_number(parse_name(name, listing.path).path.name) for name in listing.names]
    known = [number for number in numbers if number is not None]
    if len(set(known)) == len(numbers):
        return known
    return list(range(1, len(numbers) + 1))


def tomogram_numbers(listing: ParticleList) -> list[int]:
    """A number for each particle's tomogram: its name where that is a number, else its place among the names."""
    names = listing.tomograms if listing.tomograms is not None else ["1"] * len(listing.names)
    if all(name.isdigit() for name in names):
        return [int(name) for name in names]
    place = {name: k for k, name in enumerate(dict.fromkeys(names), start=1)}
    return [place[name] for name in names]


def poses_and_positions(
    listing: ParticleList, voxel_size: float | None
) -> tuple[Poses, Float[Tensor, "particles 3"], Float[Tensor, " particles"], Integer[Tensor, " particles"]]:
    """Poses relative to the tomogram, positions, scores and classes; identity, zeros and ones where unknown."""
    count = len(listing.names)
    poses = listing.tomogram_poses(voxel_size) or Poses.identity(count, dtype=torch.float64)
    blank = torch.zeros(count, 3, dtype=torch.float64)
    positions = blank if listing.positions is None else listing.positions
    scores = blank[:, 0] if listing.scores is None else listing.scores
    classes = torch.ones(count, dtype=torch.long) if listing.classes is None else listing.classes
    return poses, positions, scores, classes


def number_table(path: Path, text: str, least: int) -> Float[Tensor, "rows columns"]:
    """A table of at least `least` whitespace-separated numbers a line.

    Raises
    ------
    InputError
        If a line is too short, of another length, or holds something else.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = [float(value) for value in line.split()]
        except ValueError:
            raise InputError(f"{path}: line {number}: expected numbers, got {line[:40]!r}") from None
        if len(row) < least or len(row) != len(rows[0] if rows else row):
            raise InputError(
                f"{path}: line {number}: expected {max(least, len(rows and rows[0]))} numbers, got {len(row)}"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: expected at least one particle, got an empty list")
    return torch.tensor(rows, dtype=torch.float64)
