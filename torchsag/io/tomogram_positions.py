"""Where particles lie in their tomograms, for lists whose positions mean nothing without ``tomograms.star``.

RELION 5 counts angstrom from the centre of a tomogram, whose size stands in the other file: ``position = (coordinate /
p + size / 2) p / v`` voxels of the particle, p and the size being those of the tilt series and v the particle's voxel
size (RELION 5.0.1, ``particle_set.cpp``, ``getParticleCoordDecenteredPixel``). WarpTools counts voxels of the
particles (see `torchsag.io.tomograms`).
"""

from __future__ import annotations

import logging
import os
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tilt_stacks import CENTRED, find_tomograms
from torchsag.io.tomograms import SIZES, is_warp

_LOG = logging.getLogger(__name__)
_PIXEL = "rlnTomoTiltSeriesPixelSize"


def with_positions(listing: ParticleList) -> ParticleList:
    """The same list with positions in voxels of the particles from the tomogram's corner, where they can be known.

    Without a ``tomograms.star``, or without sizes in it, the list stays as it is.

    Raises
    ------
    InputError
        If the tomogram of a centred coordinate is missing from ``tomograms.star``, or a value is no number.
    """
    table = listing.blocks.get(relion.particle_block_name(listing.blocks) or "")
    if not isinstance(table, Loop) or listing.tomograms is None or listing.voxel_sizes is None:
        return listing
    path = tomograms_beside(listing)
    if path is None:
        return listing
    if listing.positions is not None:
        return _in_own_voxels(listing, table, read_star(path), path)
    return _from_the_centre(listing, table, path) if all(key in table.columns for key in CENTRED) else listing


def tomograms_beside(listing: ParticleList) -> Path | None:
    """The ``tomograms.star`` that goes with a list, where there is one."""
    try:
        path = find_tomograms(listing)
    except InputError:  # which particles that are volumes can do without
        return None
    return path if os.path.isfile(path) else None  # false, too, for a name that no file can have


def _in_own_voxels(listing: ParticleList, table: Loop, blocks: dict[str, Block], path: Path) -> ParticleList:
    """Particles of tomograms that WarpTools wrote: their coordinates are voxels of the particles already."""
    assert listing.tomograms is not None
    assert listing.positions is not None
    warp = {name for name in set(listing.tomograms) if is_warp(path, blocks.get(name))}
    if not warp:
        return listing
    own = torch.tensor([name in warp for name in listing.tomograms])
    listed = _columns(listing, table, relion.POSITIONS)
    return replace(listing, positions=torch.where(own[:, None], listed, listing.positions))


def _from_the_centre(listing: ParticleList, table: Loop, path: Path) -> ParticleList:
    found = tomogram_extents(listing, path)
    if found is None:
        _LOG.warning("%s: tells no sizes of tomograms, so that positions in %s stay unknown", path, listing.path)
        return listing
    voxel = torch.tensor(listing.voxel_sizes, dtype=torch.float64)
    return replace(listing, positions=(_columns(listing, table, CENTRED) + found[0] / 2) / voxel[:, None])


def tomogram_extents(
    listing: ParticleList, path: Path
) -> tuple[Float[Tensor, "particles 3"], Float[Tensor, " particles"]] | None:
    """Size (x, y, z) of each particle's tomogram and the pixel size of its tilt series, angstrom.

    None where `path`, a ``tomograms.star``, tells no sizes.

    Raises
    ------
    InputError
        If a tomogram is missing from it, or a value is no number.
    """
    sizes = next((block for block in read_star(path).values() if _has_sizes(block)), None)
    if not isinstance(sizes, Loop) or listing.tomograms is None:
        return None
    place = {name: row for row, name in enumerate(sizes.columns["rlnTomoName"])}
    for row, name in enumerate(listing.tomograms, start=1):
        if name not in place:
            raise InputError(f"{listing.path}: entry {row}: tomogram {name} is not in {path}; add it")
    rows = torch.tensor([place[name] for name in listing.tomograms])
    extent = torch.stack([relion.numbers(path, sizes, name) for name in SIZES], -1)[rows]
    pixels = _series_pixels(listing, sizes, path, rows)
    return extent * pixels[:, None], pixels


def _columns(listing: ParticleList, table: Loop, names: tuple[str, str, str]) -> Float[Tensor, "rows 3"]:
    return torch.stack([relion.numbers(listing.path, table, name) for name in names], -1)


def _has_sizes(block: Block) -> bool:
    return isinstance(block, Loop) and {"rlnTomoName", *SIZES} <= set(block.columns)


def _series_pixels(listing: ParticleList, sizes: Loop, path: Path, rows: Tensor) -> Float[Tensor, " particles"]:
    """Pixel size of each particle's tilt series, angstrom: by tomogram, else by optics group."""
    if _PIXEL in sizes.columns:
        return relion.numbers(path, sizes, _PIXEL)[rows]
    texts = relion.by_group(listing.path, listing.blocks, _PIXEL)
    if None in texts:
        raise InputError(f"{listing.path}: expected {_PIXEL} of the tomograms or the optics groups, got none")
    return relion.numbers(listing.path, Loop({_PIXEL: [text for text in texts if text is not None]}), _PIXEL)
