"""What picks of all programs have in common: no volumes yet, and positions that count something of their own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import texts, with_table
from torchsag.io.star import Loop
from torchsag.io.tilt_stacks import CENTRED


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


def centred_at(listing: ParticleList, angstrom: Float[Tensor, "picks 3"]) -> ParticleList:
    """The same list, with where its picks lie from the centre of their tomogram, whatever its voxel size is."""
    named = with_table(listing)
    particles = named.blocks["particles"]
    assert isinstance(particles, Loop)
    centred = {name: texts(column, 6) for name, column in zip(CENTRED, angstrom.unbind(-1), strict=True)}
    return replace(named, blocks={**named.blocks, "particles": Loop({**particles.columns, **centred})})
