"""Particle lists made of others: some of the rows, symmetry copies, the same particles at another voxel size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry
from torchsag.io import relion
from torchsag.io.ctf_images import COLUMN
from torchsag.io.foreign import trailing_number
from torchsag.io.particle_list import ParticleList, parse_name
from torchsag.io.relion_document import set_poses, texts
from torchsag.io.star import Block, Loop
from torchsag.io.volumes import is_volume, read_volume_header

COPY = "torchsagSymmetryCopy"
_COLUMNS = ("names", "weight_names", "tilt_ranges", "voxel_sizes", "tomograms", "weightings", "flat")
_TENSORS = ("rotations", "shifts", "box_frames", "halves", "classes", "positions", "scores")
_OWN_PIXELS = ("rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification")
_SERIES, _IMAGE = "rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize"
_Values = TypeVar("_Values")


def taken(listing: ParticleList, rows: Sequence[int]) -> ParticleList:
    """Some of a list's particles, in the order given, with all that it says of them; a row may come several times."""
    keep = list(rows)
    pick = torch.tensor(keep, dtype=torch.long)

    def some(values: Any) -> Any:
        return None if values is None else values[pick] if isinstance(values, Tensor) else [values[r] for r in keep]

    chosen = {name: some(getattr(listing, name)) for name in (*_COLUMNS, *_TENSORS)}
    return replace(listing, blocks=_with_table(listing, table_of(listing).take(keep)), **chosen)


def table_of(listing: ParticleList) -> Loop:
    """The RELION table of a list, whichever program wrote it."""
    return relion.particle_table(listing.path, listing.blocks)


def expanded(listing: ParticleList, symmetry: Symmetry) -> ParticleList:
    """Each particle once for every rotation of a symmetry, turned by it: all that its copies differ in is the pose.

    The copies of a particle follow each other, in its half-set, and are numbered in a column ``torchsagSymmetryCopy``.

    Raises
    ------
    InputError
        If the list has no poses.
    """
    if listing.rotations is None:
        raise InputError(f"{listing.path}: expected poses to expand by {symmetry.name}, the list has none; align first")
    count, order = len(listing.names), symmetry.order
    copies = taken(listing, [row for row in range(count) for _ in range(order)])
    turns = symmetry.rotations.repeat(count, 1, 1)
    assert copies.rotations is not None
    rotations = copies.rotations @ turns.to(copies.rotations)
    columns = dict(table_of(copies).columns)
    degrees = torch.rad2deg(Poses(rotations, rotations[..., 0]).zyz)
    columns |= {name: texts(values, 6) for name, values in zip(relion.ANGLES, degrees.unbind(-1), strict=True)}
    columns[COPY] = [str(k + 1) for _ in range(count) for k in range(order)]
    return replace(copies, rotations=rotations, blocks=_with_table(copies, Loop(columns, table_of(copies).pairs)))


def at_voxel_size(listing: ParticleList, voxel_size: float, sizes: Sequence[float]) -> ParticleList:
    """The same particles in boxes of other voxels about the same centres: shifts and positions stay where they are.

    Parameters
    ----------
    listing
        The list.
    voxel_size
        Of the new boxes, angstrom.
    sizes
        Of the old boxes.
    """
    old = torch.tensor(list(sizes), dtype=torch.float64)
    poses = replace(listing, voxel_sizes=list(sizes)).poses(None)
    columns = dict(table_of(listing).columns)
    if poses is not None and listing.shifts is not None:
        angles = {name: columns[name] for name in relion.ANGLES if name in columns}
        set_poses(columns, Poses(poses.rotations, poses.shifts * old[:, None]), 1.0)
        columns.update(angles)  # word for word
    optics = relion.optics_table(listing.blocks)
    if not {_SERIES, _IMAGE} <= set(optics.columns):  # else positions count pixels of the tilt series
        columns |= {
            name: texts(relion.numbers(listing.path, table_of(listing), name) * old / voxel_size, 6)
            for name in relion.POSITIONS
            if name in columns
        }
    for name in _OWN_PIXELS:
        columns.pop(name, None)
    blocks = _with_table(listing, Loop(columns, table_of(listing).pairs))
    if len(optics):
        blocks["optics"] = _optics_at(optics, voxel_size)
    scale = (old / voxel_size)[:, None]
    return replace(
        listing,
        blocks=blocks,
        voxel_sizes=[voxel_size] * len(listing.names),
        shifts=None if listing.shifts is None or poses is None else poses.shifts * old[:, None],
        shift_unit="angstrom",
        positions=None if listing.positions is None else listing.positions * scale,
    )


