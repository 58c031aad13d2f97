"""Dynamo's names for tomograms: volume lists (``.vll``) and table maps (``.doc``).

A volume list has a tomogram a line; below it may stand ``* key = value`` (here ``index``, ``ftype``, ``ytilt``,
``xtilt``, ``apix``, ``cropFromElsewhere``, ``cropFromFile``), ``> TABLE`` (what to crop) and ``! MODEL`` (what to
import, left alone here); ``#`` begins a comment. Tomograms are numbered from 1 in their order where ``index`` does not
say otherwise; column 20 of a table holds the number. A table map has a number and a file a line.
Source: https://wiki.dynamo.biozentrum.unibas.ch/w/index.php/Volume_list_file
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.foreign import parse_tomogram_map, read_text, read_tomogram_map
from torchsag.io.plausible import LARGEST_NUMBER
from torchsag.particles import TiltRange

VOLUME_LIST, TABLE_MAP = ".vll", ".doc"
_TILTS = {1: ("ytilt", 0.0), 2: ("xtilt", -90.0)}  # by ftype: the key of the range, and the angle of the axis from y


@dataclass(frozen=True)
class ListedVolume:
    """A tomogram of a volume list.

    Attributes
    ----------
    number
        What tables call it in column 20.
    file
        Where it is, word for word.
    line
        Of the list, for messages.
    said
        The parameters below it.
    sources
        Tables and models of the particles in it, word for word.
    """

    number: int
    file: str
    line: int
    said: dict[str, str] = field(default_factory=dict)
    sources: list[str] = field(default_factory=list)

    def tilt_range(self, path: Path) -> TiltRange | None:
        """What is said of the tilts; None for nothing.

        Raises
        ------
        InputError
            If it can be none, or about other axes than y and x.
        """
        where = f"{path}: tomogram {self.file}"
        kind = int(_number(path, self, "ftype")) if "ftype" in self.said else None
        if kind is not None and kind not in (0, *_TILTS):
            raise InputError(
                f"{where}: expected ftype 1 or 2, a tilt series about y or x, got {kind}, which torchsag cannot model"
            )
        key, axis = _TILTS[kind or 1]
        if kind == 0 or key not in self.said:
            return None
        words = self.said[key].split()
        try:
            low, high = map(float, words)
            return TiltRange(low, high, axis)
        except (ValueError, InputError) as error:
            raise InputError(f"{where}: expected two angles as {key}, got {self.said[key][:40]!r} ({error})") from None

    def voxel_size(self, path: Path) -> float | None:
        """``apix``, where it is said.

        Raises
        ------
        InputError
            If it can be none.
        """
        size = _number(path, self, "apix") if "apix" in self.said else None
        if size is not None and not 1e-3 < size < 1e5:
            raise InputError(f"{path}: tomogram {self.file}: expected angstrom per voxel as apix, got {size:g}")
        return size


def read_volume_list(path: Path) -> list[ListedVolume]:
    """The tomograms of a volume list.

    Raises
    ------
    InputError
        If it is missing or empty, a number or name stands twice, or a line belongs to no tomogram.
    """
    found: list[ListedVolume] = []
    for number, text in enumerate(read_text(path).split("\n"), start=1):
        line = text.strip()
        if not line or line[0] in "#!":
            continue
        if line[0] not in "*>":
            found.append(ListedVolume(0, line, number))
            continue
        if not found:
            raise InputError(f"{path}: line {number}: expected a tomogram before {line[:40]!r}, got none")
        if line[0] == ">":
            found[-1].sources.append(line[1:].strip())
            continue
        key, sign, value = (part.strip() for part in line[1:].partition("="))
        if not sign or not key or key in found[-1].said:
            raise InputError(f"{path}: line {number}: expected * key = value, each key once, got {line[:40]!r}")
        found[-1].said[key] = value
    if not found:
        raise InputError(f"{path}: expected at least one tomogram, got an empty list")
    volumes = [_settled(path, one, place) for place, one in enumerate(found, start=1)]
    numbers = [one.number for one in volumes]
    if twice := [number for number in numbers if numbers.count(number) > 1]:
        raise InputError(f"{path}: expected each number once, tomogram {twice[0]} stands there twice")
    return volumes


def _settled(path: Path, one: ListedVolume, place: int) -> ListedVolume:
    """With its number, and the file that Dynamo would crop from."""
    number = _number(path, one, "index") if "index" in one.said else place
    if number != int(number) or not 0 < number <= LARGEST_NUMBER:
        raise InputError(f"{path}: tomogram {one.file}: expected a whole number above 0 as index, got {number:g}")
    elsewhere = "cropFromFile" in one.said and _number(path, one, "cropFromElsewhere", 1.0) != 0
    file = one.said["cropFromFile"] if elsewhere else one.file
    return ListedVolume(int(number), file, one.line, one.said, one.sources)


def _number(path: Path, one: ListedVolume, key: str, default: float | None = None) -> float:
    text = one.said.get(key, "" if default is None else str(default))
    try:
        if not text.isascii() or "_" in text or not abs(float(text)) < 1e300:
            raise ValueError
        return float(text)
    except ValueError:
        raise InputError(f"{path}: tomogram {one.file}: expected a number as {key}, got {text[:40]!r}") from None


def tomogram_names(table: Path) -> dict[int, str]:
    """Tomograms by number, from the table map or the volume list of a table's name beside it; empty without one.

    Raises
    ------
    InputError
        As `read_volume_list`.
    """
    beside = table.with_suffix(VOLUME_LIST)
    return read_tomogram_map(table) or (listed_names(beside) if beside.is_file() else {})


def listed_names(path: Path) -> dict[int, str]:
    """Tomograms by number, from a volume list or a table map.

    Raises
    ------
    InputError
        As `read_volume_list`.
    """
    if path.suffix.lower() == TABLE_MAP:
        return parse_tomogram_map(path)
    return {one.number: one.file for one in read_volume_list(path)}
