"""What a volume list of Dynamo (``.vll``) says to crop: the tables below each tomogram (``> TABLE.tbl``)."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.dynamo import read_table
from torchsag.io.dynamo_volumes import ListedVolume, read_volume_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.places import pick_names
from torchsag.io.relion_document import with_table
from torchsag.particles import Transfer


def read_crop_list(path: Path) -> ParticleList:
    """The particles of all tables, each in the tomogram that its table stands below.

    Tilts and voxel sizes are those of the list where the tables and it tell them.

    Raises
    ------
    InputError
        If the list or a table is damaged, or no table is named.
    """
    volumes = read_volume_list(path)
    parts = [(one, _table(path, one, source)) for one in volumes for source in one.sources]
    if not parts:
        raise InputError(
            f"{path}: names no table to crop (> TABLE.tbl below a tomogram); give the table with positions= and this "
            "list with tomogram="
        )
    names = pick_names(path, sum(len(table.names) for _, table in parts))
    sizes = [size for one, table in parts for size in [one.voxel_size(path)] * len(table.names)]
    known = [size for size in sizes if size is not None]
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent, Path()),
            names=names,
            weighting=Transfer(),
            voxel_sizes=known if len(known) == len(sizes) else None,
            tilt_ranges=[
                told or one.tilt_range(path)
                for one, table in parts
                for told in table.tilt_ranges or [None] * len(table.names)
            ],
            tomograms=[one.file for one, table in parts for _ in table.names],
            rotations=_column(parts, "rotations"),
            shifts=_column(parts, "shifts"),
            classes=_column(parts, "classes"),
            positions=_column(parts, "positions"),
            scores=_column(parts, "scores"),
        )
    )


def _column(parts: list[tuple[ListedVolume, ParticleList]], name: str) -> Tensor:
    """What every table has."""
    return torch.cat([getattr(table, name) for _, table in parts])


def _table(path: Path, volume: ListedVolume, source: str) -> ParticleList:
    if not source.lower().endswith(".tbl"):
        raise InputError(
            f"{path}: tomogram {volume.file}: expected a table (.tbl) to crop, got {source[:60]!r}; models are "
            "Matlab's files, of which Dynamo makes tables"
        )
    found = next((place for place in (path.parent / source, Path(source)) if place.is_file()), None)
    if found is None:
        raise InputError(f"{path}: tomogram {volume.file}: no such table: {source}; check the path")
    return read_table(found)
