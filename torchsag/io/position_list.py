"""Lists read for the positions in them: particles that have no volumes yet."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io import relion, stopgap
from torchsag.io.csv_list import read_csv_list
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks import read_picks
from torchsag.io.plausible import check_list
from torchsag.io.regular_file import require_regular
from torchsag.io.star import Loop, read_star
from torchsag.io.tomogram_positions import with_positions


def read_list_or_positions(source: Path | str, volumes: Path | str | None = None) -> ParticleList:
    """Read a list with the volumes that it names, or, where it names none, as `read_positions` does.

    Raises
    ------
    InputError
        As `torchsag.io.lists.read_list`, for a list that is neither.
    """
    try:
        return read_list(source, volumes)
    except InputError:
        try:
            found = read_positions(source)
        except InputError:
            found = None
        if found is None or found.named:
            raise  # what is wrong with it as a list of volumes
        return found


def read_positions(source: Path | str) -> ParticleList:
    """Read any list of particles, also a STAR or csv file that names no volumes, and what picking programs write.

    Raises
    ------
    InputError
        If there is no such list, it is empty or cannot be read, or a name or value in it cannot be one.
    """
    path = Path(source)
    require_regular(path)
    if path.suffix.lower() == ".star" and path.is_file():
        return with_positions(check_list(_star(path)))
    picks = read_picks(path) if path.is_file() else None
    if picks is not None:
        return check_list(replace(picks, named=False))
    if path.suffix.lower() == ".csv" and path.is_file():
        return check_list(read_csv_list(path, named=False))
    return read_list(source)


def _star(path: Path) -> ParticleList:
    blocks = read_star(path)
    if stopgap.BLOCK in blocks:
        return stopgap.particle_list(path, blocks)
    named = relion.optimisation_set(path, blocks)
    if named is not None:
        return replace(_plain(named.particles), tomograms_file=named.tomograms)
    return _plain(path)


def _plain(path: Path) -> ParticleList:
    """A particle list proper; where it names no volumes, the entries are counted."""
    blocks = read_star(path)
    name = relion.particle_block_name(blocks)
    table = None if name is None else blocks[name]
    if name is None or not isinstance(table, Loop) or "rlnImageName" in table.columns:
        return relion.particle_list(path, blocks)
    counted = [f"position_{k:06d}" for k in range(1, len(table) + 1)]
    blocks = {**blocks, name: Loop({**table.columns, "rlnImageName": counted}, table.pairs)}
    return replace(relion.particle_list(path, blocks), named=False)
