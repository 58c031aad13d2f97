"""Where particles lie in their tomograms, for lists whose positions mean nothing without ``tomograms.star``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tilt_stacks import CENTRED, find_tomograms
from torchsag.io.tomograms import SIZES, is_warp, number


def with_positions(listing: ParticleList) -> ParticleList:
    """The same list with positions in voxels of the particles from the tomogram's corner, where they can be known.

    RELION 5 counts angstrom from the tomogram's centre, WarpTools voxels of the particles already (see
    `torchsag.io.tomograms`). Without a ``tomograms.star``, or without sizes in it, the list stays as it is.

    Raises
    ------
    InputError
        If ``tomograms.star`` is there and does not say what is needed.
    """
    table = _table(listing.blocks)
    if table is None or listing.tomograms is None or listing.voxel_sizes is None:
        return listing
    centred = all(key in table.columns for key in CENTRED)
    keys = CENTRED if centred else relion.POSITIONS
    path = _tomograms(listing)
    if path is None or not all(key in table.columns for key in keys):
        return listing
    blocks = read_star(path)
    said = _by_name(path, blocks)
    listed = torch.stack([relion.numbers(listing.path, table, key) for key in keys], -1)
    positions = listed.clone() if listing.positions is None else listing.positions.clone()
    for row, (name, size) in enumerate(zip(listing.tomograms, listing.voxel_sizes, strict=True)):
        if name not in said:
            raise InputError(f"{path}: expected tomogram {name}, which particles name, got {len(said)} others")
        if centred and not all(key in said[name] for key in SIZES):
            return listing  # nothing tells where the corner is
        if centred:
            pixel = number(path, "rlnTomoTiltSeriesPixelSize", said[name].get("rlnTomoTiltSeriesPixelSize", ""))
            corner = torch.tensor([number(path, key, said[name].get(key, "")) for key in SIZES], dtype=torch.float64)
            positions[row] = (listed[row] + corner / 2 * pixel) / size
        elif is_warp(path, blocks.get(name)):
            positions[row] = listed[row]
    return replace(listing, positions=positions)


def _tomograms(listing: ParticleList) -> Path | None:
    try:
        path = find_tomograms(listing)
    except InputError:
        return None
    return path if path.is_file() else None


def _table(blocks: dict[str, Block]) -> Loop | None:
    name = relion.particle_block_name(blocks)
    table = None if name is None else blocks[name]
    return table if isinstance(table, Loop) else None


def _by_name(path: Path, blocks: dict[str, Block]) -> dict[str, dict[str, str]]:
    block = blocks.get("global", {})
    table = block if isinstance(block, Loop) else Loop({key: [value] for key, value in block.items()})
    if "rlnTomoName" not in table.columns:
        raise InputError(f"{path}: expected a block data_global with a column rlnTomoName, got {', '.join(blocks)}")
    rows = range(len(table))
    return {table.columns["rlnTomoName"][r]: {key: values[r] for key, values in table.columns.items()} for r in rows}
