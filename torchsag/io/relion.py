"""RELION particle lists, versions 3.0 to 5, read into this library's conventions."""

from __future__ import annotations

import json
import logging
import math
import os
import re
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import zyz_to_matrix
from torchsag.io import plausible
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tilt_columns import read_tilt_geometry
from torchsag.particles import Corrected, Premultiplied, Transfer, Weighting

_LOG = logging.getLogger(__name__)
ANGLES = ("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")
ANGLE_PRIORS = ("rlnAngleRotPrior", "rlnAngleTiltPrior", "rlnAnglePsiPrior")
BOX_ANGLES = ("rlnTomoSubtomogramRot", "rlnTomoSubtomogramTilt", "rlnTomoSubtomogramPsi")
ORIGINS_ANGSTROM = ("rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst")
ORIGINS_PIXEL = ("rlnOriginX", "rlnOriginY", "rlnOriginZ")
POSITIONS = ("rlnCoordinateX", "rlnCoordinateY", "rlnCoordinateZ")
_LENGTHS = (*ORIGINS_ANGSTROM, *ORIGINS_PIXEL, *POSITIONS)
WEIGHT = "torchsagWeightImage"
SCORE = "torchsagScore"
AMBIGUITY = "torchsagAmbiguity"
COVARIANCE = "torchsagCovarianceDegAngst"
NOTES = "torchsag"  # a block of ours with what RELION has no place for
FOLDER_NOTE, WEIGHTING_NOTE = "torchsagVolumesFolder", "torchsagWeighting"
TOMOGRAMS_NOTE = "torchsagTomogramsFile"
WEIGHTINGS: dict[str, type[Corrected] | type[Transfer] | type[Premultiplied]] = {
    "corrected": Corrected,
    "transfer": Transfer,
    "premultiplied": Premultiplied,
}
_UNSET = ("", "None", "none", "<NA>")


def read_relion_list(path: Path | str) -> ParticleList:
    """Read a particle list, or an optimisation set that names one.

    Columns understood: ``rlnImageName``, ``rlnCtfImage``, the angles (else their priors), the origins in angstrom or,
    before RELION 3.1, in pixels, ``rlnRandomSubset``, ``rlnClassNumber``, ``rlnTomoName`` or ``rlnMicrographName``,
    ``rlnTomoSubtomogram{Rot,Tilt,Psi}`` and the pixel size. All others are kept as text.

    Raises
    ------
    InputError
        For a missing file, an empty list, a list without 3D volumes, or a value that is no number.
    """
    path = Path(path)
    return particle_list(path, read_star(path))


def particle_list(path: Path, blocks: dict[str, Block]) -> ParticleList:
    """What the blocks of a STAR file say; see `read_relion_list`."""
    named = optimisation_set(path, blocks)
    if named is not None:
        return replace(read_relion_list(named.particles), tomograms_file=named.tomograms)
    table = particle_table(path, blocks)
    weights = table.columns.get(WEIGHT, table.columns.get("rlnCtfImage"))
    shifts, unit = _shifts(path, table)
    geometry = read_tilt_geometry(path, blocks, table)
    names = None if weights is None else [None if name in _UNSET else name for name in weights]
    if names is not None and geometry is not None and "rlnCtfImage" in table.columns:
        # What torchsag wrote for RELION, from the tilts beside it.
        names = [name if tilts is None else None for name, tilts in zip(names, geometry, strict=True)]
    return ParticleList(
        path=path,
        folders=_folders(path, blocks),
        names=table.columns["rlnImageName"],
        weighting=_weighting(blocks),
        weightings=_weightings(path, blocks, table),
        weight_names=names,
        tilt_ranges=geometry,
        voxel_sizes=_voxel_sizes(path, blocks, table),
        rotations=_rotations(path, table),
        shifts=shifts,
        shift_unit=unit,
        box_frames=_euler(path, table, BOX_ANGLES) if all(name in table.columns for name in BOX_ANGLES) else None,
        halves=_integers(path, table, "rlnRandomSubset", allowed=(1, 2)),
        classes=_integers(path, table, "rlnClassNumber"),
        tomograms=table.columns.get("rlnTomoName", table.columns.get("rlnMicrographName")),
        positions=_positions(path, blocks, table),
        scores=numbers(path, table, SCORE) if SCORE in table.columns else None,
        blocks=blocks,
        flat=_flat(path, blocks, table),
        tomograms_file=_noted_tomograms(path, blocks),
    )


