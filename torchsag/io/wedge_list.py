"""STOPGAP wedge lists: tilts, defocus and exposure of each tomogram (a block ``stopgap_wedgelist``).

Source: Wan et al. (2024) Acta Cryst. D80:336 and the program's ``sg_toolbox``. STOPGAP weights by |CTF|: tomograms are
phase-flipped or CTF-multiplied when they are made.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope
from torchsag.io.plausible import numbers, whole
from torchsag.io.star import Loop, read_star
from torchsag.particles import Tilt, TiltScheme

BLOCK = "stopgap_wedgelist"
_NEEDED = ("tomo_num", "tilt_angle")


def tilts_by_tomogram(path: Path, tomograms: Sequence[int]) -> list[TiltScheme] | None:
    """The tilts of each particle's tomogram from the wedge list beside a motive list; None where there is none.

    Raises
    ------
    InputError
        If several wedge lists stand there, one is damaged, or a tomogram is in none.
    """
    found = [file for file in sorted(path.parent.glob("*wedge*.star")) if BLOCK in file.read_text(errors="replace")]
    if not found:
        return None
    if len(found) > 1:
        raise InputError(
            f"{path}: expected one wedge list beside it, got {', '.join(file.name for file in found)}; move the others"
        )
    schemes = read_wedge_list(found[0])
    for row, number in enumerate(tomograms, start=1):
        if number not in schemes:
            raise InputError(f"{path}: entry {row}: tomogram {number} is not in the wedge list {found[0].name}; add it")
    return [schemes[number] for number in tomograms]


def read_wedge_list(path: Path | str) -> dict[int, TiltScheme]:
    """The tilts of each tomogram, by its number.

    Raises
    ------
    InputError
        If the file is missing or no wedge list.
    """
    path = Path(path)
    table = read_star(path).get(BLOCK)
    if not isinstance(table, Loop) or any(name not in table.columns for name in _NEEDED) or len(table) == 0:
        raise InputError(f"{path}: expected a STOPGAP wedge list with {' and '.join(_NEEDED)} for each tilt")
    tomograms = whole(path, numbers(path, table.columns["tomo_num"], "tomo_num"), "tomo_num").tolist()
    columns = {
        name: numbers(path, table.columns[name], name, 1e6).tolist()
        for name in ("tilt_angle", "defocus", "defocus1", "defocus2", "exposure", "voltage", "cs", "amp_contrast")
        if name in table.columns
    }
    tilts: dict[int, list[Tilt]] = {}
    microscopes: dict[int, Microscope] = {}
    try:
        for row, number in enumerate(tomograms):
            entry = {name: values[row] for name, values in columns.items()}
            tilts.setdefault(number, []).append(_tilt(entry))
            microscopes.setdefault(number, _microscope(entry))
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return {number: TiltScheme(tilts=tuple(of), microscope=microscopes[number]) for number, of in tilts.items()}


def _tilt(entry: dict[str, float]) -> Tilt:
    """Angle, underfocus (the mean of an astigmatic pair) and exposure; what is not given is left out."""
    pair = [entry[name] for name in ("defocus", "defocus1", "defocus2") if name in entry]
    return Tilt(
        entry["tilt_angle"],
        underfocus_um=sum(pair) / len(pair) if pair and set(entry) >= _CTF else None,
        exposure=entry.get("exposure"),
    )


_CTF = {"voltage", "cs", "amp_contrast"}


def _microscope(entry: dict[str, float]) -> Microscope:
    if not set(entry) >= _CTF:
        return Microscope(voltage_kv=entry.get("voltage", 300.0))
    return Microscope(entry["voltage"], entry["cs"], entry["amp_contrast"])
