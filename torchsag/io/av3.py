"""AV3 motive lists (``.em``): 20 numbers for each particle.

Used, counted from 1: 1 score, 4 particle number, 5 tomogram number, 8-10 position of the box centre, 11-13 shift
(voxels), 17-19 phi psi theta (degrees), 20 class. Source: Förster et al. (2005) PNAS 102:4729, and the TOM toolbox'
``av3``; angles checked against numbers of cryoCAT.
"""

from __future__ import annotations

import math
from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io.em import read_em, read_em_header, write_em
from torchsag.io.foreign import (
    MOTIVE_NUMBERS,
    name_folders,
    numbered_names,
    particle_numbers,
    poses_and_positions,
    read_tomogram_map,
    say_wedges_are_lost,
    tomogram_numbers,
    write_tomogram_map,
)
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, finite, whole
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import Transfer

_USED = {
    1: "score", 4: "particle", 5: "tomogram", 8: "x", 9: "y", 10: "z", 11: "x shift", 12: "y shift", 13: "z shift",
    17: "phi", 18: "psi", 19: "theta", 20: "class",
}  # fmt: skip
_LARGEST_WHOLE = 2**24  # the numbers are float32, which has no odd ones beyond
_LARGEST = {**dict.fromkeys(range(8, 14), LARGEST_LENGTH), **dict.fromkeys((17, 18, 19), LARGEST_ANGLE)}


def is_motive_list(path: Path | str) -> bool:
    """Whether an EM file has the shape of a motive list."""
    sections, _, columns = read_em_header(path).shape
    return sections == 1 and columns == MOTIVE_NUMBERS


def read_motive_list(path: Path | str, volumes: Path | None = None) -> ParticleList:
    """Read a motive list; volumes are looked for beside it, or in the folder `volumes`, under the particles' numbers.

    Raises
    ------
    InputError
        If the file is missing, damaged or no motive list.
    """
    path = Path(path)
    if not is_motive_list(path):
        raise InputError(f"{path}: expected a motive list of 20 numbers for each particle, got an EM volume")
    motives = torch.from_numpy(read_em(path))[0].double()
    for number, name in _USED.items():
        finite(path, motives[:, number - 1], f"number {number} ({name})", _LARGEST.get(number, math.inf))
    numbers = whole(path, motives[:, 3], "number 4 (particle)").tolist()
    known = read_tomogram_map(path)
    tomograms = whole(path, motives[:, 4], "number 5 (tomogram)").tolist()
    return with_table(
        ParticleList(
            path=path,
            folders=name_folders(path, volumes),
            names=numbered_names(path, numbers, "particle_{:d}.em", volumes),
            weighting=Transfer(),
            rotations=zxz_to_matrix(motives[:, 16:19]),
            shifts=motives[:, 10:13],
            classes=whole(path, motives[:, 19], "number 20 (class)", least=-LARGEST_NUMBER),
            tomograms=[known.get(number, str(number)) for number in tomograms],
            positions=motives[:, 7:10],
            scores=motives[:, 0],
        )
    )


def write_motive_list(path: Path | str, listing: ParticleList, voxel_size: float | None = None) -> None:
    """Write a motive list; particle numbers are those that the volume names end in.

    Raises
    ------
    InputError
        If shifts are in angstrom and no voxel size is known, a class is too large for the list's numbers, or the file
        cannot be written.
    """
    poses, positions, scores, classes = poses_and_positions(listing, voxel_size)
    whole(Path(path), classes.double(), "class", -_LARGEST_WHOLE, _LARGEST_WHOLE, listing.names)
    motives = torch.zeros(len(listing.names), MOTIVE_NUMBERS, dtype=torch.float64)
    motives[:, 0] = scores
    motives[:, 3] = torch.tensor(particle_numbers(listing, _LARGEST_WHOLE))
    motives[:, 4] = torch.tensor(tomogram_numbers(listing, _LARGEST_WHOLE))
    motives[:, 7:10] = positions
    motives[:, 10:13] = poses.shifts
    motives[:, 16:19] = matrix_to_zxz(poses.rotations)
    motives[:, 19] = classes
    write_em(path, motives[None].numpy())
    write_tomogram_map(path, listing, _LARGEST_WHOLE)
    say_wedges_are_lost(listing, path, "give AV3's programs the tilt range")