@dataclass(frozen=True)
class OptimisationSet:
    """What an optimisation set names.

    Attributes
    ----------
    particles
        The particle list.
    tomograms
        ``tomograms.star``; None where none is named.
    """

    particles: Path
    tomograms: Path | None


def optimisation_set(path: Path, blocks: dict[str, Block]) -> OptimisationSet | None:
    """The files that an optimisation set names; None if this is none.

    RELION calls its block ``optimisation_set``, WarpTools leaves it without a name; RELION reads the first block
    whatever its name.

    Raises
    ------
    InputError
        If it names no particle list.
    """
    block = blocks.get("optimisation_set", next(iter(blocks.values()), {}))
    particles = _entry(block, "rlnTomoParticlesFile")
    if particles is None:
        if "optimisation_set" in blocks:
            raise InputError(f"{path}: expected rlnTomoParticlesFile in the optimisation set")
        return None
    tomograms = _entry(block, "rlnTomoTomogramsFile")
    return OptimisationSet(_place(path, particles), None if tomograms is None else _place(path, tomograms))


def _place(path: Path, name: str) -> Path:
    """Where a file lies that an optimisation set names."""
    folders = [folder for folder in _folders(path, {}) if os.path.isfile(folder / name)]
    return (folders or [path.parent])[0] / name


def _noted_tomograms(path: Path, blocks: dict[str, Block]) -> Path | None:
    noted = _entry(blocks.get(NOTES, {}), TOMOGRAMS_NOTE)
    return None if noted is None else path.parent / noted


def particle_block_name(blocks: dict[str, Block]) -> str | None:
    """The block that lists the particles: ``particles``, or before RELION 3.1 the only loop."""
    if isinstance(blocks.get("particles"), Loop):
        return "particles"
    loops = [name for name, block in blocks.items() if isinstance(block, Loop) and name != "optics"]
    return loops[0] if len(loops) == 1 else None


def particle_table(path: Path, blocks: dict[str, Block]) -> Loop:
    """The loop that lists the particles.

    Raises
    ------
    InputError
        If there is none, or it is empty or names no volumes.
    """
    name = particle_block_name(blocks)
    table = blocks[name] if name is not None else None
    if not isinstance(table, Loop):
        raise InputError(f"{path}: expected a block data_particles with a loop, got blocks {', '.join(blocks)}")
    if "rlnImageName" not in table.columns:
        raise InputError(
            f"{path}: expected a column rlnImageName with a volume for each particle, got "
            f"{', '.join(list(table.columns)[:6])}, ...; extract subtomograms first"
        )
    if len(table) == 0:
        raise InputError(f"{path}: expected at least one particle, got an empty list")
    return table


def _folders(path: Path, blocks: dict[str, Block]) -> tuple[Path, ...]:
    """RELION's names start at its project folder, which is where it runs or some levels above the file."""
    noted = _entry(blocks.get(NOTES, {}), FOLDER_NOTE)
    own = [] if noted is None else [path.parent / noted]
    return (*own, path.parent, Path(), *list(path.resolve().parents)[1:6])


def _entry(block: Block, name: str) -> str | None:
    """A single value, whether it stands alone or in a loop of one row."""
    if isinstance(block, Loop):
        return next(iter(block.columns.get(name, ())), None)
    return block.get(name)


def optics_table(blocks: dict[str, Block]) -> Loop:
    """The optics groups; a block of single values is a table of one row, a missing one has no columns."""
    optics = blocks.get("optics", {})
    return optics if isinstance(optics, Loop) else Loop({name: [value] for name, value in optics.items()})


