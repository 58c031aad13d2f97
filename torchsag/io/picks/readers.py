"""Which program wrote a file of picks."""

from __future__ import annotations

from pathlib import Path

from torchsag.io.dynamo_volumes import VOLUME_LIST
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.copick import read_copick
from torchsag.io.picks.dynamo_crop import read_crop_list
from torchsag.io.picks.eman import is_eman, read_eman
from torchsag.io.picks.eman_lst import read_lst
from torchsag.io.picks.emclarity import is_emclarity, read_subtomograms
from torchsag.io.picks.imod import read_model
from torchsag.io.picks.json_text import read_json
from torchsag.io.picks.peet import is_motive_list, read_motive_list
from torchsag.io.picks.portal import read_points

_SUFFIXES = (".mod", ".ndjson", ".json", ".lst", VOLUME_LIST)


def holds_picks(path: Path) -> bool:
    """Whether a file is of a kind that `read_picks` reads, by its name or its first line."""
    suffix = path.suffix.lower()
    return suffix in _SUFFIXES or (suffix == ".csv" and (is_motive_list(path) or is_emclarity(path)))


def read_picks(path: Path) -> ParticleList | None:
    """Read what picking programs write; None for every other list.

    IMOD (``.mod``), PEET and emClarity (``.csv``), copick (``.json``), EMAN2 (``.json``, ``.lst``), the CryoET Data
    Portal (``.ndjson``), volume lists of Dynamo (``.vll``).

    Raises
    ------
    InputError
        If it is damaged, or a value in it can be no position or rotation.
    """
    suffix = path.suffix.lower()
    if suffix == ".mod":
        return read_model(path)
    if suffix == ".ndjson":
        return read_points(path)
    if suffix == VOLUME_LIST:
        return read_crop_list(path)
    if suffix == ".lst":
        return read_lst(path)
    if suffix == ".csv" and is_motive_list(path):
        return read_motive_list(path)
    if suffix == ".csv" and is_emclarity(path):
        return read_subtomograms(path)
    if suffix != ".json":
        return None
    document = read_json(path)
    return read_eman(path, document) if is_eman(document) else read_copick(path, document)
