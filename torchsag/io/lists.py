"""Any list of particles, a folder or a pattern: the name decides who reads it."""

from __future__ import annotations

import glob
import logging
import re
from dataclasses import replace
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io import av3, dynamo, pytom, relion, stopgap
from torchsag.io.csv_list import read_csv_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks import holds_picks
from torchsag.io.plausible import check_list
from torchsag.io.regular_file import require_regular
from torchsag.io.relion_document import with_table
from torchsag.io.star import read_star
from torchsag.io.tomogram_positions import with_positions
from torchsag.io.volumes import is_volume, read_volume_header
from torchsag.particles import Corrected

_LOG = logging.getLogger(__name__)
_LIST_NAMES = ("particles.star", "particles.csv")
_READERS = {".csv": read_csv_list, ".xml": pytom.read_particle_list}


def read_list(source: Path | str, volumes: Path | str | None = None) -> ParticleList:
    """Read what a list says about its particles; the volumes need not be there.

    Parameters
    ----------
    source
        The list.
    volumes
        The folder in which its volumes are: where names start, or, for lists that know particles by number, where the
        numbers are looked for. None finds out.

    Raises
    ------
    InputError
        If there is no such list or folder, the list is empty or cannot be read, or a name or value in it cannot be one.
    """
    folder = None if volumes is None else Path(volumes)
    if folder is not None and not folder.is_dir():
        raise InputError(f"volumes: expected the folder in which the volumes of {source} are, got {volumes}")
    return check_list(with_positions(_read(source, folder)))


def program_of(source: Path | str, suffix: str) -> str | None:
    """``stopgap`` where the source is its list and the suffix of the target alone would make it RELION's; else None."""
    path = Path(source)
    if path.suffix.lower() == suffix.lower() == ".star" and path.is_file() and stopgap.BLOCK in read_star(path):
        return "stopgap"
    return None


def _read(source: Path | str, volumes: Path | None) -> ParticleList:
    path = Path(source)
    require_regular(path)
    suffix = path.suffix.lower()
    if path.is_file() and holds_picks(path):
        raise InputError(
            f"{path}: gives positions and no volumes; cut the particles out with torchsag extract "
            f"positions={path} first"
        )
    if suffix == ".tbl":
        return dynamo.read_table(path, volumes)
    if suffix == ".em" and path.is_file() and av3.is_motive_list(path):
        return av3.read_motive_list(path, volumes)
    if suffix == ".star":
        blocks = read_star(path)
        if stopgap.BLOCK in blocks:
            return stopgap.particle_list(path, blocks, volumes)
        named = relion.particle_list(path, blocks)
    elif suffix in _READERS:
        named = _READERS[suffix](path)
    else:
        return _read_volumes(source, volumes)
    return named if volumes is None else replace(named, folders=(volumes,))


def _read_volumes(source: Path | str, volumes: Path | None) -> ParticleList:
    """Volumes without a list."""
    path = Path(source)
    if path.is_dir():
        for name in _LIST_NAMES:
            if (path / name).is_file():
                _LOG.info("%s: reading the list %s", path, name)
                return _read(path / name, volumes)
        files = [str(file) for file in path.iterdir() if is_volume(file)]
    elif path.exists() and not is_volume(path):
        raise InputError(f"{path}: unknown kind of particle list; expected .star, .csv, a folder, a glob or a stack")
    elif path.exists():
        files = [str(path)]
    elif any(sign in str(source) for sign in "*?["):
        files = [file for file in glob.glob(str(source)) if is_volume(file)]
    else:
        raise InputError(f"{path}: no such file or folder; check the path")
    if volumes is not None:
        raise InputError(f"volumes: expected none, {source} is no list but names its volumes itself")
    if not files:
        raise InputError(f"{source}: expected at least one volume, got none; check the folder or the pattern")
    names: list[str] = []
    for file in sorted(files, key=_natural):
        count = read_volume_header(file).count
        names += [file] if count == 1 else [f"{k:06d}@{file}" for k in range(1, count + 1)]
    return with_table(ParticleList(path, (Path(),), names, Corrected()))


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key that puts vol_9 before vol_10."""
    return [(int(part), "") if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]