def by_group(path: Path, blocks: dict[str, Block], column: str) -> list[str | None]:
    """A column of the optics groups, one value for each particle; None where it is missing.

    Raises
    ------
    InputError
        If a particle's group is not among the optics groups.
    """
    table = particle_table(path, blocks)
    optics = optics_table(blocks)
    values = optics.columns.get(column)
    if values is None or not values:
        return [None] * len(table)
    groups, used = optics.columns.get("rlnOpticsGroup"), table.columns.get("rlnOpticsGroup")
    if groups is None or used is None:
        return [values[0]] * len(table)
    of_group = dict(zip(map(_group, groups), values, strict=True))
    if len(of_group) == 1:  # 0 is what table programs put where nothing was said
        of_group.setdefault("0", next(iter(of_group.values())))
    known = {text: _group(text) for text in dict.fromkeys(used)}
    missing = set(known.values()) - set(of_group)
    if missing:
        raise InputError(f"{path}: optics group {min(missing)} is used by particles but not in data_optics")
    return [of_group[known[group]] for group in used]


def _group(text: str) -> str:
    """A group's number however it is written: 1 and 1.0 are the same to RELION."""
    match = re.fullmatch(r"0*([0-9]+)(\.0*)?", text)
    return match[1] if match else text


def _flat(path: Path, blocks: dict[str, Block], table: Loop) -> list[bool] | None:
    """Which particles the list says are 2D images; None where it says nothing."""
    stacks = _entry(blocks.get("general", {}), "rlnTomoSubTomosAre2DStacks")
    sides = by_group(path, blocks, "rlnImageDimensionality")
    if stacks is None and sides == [None] * len(table):
        return None
    flat = [stacks == "1" if side is None else side == "2" for side in sides]
    for name, flag in zip(table.columns["rlnImageName"], flat, strict=True):
        if flag and "@" in name:  # tilt stacks are files of their own
            raise InputError(
                f"{path}: expected volumes or stacks of tilt images, got 2D images as of single particles ({name}); "
                "extract subtomograms from the tilt series"
            )
    return flat


def _weightings(path: Path, blocks: dict[str, Block], table: Loop) -> list[Weighting] | None:
    """What the weights of each particle mean, where that differs from one to another."""
    flags = by_group(path, blocks, "rlnCtfDataAreCtfPremultiplied")
    if len(set(flags)) == 1 or _entry(blocks.get(NOTES, {}), WEIGHTING_NOTE) in WEIGHTINGS:
        return None
    return [Premultiplied() if flag == "1" else Transfer() for flag in flags]


def _weighting(blocks: dict[str, Block]) -> Weighting:
    noted = _entry(blocks.get(NOTES, {}), WEIGHTING_NOTE)
    if noted in WEIGHTINGS:
        return WEIGHTINGS[noted]()
    return Premultiplied() if _entry(blocks.get("optics", {}), "rlnCtfDataAreCtfPremultiplied") == "1" else Transfer()


def numbers(path: Path, table: Loop, name: str) -> Float[Tensor, " rows"]:
    """A column of numbers.

    Raises
    ------
    InputError
        If a value is none, not finite, or too large for an angle or a length.
    """
    largest = LARGEST_ANGLE if name in (*ANGLES, *ANGLE_PRIORS, *BOX_ANGLES) else math.inf
    return plausible.numbers(path, table.columns[name], name, LARGEST_LENGTH if name in _LENGTHS else largest)


def _triple(path: Path, table: Loop, names: tuple[str, str, str]) -> Float[Tensor, "rows 3"]:
    """Three columns of numbers; one that is not listed counts as zero, as in RELION, and is said."""
    missing = [name for name in names if name not in table.columns]
    if missing:
        _LOG.warning("%s: %s not listed, counted as 0", path, ", ".join(missing))
    nothing = torch.zeros(len(table), dtype=torch.float64)
    return torch.stack([nothing if name in missing else numbers(path, table, name) for name in names], -1)


def _euler(path: Path, table: Loop, names: tuple[str, str, str]) -> Float[Tensor, "rows 3 3"]:
    return zyz_to_matrix(_triple(path, table, names) * (math.pi / 180))


