"""Which file holds each tomogram that a list names."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.dynamo_volumes import TABLE_MAP, VOLUME_LIST, listed_names
from torchsag.io.foreign import tomogram_number
from torchsag.io.particle_list import ParticleList
from torchsag.io.star import Block, Loop, read_star
from torchsag.io.tilt_stacks import find_tomograms
from torchsag.io.volumes import is_volume

RECONSTRUCTED = "rlnTomoReconstructedTomogram"


def tomogram_files(listing: ParticleList, given: Path | None, key: str = "tomogram") -> list[Path]:
    """The file of each particle's tomogram; parameters and errors as `tomogram_file_of`."""
    names = listing.tomograms or [""] * len(listing.names)
    of_name = tomogram_file_of(listing, given, key)
    found = {name: of_name(name) for name in dict.fromkeys(names)}
    return [found[name] for name in names]


def tomogram_file_of(listing: ParticleList, given: Path | None, key: str = "tomogram") -> Callable[[str], Path]:
    """What tells the file of a tomogram by the name that particles know it by.

    Parameters
    ----------
    listing
        The list; its names of tomograms may be files, or names in a ``tomograms.star`` that tells the files
        (``rlnTomoReconstructedTomogram``).
    given
        The one tomogram, a folder where files have the names of tomograms, or Dynamo's volume list or table map, for
        lists that know tomograms by number.
    key
        What the caller calls `given`, for what is said of it.

    Returns
    -------
    A function of the name; it raises InputError if that tomogram is not there, or several files could be it.

    Raises
    ------
    InputError
        If that cannot be said for any tomogram.
    """
    names = listing.tomograms
    if given is not None and not given.exists():
        raise InputError(f"{key}: no such file or folder: {given}; check the path")
    if given is not None and given.suffix.lower() in (VOLUME_LIST, TABLE_MAP):
        known = listed_names(given)
        return lambda name: _numbered(listing, known, name, given, key)
    if given is not None and not given.is_dir():
        others = sorted(set(names or ()))
        if len(others) > 1:
            raise InputError(
                f"{key}: {listing.path} names {len(others)} tomograms ({', '.join(others[:3])}, ...) and one file "
                f"is given, {given}; give the folder that holds them, or a list of one tomogram"
            )
        return lambda name: given
    if names is None:
        raise InputError(f"{listing.path}: names no tomograms; give the one it belongs to with {key}=FILE")
    reconstructed = {} if given is not None else _reconstructed(listing)
    return lambda name: _file(listing, name, given, reconstructed, key)


def _file(listing: ParticleList, name: str, folder: Path | None, reconstructed: dict[str, str], key: str) -> Path:
    if folder is not None:
        return _in_folder(listing, name, folder, key)
    said = reconstructed.get(name, name)
    for start in listing.folders:
        if said and is_volume(start / said) and (start / said).is_file():
            return start / said
    what = f"{said}, tomogram {name}" if said != name else name or "a tomogram without a name"
    raise InputError(
        f"{listing.path}: no such tomogram file: {what}; check the path, or give the folder that holds the tomograms "
        f"with {key}=FOLDER"
    )


def _numbered(listing: ParticleList, known: dict[int, str], name: str, given: Path, key: str) -> Path:
    """By Dynamo's volume list or table map."""
    number = tomogram_number(name)
    said = name if name in known.values() else None if number is None else known.get(number)
    if said is None:
        raise InputError(
            f"{key}: tomogram {name or 'without a name'} of {listing.path} is not in {given}, which has "
            f"{', '.join(map(str, list(known)[:5]))}{', ...' if len(known) > 5 else ''}; add it"
        )
    for place in (given.parent / said, listing.path.parent / said, Path(said)):
        if os.path.isfile(place):
            return place
    raise InputError(f"{given}: no such tomogram file: {said}; check the path")


def _in_folder(listing: ParticleList, name: str, folder: Path, key: str) -> Path:
    """``NAME.mrc`` before ``NAME_10.00Apx.mrc`` and ``rec_NAME.mrc``, of all suffixes."""
    stem = (
        Path(name).stem if Path(name).suffix in (".tomostar", ".mrc", ".rec", ".st", ".em", ".map") else Path(name).name
    )
    volumes = sorted(path for path in folder.iterdir() if is_volume(path) and path.is_file())
    for fits in (_same, _longer):
        files = [path for path in volumes if stem and fits(path.stem, stem)]
        if len(files) == 1:
            return files[0]
        if files:
            raise InputError(
                f"{key}: {_names(files)} in {folder} could all be tomogram {name} of {listing.path}; keep one, or "
                "give a folder with one"
            )
    raise InputError(
        f"{key}: expected a file of tomogram {name} of {listing.path} in {folder}, got {_names(volumes) or 'none'}; "
        f"name it {stem}.mrc"
    )


def _same(file: str, name: str) -> bool:
    return file == name


def _longer(file: str, name: str) -> bool:
    return file.startswith(f"{name}_") or file == f"rec_{name}" or file == f"{name}.rec"


def _names(files: Sequence[Path]) -> str:
    return ", ".join(path.name for path in files[:3]) + (", ..." if len(files) > 3 else "")


def _reconstructed(listing: ParticleList) -> dict[str, str]:
    """Files by the names of tomograms, as RELION 5's ``tomograms.star`` lists them; empty without one."""
    try:
        path = find_tomograms(listing)
    except InputError:
        return {}
    if not os.path.isfile(path):
        return {}
    block: Block = read_star(path).get("global", {})
    table = block.columns if isinstance(block, Loop) else {key: [value] for key, value in block.items()}
    if RECONSTRUCTED not in table or "rlnTomoName" not in table:
        return {}
    return dict(zip(table["rlnTomoName"], table[RECONSTRUCTED], strict=True))