def _optics_at(optics: Loop, voxel_size: float) -> Loop:
    columns = {name: values for name, values in optics.columns.items() if name != "rlnImageSize"}
    return Loop({**columns, _IMAGE: [f"{voxel_size:.6f}"] * len(optics)}, optics.pairs)


def with_volumes_of(listing: ParticleList, folder: Path) -> ParticleList:
    """The same particles, their volumes taken from another folder: of the same file name, or of the same number.

    Weight volumes are those of the same file name there; where there are none, the list is left with the tilt ranges
    that it has.

    Raises
    ------
    InputError
        Naming the first particle that has no volume there.
    """
    if not folder.is_dir():
        raise InputError(f"new_volumes: expected a folder, got {folder}; check the path")
    if not listing.named:
        raise InputError(
            f"new_volumes: expected a list that names volumes, {listing.path} gives positions alone; extract the "
            "particles, or give new_voxel_size_angstrom="
        )
    files = sorted(file.relative_to(folder) for file in folder.rglob("*") if is_volume(file))
    by_name = _only({file.name: file for file in files}, [file.name for file in files])
    numbers = [(trailing_number(file.name), file) for file in files]
    by_number = _only(dict(numbers), [number for number, _ in numbers])

    def place(name: str) -> Path | None:
        file = parse_name(name, listing.path).path.name
        return by_name.get(file) or by_number.get(trailing_number(file))

    names: list[str] = []
    for name in listing.names:
        found, number = place(name), name.partition("@")[0] if "@" in name else ""
        if found is None:
            raise InputError(
                f"new_volumes: expected a volume for particle {name} in {folder}, of its file name or number, got none "
                f"among {len(files)} volumes; extract it there, or name another folder"
            )
        names.append(f"{number}@{folder / found}" if number else str(folder / found))
    columns = dict(table_of(listing).columns) | {"rlnImageName": names}
    weights = listing.weight_names
    kept: list[str | None] | None = None
    if weights is not None and all(name is None or Path(name).name in by_name for name in weights):
        kept = [None if name is None else str(folder / by_name[Path(name).name]) for name in weights]
    for name in (COLUMN, relion.WEIGHT):
        if name in columns and kept is not None:
            columns[name] = [name or "None" for name in kept]
        else:
            columns.pop(name, None)
    blocks = _with_table(listing, Loop(columns, table_of(listing).pairs))
    return replace(listing, names=names, weight_names=kept, folders=(Path(),), blocks=blocks)


def _only(found: dict[Any, Path], keys: list[Any]) -> dict[Any, Path]:
    """Entries whose key is that of one file alone."""
    counts: dict[Any, int] = {}
    for key in keys:
        counts[key] = counts.get(key, 0) + 1
    return {key: file for key, file in found.items() if key is not None and counts[key] == 1}


def voxel_size_of(folder: Path, listing: ParticleList) -> float | None:
    """The voxel size in the header of a list's first volume, named from a folder; None where it says none."""
    return read_volume_header(folder / parse_name(listing.names[0], listing.path).path).voxel_size


def _with_table(listing: ParticleList, table: Loop) -> dict[str, Block]:
    name = relion.particle_block_name(listing.blocks)
    assert name is not None
    return {**listing.blocks, name: table}


def places(listing: ParticleList, sizes: Sequence[float]) -> Float[Tensor, "particles 3"]:
    """Where the particles themselves lie in their tomograms, angstrom: box centre and shift.

    Raises
    ------
    InputError
        If the list gives no positions.
    """
    if listing.positions is None:
        raise InputError(f"{listing.path}: expected positions in the tomograms, the list gives none")
    size = torch.tensor(list(sizes), dtype=torch.float64)[:, None]
    poses = replace(listing, voxel_sizes=list(sizes)).tomogram_poses(None)
    return (listing.positions if poses is None else listing.positions + poses.shifts) * size


def distinct(values: Iterable[_Values]) -> list[_Values]:
    """Each value once, in order of appearance."""
    return list(dict.fromkeys(values))
