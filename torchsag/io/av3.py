"""AV3 motive lists (``.em``): 20 numbers for each particle.

Used, counted from 1: 1 score, 4 particle number, 5 tomogram number, 8-10 position of the box centre, 11-13 shift
(voxels), 17-19 phi psi theta (degrees), 20 class. Source: Förster et al. (2005) PNAS 102:4729, and the TOM toolbox'
``av3``; angles checked against numbers of cryoCAT.
"""

from __future__ import annotations

from pathlib import Path

import torch

from torchsag.errors import InputError
from torchsag.io.em import read_em, read_em_header, write_em
from torchsag.io.foreign import (
    numbered_names,
    particle_numbers,
    poses_and_positions,
    tomogram_numbers,
)
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import Transfer

_ROWS = 20


def is_motive_list(path: Path | str) -> bool:
    """Whether an EM file has the shape of a motive list."""
    sections, _, columns = read_em_header(path).shape
    return sections == 1 and columns == _ROWS


def read_motive_list(path: Path | str) -> ParticleList:
    """Read a motive list; volumes are looked for beside it under the particles' numbers.

    Raises
    ------
    InputError
        If the file is missing, damaged or no motive list.
    """
    path = Path(path)
    if not is_motive_list(path):
        raise InputError(f"{path}: expected a motive list of 20 numbers for each particle, got an EM volume")
    motives = torch.from_numpy(read_em(path))[0].double()
    if not torch.isfinite(motives).all():
        raise InputError(f"{path}: expected finite numbers in the motive list, got NaN or infinity")
    numbers = [int(number) for number in motives[:, 3].tolist()]
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent, Path()),
            names=numbered_names(path, numbers, "particle_{:d}.em"),
            weighting=Transfer(),
            rotations=zxz_to_matrix(motives[:, 16:19]),
            shifts=motives[:, 10:13],
            classes=motives[:, 19].long(),
            tomograms=[str(int(number)) for number in motives[:, 4].tolist()],
            positions=motives[:, 7:10],
            scores=motives[:, 0],
        )
    )


def write_motive_list(path: Path | str, listing: ParticleList, voxel_size: float | None = None) -> None:
    """Write a motive list; particle numbers are those that the volume names end in.

    Raises
    ------
    InputError
        If shifts are in angstrom and no voxel size is known, or the file cannot be written.
    """
    poses, positions, scores, classes = poses_and_positions(listing, voxel_size)
    motives = torch.zeros(len(listing.names), _ROWS, dtype=torch.float64)
    motives[:, 0] = scores
    motives[:, 3] = torch.tensor(particle_numbers(listing))
    motives[:, 4] = torch.tensor(tomogram_numbers(listing))
    motives[:, 7:10] = positions
    motives[:, 10:13] = poses.shifts
    motives[:, 16:19] = matrix_to_zxz(poses.rotations)
    motives[:, 19] = classes
    write_em(path, motives[None].numpy())
