"""What the lists of other programs have in common: numbered particles and tables of numbers."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io.atomic import write_text
from torchsag.io.em import read_em_header
from torchsag.io.particle_list import ParticleList, parse_name
from torchsag.io.plausible import LARGEST_NUMBER
from torchsag.io.volumes import is_volume
from torchsag.particles import TiltRange, TiltScheme

MOTIVE_NUMBERS = 20  # of a particle in AV3's motive lists
_LOG = logging.getLogger(__name__)
_FOLDERS = (".", "particles", "subtomograms", "subtomos", "../particles", "../subtomograms", "../subtomos")


def numbered_names(path: Path, numbers: Sequence[int], default: str, volumes: Path | None = None) -> list[str]:
    """Volume names of particles that a list knows by number.

    Looks beside the list, and in ``particles``, ``subtomograms`` or ``subtomos`` there or one level up, for volumes
    whose names end in the numbers; where that finds not all, names are made from `default`, such as
    ``"particle_{:06d}.em"``. Where the user names the folder, `volumes`, it is the only one, and names start with it.
    """
    wanted = set(numbers)
    if volumes is not None:
        found = _by_number(volumes, wanted, path)
        return [str(volumes / found.get(number, default.format(number))) for number in numbers]
    for folder in (*_FOLDERS, *_data_folders(path, default.format(numbers[0]))):
        if not (path.parent / folder).is_dir():
            continue
        found = _by_number(path.parent / folder, wanted, path)
        if len(found) == len(wanted):
            return [found[number] if folder == "." else f"{folder}/{found[number]}" for number in numbers]
    return [default.format(number) for number in numbers]


def _by_number(folder: Path, wanted: set[int], path: Path) -> dict[int, str]:
    """Volumes in a folder, lists left out, whose names end in wanted numbers."""
    found: dict[int, str] = {}
    lists: dict[str, bool] = {}  # by what stands before the number: one look for all files of a kind
    for file in sorted(folder.iterdir()):
        number = trailing_number(file.name)
        if number in wanted and is_volume(file) and file != path:
            kind = file.name.removesuffix("".join(file.suffixes)).rstrip("0123456789")
            if kind not in lists:
                lists[kind] = _is_motive_list(file)
            if not lists[kind]:
                found.setdefault(number, file.name)
    return found


def _is_motive_list(file: Path) -> bool:
    """Whether a file that is called as volumes are is AV3's list of another round, such as ``motl_1.em``."""
    if file.suffix.lower() != ".em":
        return False
    try:
        sections, _, columns = read_em_header(file).shape
    except InputError:
        return False
    return sections == 1 and columns == MOTIVE_NUMBERS


def name_folders(path: Path, volumes: Path | None) -> tuple[Path, ...]:
    """Where the names that `numbered_names` has made may start."""
    return (path.parent, Path()) if volumes is None else (Path(),)


def _data_folders(path: Path, first: str) -> list[str]:
    """Folders beside the list or beside its folder that hold the first particle under its program's name.

    A Dynamo project keeps its refined tables in ``results/ite_0003/averages``, and its data folder beside the project:
    from there the search goes on upwards. From elsewhere it does not, where it would end at a stranger's particles.

    Raises
    ------
    InputError
        If two of them stand side by side.
    """
    own = path.parent.resolve()
    levels = 5 if "results" in own.parts[-3:] else 2
    for level, folder in enumerate((own, *own.parents)[:levels]):
        try:
            inside = sorted(one.name for one in folder.iterdir() if one.is_dir())
        except OSError:
            continue
        stem = Path(first).stem
        held = [
            name for name in inside if any(os.path.isfile(folder / name / f"{stem}{end}") for end in (".em", ".mrc"))
        ]
        if len(held) > 1:
            raise InputError(
                f"{path}: particles may be in {', '.join(held)} of {folder}; name the right one with volumes=..."
            )
        if held:
            return ["/".join([*[".."] * level, held[0]])]
    return []


def trailing_number(name: str) -> int | None:
    """The number that a file name ends in, before its suffixes."""
    match = re.search(r"([0-9]+)(\.[A-Za-z][A-Za-z0-9]*)*$", name)
    return int(match[1]) if match else None


def particle_numbers(listing: ParticleList, largest: int = LARGEST_NUMBER) -> list[int]:
    """A number for each particle: what its name ends in where that tells them apart, else its place in the list.

    Numbers beyond `largest`, which the list could not give back, do not count, and that is said.
    """
    numbers = [trailing_number(parse_name(name, listing.path).path.name) for name in listing.names]
    known = [number for number in numbers if number is not None and number <= largest]
    if len(set(known)) == len(numbers):
        return known
    if too_large := [name for name, number in zip(listing.names, numbers, strict=True) if (number or 0) > largest]:
        _LOG.warning(
            "%s: particles are numbered from 1 in their order, because this format holds no number beyond %d, as in %s",
            listing.path, largest, too_large[0],
        )  # fmt: skip
    return list(range(1, len(numbers) + 1))


def tomogram_numbers(listing: ParticleList, largest: int = LARGEST_NUMBER) -> list[int]:
    """A number for each particle's tomogram: its name where that is a number, else its place among the names.

    Numbers beyond `largest`, which the list could not give back, do not count.
    """
    names = listing.tomograms if listing.tomograms is not None else ["1"] * len(listing.names)
    own = {name: tomogram_number(name) for name in dict.fromkeys(names)}
    if any(number is None or number > largest for number in own.values()) or len(set(own.values())) < len(own):
        own = {name: k for k, name in enumerate(own, start=1)}
    return [own[name] or 0 for name in names]


