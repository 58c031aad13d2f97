"""Subtomograms of emClarity (``convmap/TS_1_bin6.csv``, ``csv/cycle005_TS_1_Raw.csv``): 26 numbers a particle.

Used, counted from 1: 1 score, 11-13 position in the unbinned reconstruction, whose first voxel is 1, 17-25 the matrix
that turns the particle into its tomogram, column by column, 26 class (-9999: not to be used). Columns 14-16 hold the
angles of the search, which refinement leaves behind; the matrix has the last word. Source: emClarity's
``BH_templateSearch3d_2.m``, ``BH_geometryAnalysis.m`` and ``BH_average3d.m``.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io.foreign import number_table, read_text
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.json_text import rotations
from torchsag.io.picks.places import pick_names
from torchsag.io.plausible import LARGEST_LENGTH, LARGEST_NUMBER, finite, whole
from torchsag.io.relion_document import with_table
from torchsag.particles import Corrected

_LOG = logging.getLogger(__name__)
_COLUMNS = 26
_NOT_USED = -9999
_FIRST_VOXEL = 1.0
# TILT_NUMBER_binSAMPLING of the search, cycleNNN_TILT_NUMBER_STAGE of what is written afterwards
_NAME = re.compile(r"(?:cycle\d+_)?(?P<tomogram>.+_\d+)(?:_bin\d+)?(?:_[A-Za-z]\w*)?", re.ASCII)


def is_emclarity(path: Path) -> bool:
    """Whether a csv has numbers between spaces, and no header and no comma, in its first line."""
    try:
        with path.open("rb") as file:
            words = file.read(4096).split(b"\n")[0].split()
        float(words[0])
    except (OSError, ValueError, IndexError):
        return False
    return len(words) > 1 and not any(b"," in word for word in words)


def read_subtomograms(path: Path) -> ParticleList:
    """The particles of a list that are to be used; of several orientations for one position, the first.

    Raises
    ------
    InputError
        If a row is not emClarity's, or a value in it can be no position or rotation.
    """
    table = number_table(path, read_text(path), least=_COLUMNS)
    if table.shape[1] % _COLUMNS:
        raise InputError(f"{path}: expected {_COLUMNS} numbers a line for each orientation, got {table.shape[1]}")
    if table.shape[1] > _COLUMNS:
        _LOG.warning("%s: %d orientations a particle; the first is read", path, table.shape[1] // _COLUMNS)
    classes = whole(path, finite(path, table[:, 25], "column 26 (class)"), "column 26 (class)", -LARGEST_NUMBER)
    used = classes != _NOT_USED
    if not used.all():
        _LOG.warning("%s: %d of %d particles have class -9999 and are set aside", path, int((~used).sum()), len(used))
    positions = torch.stack(
        [finite(path, table[:, 10 + k], f"column {11 + k} ({axis})", LARGEST_LENGTH) for k, axis in enumerate("xyz")],
        -1,
    )
    matrices = table[:, 16:25].reshape(-1, 3, 3).mT
    turned = rotations(path, matrices.tolist())
    name = _NAME.fullmatch(path.stem)
    names = pick_names(path, int(used.sum()))
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent,),
            names=names,
            weighting=Corrected(),
            rotations=None if turned is None else turned[used],
            classes=classes[used],
            tomograms=[name["tomogram"] if name else path.stem] * len(names),
            positions=positions[used] - _FIRST_VOXEL,
            scores=finite(path, table[:, 0], "column 1 (score)")[used],
        )
    )