def _rotations(path: Path, table: Loop) -> Float[Tensor, "rows 3 3"] | None:
    for names in (ANGLES, ANGLE_PRIORS):
        if any(name in table.columns for name in names):
            return _euler(path, table, names)
    return None


def _shifts(path: Path, table: Loop) -> tuple[Float[Tensor, "rows 3"] | None, str]:
    """RELION's origin moves the particle to the centre, hence the minus sign."""
    ways: list[tuple[tuple[str, str, str], str]] = [(ORIGINS_ANGSTROM, "angstrom"), (ORIGINS_PIXEL, "voxel")]
    for enough in (all, any):  # a complete way goes before one that must be filled up
        for names, unit in ways:
            if enough(name in table.columns for name in names):
                return -_triple(path, table, names), unit
    return None, "voxel"


def _positions(path: Path, blocks: dict[str, Block], table: Loop) -> Float[Tensor, "rows 3"] | None:
    """RELION 4 counts positions in pixels of the tilt series, whatever the particles' binning."""
    missing = [name for name in POSITIONS if name not in table.columns]
    if missing:
        if len(missing) < len(POSITIONS):
            _LOG.warning("%s: %s not listed, so that positions stay unknown", path, ", ".join(missing))
        return None
    optics = optics_table(blocks)
    scale = 1.0
    if {"rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize"} <= set(optics.columns):
        series, image = (numbers(path, optics, n) for n in ("rlnTomoTiltSeriesPixelSize", "rlnImagePixelSize"))
        scale = float(series[0] / image[0])
    return torch.stack([numbers(path, table, name) for name in POSITIONS], -1) * scale


def _integers(
    path: Path, table: Loop, name: str, allowed: tuple[int, ...] | None = None
) -> Integer[Tensor, " rows"] | None:
    if name not in table.columns:
        return None
    # Lists that went through a table program have nan where nothing was said; RELION calls that class 0.
    texts = ["0" if text in _UNSET or text.lower() == "nan" else text for text in table.columns[name]]
    values = plausible.whole(path, plausible.numbers(path, texts, name), name, least=-LARGEST_NUMBER)
    if allowed is not None and not torch.isin(values, torch.tensor(allowed)).all():
        return None  # for example the many subsets of a stochastic run: not half-sets
    return values


def _voxel_sizes(path: Path, blocks: dict[str, Block], table: Loop) -> list[float] | None:
    optics = optics_table(blocks)
    if optics.columns.get("rlnImagePixelSize"):
        sizes = numbers(path, optics, "rlnImagePixelSize")
        texts = by_group(path, blocks, "rlnImagePixelSize")
        size_of = dict(zip(optics.columns["rlnImagePixelSize"], sizes.tolist(), strict=True))
        return [size_of[text] for text in texts if text is not None]
    if "rlnPixelSize" in table.columns:
        return numbers(path, table, "rlnPixelSize").tolist()
    if {"rlnDetectorPixelSize", "rlnMagnification"} <= set(table.columns):
        # Detector pixels are given in micrometres.
        detector, magnification = (numbers(path, table, n) for n in ("rlnDetectorPixelSize", "rlnMagnification"))
        return (detector * 1e4 / magnification).tolist()
    return None


def read_covariances(path: Path | str) -> Float[Tensor, "particles 6 6"] | None:
    """Pose covariances of a list that torchsag wrote: degrees and angstrom, tangent order (rotation, shift).

    None where the list has none; NaN for particles without one.
    """
    path = Path(path)
    texts = particle_table(path, read_star(path)).columns.get(COVARIANCE)
    if texts is None:
        return None
    upper = torch.triu_indices(6, 6)
    covariances = torch.full((len(texts), 6, 6), math.nan, dtype=torch.float64)
    for covariance, text in zip(covariances, texts, strict=True):
        if text not in _UNSET:
            values = torch.tensor(json.loads(text), dtype=torch.float64)
            covariance[upper[0], upper[1]] = values
            covariance[upper[1], upper[0]] = values
    return covariances