def tomogram_number(name: str) -> int | None:
    """21 of ``021``, ``21.000000`` and ``021.tomostar``; None for other names."""
    match = re.fullmatch(r"0*(\d{1,9})(\.0+|\.tomostar|\.mrc|\.rec|\.em)?", name, re.ASCII)
    return int(match[1]) if match else None


def write_tomogram_map(path: Path | str, listing: ParticleList, largest: int = LARGEST_NUMBER) -> None:
    """Beside a list that knows tomograms by number only, write which name each number stands for (Dynamo's ``.doc``).

    Nothing is written where the numbers are the names.
    """
    numbers = tomogram_numbers(listing, largest)
    names = dict(zip(numbers, listing.tomograms or (), strict=False))
    if any(tomogram_number(name) != number for number, name in names.items()):
        target = Path(path).with_suffix(".doc")
        write_text(target, "".join(f"{number} {name}\n" for number, name in names.items()))
        _LOG.info("%s: which tomogram each number of %s stands for", target, path)


def read_tomogram_map(path: Path) -> dict[int, str]:
    """Names of tomograms by number, from the ``.doc`` beside a list; empty where there is none.

    Raises
    ------
    InputError
        For a line that is no number and a name.
    """
    places = (path.with_suffix(".doc"), path.parent / "indices_column20.doc")
    file = next((place for place in places if place.is_file()), None)
    return {} if file is None else parse_tomogram_map(file)


def parse_tomogram_map(file: Path) -> dict[int, str]:
    """Names of tomograms by number, from a ``.doc``; errors as `read_tomogram_map`."""
    names: dict[int, str] = {}
    for number, line in enumerate(read_text(file).split("\n"), start=1):
        words = line.split(None, 1)
        if words and (len(words) != 2 or not words[0].isascii() or not words[0].isdigit()):
            raise InputError(
                f"{file}: line {number}: expected the number of a tomogram and its name, got {line[:40]!r}"
            )
        if not words:
            continue
        known = names.setdefault(int(words[0]), words[1].strip())
        if known != words[1].strip():
            raise InputError(f"{file}: line {number}: tomogram {words[0]} stands there before, as {known}")
    return names


def read_text(path: Path) -> str:
    """The text of a list; bytes that are not UTF-8 are kept.

    Raises
    ------
    InputError
        If the file is missing or cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8", errors="surrogateescape")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def poses_and_positions(
    listing: ParticleList, voxel_size: float | None
) -> tuple[Poses, Float[Tensor, "particles 3"], Float[Tensor, " particles"], Integer[Tensor, " particles"]]:
    """Poses relative to the tomogram, positions, scores and classes; identity, zeros and ones where unknown."""
    count = len(listing.names)
    poses = listing.tomogram_poses(voxel_size) or Poses.identity(count, dtype=torch.float64)
    blank = torch.zeros(count, 3, dtype=torch.float64)
    positions = blank if listing.positions is None else listing.positions
    scores = blank[:, 0] if listing.scores is None else listing.scores
    classes = torch.ones(count, dtype=torch.long) if listing.classes is None else listing.classes
    return poses, positions, scores, classes


def single_ranges(listing: ParticleList, target: Path | str) -> list[TiltRange | None]:
    """The tilt range of each particle, for formats that know no other wedge; None where the list says nothing.

    Raises
    ------
    InputError
        If a particle was tilted about several axes, or its tilts are listed one by one.
    """
    found = listing.tilt_ranges if listing.tilt_ranges is not None else [None] * len(listing.names)
    ranges: list[TiltRange | None] = []
    for name, one in zip(listing.names, found, strict=True):
        if isinstance(one, TiltScheme):
            raise InputError(
                f"{target}: particle {name}: expected one tilt range about one axis, {listing.path} lists several or "
                "its tilts one by one, which this format cannot say; write a RELION list (program=relion)"
            )
        ranges.append(one)
    return ranges


def say_wedges_are_lost(listing: ParticleList, target: Path | str, instead: str) -> None:
    """Warn where a list without a place for wedges is written of particles that have one."""
    lost = sum(one is not None for one in listing.tilt_ranges or listing.weight_names or ())
    if lost:
        _LOG.warning(
            "%s: has no place for the wedge, which %d particles of %s have; %s", target, lost, listing.path, instead
        )


def number_table(path: Path, text: str, least: int) -> Float[Tensor, "rows columns"]:
    """A table of at least `least` whitespace-separated numbers a line.

    Raises
    ------
    InputError
        If a line is too short, of another length, or holds something else.
    """
    rows: list[list[float]] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            if not line.isascii() or "_" in line:  # float() takes digits of other scripts and 1_000
                raise ValueError
            row = [float(value) for value in line.split()]
        except ValueError:
            raise InputError(f"{path}: line {number}: expected numbers, got {line[:40]!r}") from None
        if len(row) < least or len(row) != len(rows[0] if rows else row):
            raise InputError(
                f"{path}: line {number}: expected {max(least, len(rows and rows[0]))} numbers, got {len(row)}"
            )
        rows.append(row)
    if not rows:
        raise InputError(f"{path}: expected at least one particle, got an empty list")
    return torch.tensor(rows, dtype=torch.float64)
