"""What picks of all programs have in common: no volumes yet, and positions that count something of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import with_table
from torchsag.io.star import Loop


def pick_names(path: Path, count: int) -> list[str]:
    """What to call picks, which have no volumes that could name them.

    Raises
    ------
    InputError
        If there is not one.
    """
    if not count:
        raise InputError(f"{path}: expected at least one pick, got an empty list")
    return [f"position_{number:06d}" for number in range(1, count + 1)]


def in_voxels_of(listing: ParticleList, size_angstrom: float) -> ParticleList:
    """The same list, whose positions count voxels of a size that is known, whatever its tomogram's is."""
    count = len(listing.names)
    named = with_table(replace(listing, voxel_sizes=[size_angstrom] * count))
    particles = named.blocks["particles"]
    assert isinstance(particles, Loop)
    optics = Loop({"rlnOpticsGroup": ["1"], "rlnTomoTiltSeriesPixelSize": [f"{size_angstrom:.6f}"]})
    table = Loop({**particles.columns, "rlnOpticsGroup": ["1"] * count})
    return replace(named, blocks={**named.blocks, "optics": optics, "particles": table})
