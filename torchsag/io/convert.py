"""Turn the list of one program into that of another; the volumes need not be there."""

from __future__ import annotations

import csv
import io
import logging
import os
from collections.abc import Callable
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.csv_cells import cell
from torchsag.errors import InputError
from torchsag.io import av3, dynamo, pytom, stopgap
from torchsag.io.atomic import write_text
from torchsag.io.foreign import single_ranges
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList, find_folder, parse_name
from torchsag.io.relion_export import write_relion_list

_LOG = logging.getLogger(__name__)


def convert_list(
    source: Path | str,
    target: Path | str,
    *,
    voxel_size_angstrom: float | int | None = None,
    program: str | None = None,
    project: Path | str | None = None,
    volumes: Path | str | None = None,
    tomograms: Path | str | None = None,
) -> int:
    """Convert a particle list; conventions of angles, shifts and boxes are converted with it.

    Parameters
    ----------
    source
        Anything `read_particles` takes.
    target
        The file to write.
    voxel_size_angstrom
        Used in place of what the list says.
    program
        ``relion``, ``stopgap``, ``dynamo``, ``av3``, ``pytom`` or ``csv``; by default the target's suffix decides:
        ``.star`` (RELION), ``.tbl`` (Dynamo), ``.em`` (AV3), ``.xml`` (PyTom), ``.csv``.
    project
        For RELION: the folder in which it will run, from which names start; None is that of `target`.
    volumes
        The folder in which the volumes of the source are; None finds out.
    tomograms
        For RELION: what tells the sizes of the tomograms, a ``tomograms.star``, a tomogram or a folder of tomograms;
        None takes the ``tomograms.star`` that goes with the source. Where they are known, RELION 5's
        ``rlnCenteredCoordinateXAngst``, ``Y``, ``Z`` are written.

    Returns
    -------
    The number of particles.

    Raises
    ------
    InputError
        If the source cannot be read, the target cannot be written, or something needed is unknown.
    """
    program_for(Path(target), program)
    listing = read_list(source, volumes)
    write_list(
        target,
        listing,
        voxel_size_angstrom=voxel_size_angstrom,
        program=program,
        project=project,
        tomograms=tomograms,
    )
    return len(listing.names)


def program_for(target: Path, program: str | None = None) -> str:
    """The program that a list is written for.

    Raises
    ------
    InputError
        If there is none of this name or for this suffix.
    """
    chosen = program or _BY_SUFFIX.get(target.suffix.lower())
    if chosen is None or chosen not in ("relion", *_WRITERS):
        raise InputError(
            f"{target}: expected a name ending in {', '.join(_BY_SUFFIX)}, or program one of relion, "
            f"{', '.join(_WRITERS)}, "
            f"got {program or target.suffix!r}"
        )
    return chosen


def write_list(
    target: Path | str,
    listing: ParticleList,
    *,
    voxel_size_angstrom: float | int | None = None,
    program: str | None = None,
    project: Path | str | None = None,
    tomograms: Path | str | None = None,
) -> None:
    """Write a list in the form of a program; the parameters are those of `convert_list`.

    Raises
    ------
    InputError
        If the target cannot be written, or something needed is unknown.
    """
    target = Path(target)
    chosen = program_for(target, program)
    if chosen == "pytom" and not listing.named:
        raise InputError(
            f"{target}: expected a list that names volumes, as PyTom's do, {listing.path} gives positions alone; "
            "extract the particles first, or write .star or .csv"
        )
    sizes = set(listing.voxel_sizes or ())
    # Particles of several voxel sizes keep their own.
    own = sizes.pop() if len(sizes) == 1 else None
    voxel_size = own if voxel_size_angstrom is None else float(voxel_size_angstrom)
    if chosen == "relion":
        write_relion_list(target, listing, voxel_size, *(None if p is None else Path(p) for p in (project, tomograms)))
    else:
        if tomograms is not None:
            raise InputError(f"tomograms: only RELION's lists count from the centre of tomograms, and {target} is none")
        _WRITERS[chosen](target, listing, voxel_size)
    if chosen != "relion" and listing.flat is not None and any(listing.flat):
        _LOG.warning(
            "%s: its particles are tilt images, which only RELION's lists describe; %s holds their poses and "
            "positions, to extract from the tomograms, but particles cannot be read from it (program=relion keeps all)",
            listing.path,
            target,
        )
    if listing.positions is None and chosen not in ("relion", "csv"):
        _LOG.warning("%s gives no positions in voxels of a tomogram; those of %s are zero", listing.path, target)


def _folder(listing: ParticleList) -> Path:
    """Where names start; beside the list where no volume is there to tell."""
    try:
        return find_folder(listing)
    except InputError:
        return listing.path.parent


def _write_csv(target: Path, listing: ParticleList, voxel_size: float | None) -> None:
    folder = _folder(listing)

    def beside(name: str | None) -> str:
        if name is None:
            return ""
        parsed = parse_name(name, listing.path)
        number = "" if parsed.index is None else f"{parsed.index + 1:06d}@"
        path = parsed.path
        if not path.is_absolute():
            path = Path(os.path.relpath(folder.resolve() / path, target.parent.resolve()))
        return f"{number}{path.as_posix()}"

    columns: dict[str, list[str]] = {"volume": [beside(name) for name in listing.names]} if listing.named else {}
    if listing.weight_names is not None:
        columns["weight"] = [beside(name) for name in listing.weight_names]
    ranges = single_ranges(listing, target)
    if all(ranges):
        columns["tilt_min_deg"] = [f"{r.tilt_min_deg:g}" for r in ranges if r is not None]
        columns["tilt_max_deg"] = [f"{r.tilt_max_deg:g}" for r in ranges if r is not None]
        if any(r is not None and r.axis_deg for r in ranges):
            columns["tilt_axis_deg"] = [f"{r.axis_deg:g}" for r in ranges if r is not None]
    for name, values in (("tomogram", listing.tomograms), ("half", listing.halves), ("class", listing.classes)):
        if values is not None:
            columns[name] = [value if isinstance(value, str) else str(int(value)) for value in values]
    if listing.positions is not None:
        for name, values in zip("xyz", listing.positions.unbind(-1), strict=True):
            columns[name] = _decimals(values)
    poses = listing.poses(voxel_size)
    if poses is not None:
        numbers = torch.cat([torch.rad2deg(poses.zyz), poses.shifts], -1)
        names = ("rot_deg", "tilt_deg", "psi_deg", "shift_x", "shift_y", "shift_z")
        for name, values in zip(names, numbers.unbind(-1), strict=True):
            columns[name] = _decimals(values)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(map(cell, row) for row in zip(*columns.values(), strict=True))
    write_text(target, text.getvalue())


def _decimals(values: Float[Tensor, " rows"]) -> list[str]:
    return [f"{value + 0.0:.6f}" for value in values.tolist()]


_WRITERS: dict[str, Callable[[Path, ParticleList, float | None], None]] = {
    "stopgap": stopgap.write_motive_list,
    "dynamo": dynamo.write_table,
    "av3": av3.write_motive_list,
    "pytom": pytom.write_particle_list,
    "csv": _write_csv,
}
_BY_SUFFIX = {".star": "relion", ".tbl": "dynamo", ".em": "av3", ".xml": "pytom", ".csv": "csv"}
