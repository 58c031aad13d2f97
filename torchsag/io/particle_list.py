"""What any list of particles says, before the volumes are looked at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io.star import Block
from torchsag.particles import TiltRange, TiltScheme, VolumeSource, Weighting


@dataclass(frozen=True)
class ParticleList:
    """One entry per particle, in the list's order; None where the list says nothing.

    Attributes
    ----------
    path
        The list itself, for messages.
    folders
        Where relative names may start; the first that holds the first volume is taken for all.
    names
        Volume names word for word: a path, or ``000003@path`` for a volume of a stack.
    weighting
        What weight volumes of such a list mean.
    weightings
        What each particle's weight means, where a list holds several kinds.
    weight_names
        Weight volume names word for word.
    tilt_ranges
        Tilt range or scheme of each particle.
    voxel_sizes
        Angstrom per voxel.
    rotations
        Prior rotations relative to each volume's own box, float64.
    shifts, shift_unit
        Prior shifts, in ``"voxel"`` or ``"angstrom"``, float64.
    box_frames, halves, classes, tomograms
        As in `torchsag.particles.ParticleSet`.
    positions
        Where each box centre lies in its tomogram, voxels of the particle, (x, y, z).
    scores
        Whatever the list's program calls its score.
    blocks
        The list as a RELION document, whichever program wrote it; the source of what the fields do not hold.
    flat
        Whether the list says that a particle is stored as 2D images; the file's header has the last word.
    tomograms_file
        RELION's ``tomograms.star`` that belongs to the list.
    named
        Whether the list names volumes; where it gives positions alone, `names` count its entries.
    """

    path: Path
    folders: tuple[Path, ...]
    names: Sequence[str]
    weighting: Weighting
    weight_names: Sequence[str | None] | None = None
    tilt_ranges: Sequence[TiltRange | TiltScheme | None] | None = None
    voxel_sizes: Sequence[float] | None = None
    rotations: Float[Tensor, "particles 3 3"] | None = None
    shifts: Float[Tensor, "particles 3"] | None = None
    shift_unit: str = "voxel"
    box_frames: Float[Tensor, "particles 3 3"] | None = None
    halves: Integer[Tensor, " particles"] | None = None
    classes: Integer[Tensor, " particles"] | None = None
    tomograms: Sequence[str] | None = None
    positions: Float[Tensor, "particles 3"] | None = None
    scores: Float[Tensor, " particles"] | None = None
    blocks: dict[str, Block] = field(default_factory=dict)
    weightings: Sequence[Weighting] | None = None
    flat: Sequence[bool] | None = None
    tomograms_file: Path | None = None
    named: bool = True

    def poses(self, voxel_size: float | None) -> Poses | None:
        """Prior poses in voxels.

        Parameters
        ----------
        voxel_size
            Angstrom per voxel of the poses; None for each particle's own.

        Raises
        ------
        InputError
            If shifts are in angstrom and no voxel size is known.
        """
        if self.rotations is None and self.shifts is None:
            return None
        poses = Poses.identity(len(self.names), dtype=torch.float64)
        shifts = poses.shifts if self.shifts is None else self.shifts
        own = None if self.voxel_sizes is None else torch.tensor(self.voxel_sizes, dtype=torch.float64)[:, None]
        if self.shifts is not None and self.shift_unit == "angstrom":
            scale = own if voxel_size is None else torch.tensor(voxel_size, dtype=torch.float64)
            if scale is None:
                raise InputError(f"{self.path}: shifts in angstrom need a voxel size; give voxel_size_angstrom=...")
            shifts = shifts / scale
        elif self.shifts is not None and own is not None and voxel_size is not None and bool((own != own[0]).any()):
            shifts = shifts * own / voxel_size
        return Poses(poses.rotations if self.rotations is None else self.rotations, shifts)

    def tomogram_poses(self, voxel_size: float | None) -> Poses | None:
        """Poses relative to boxes parallel to their tomograms, as other programs than RELION mean them.

        RELION may extract turned boxes: ``A_total = A_subtomogram A_particle`` (its ``particle_set.cpp``).
        """
        poses = self.poses(voxel_size)
        if poses is None or self.box_frames is None:
            return poses
        return Poses(self.box_frames, torch.zeros_like(poses.shifts)).compose(poses)


@dataclass(frozen=True)
class ListOrigin:
    """What a particle set keeps of its list for the writer.

    Attributes
    ----------
    folder
        Where relative names start.
    blocks
        The whole STAR document.
    tomograms
        RELION's ``tomograms.star``, where particles are tilt images.
    """

    folder: Path
    blocks: dict[str, Block]
    tomograms: Path | None = None


def parse_name(name: str, path: Path | None = None) -> VolumeSource:
    """Turn ``path`` or ``000003@path`` into a volume source.

    Raises
    ------
    InputError
        If the part before ``@`` is no number from 1.
    """
    number, at, file = name.partition("@")
    if not at:
        return VolumeSource(Path(name))
    if not number.isdigit() or int(number) < 1:
        where = "" if path is None else f"{path}: "
        raise InputError(f"{where}expected a name like 000003@stack.mrcs, got {name!r}")
    return VolumeSource(Path(file), int(number) - 1)


def find_folder(listing: ParticleList, any_volume: bool = False) -> Path:
    """The folder in which relative names of the list start.

    Parameters
    ----------
    listing
        The list.
    any_volume
        Whether another volume will do where the first is missing.

    Raises
    ------
    InputError
        If the first volume is in none of the candidates.
    """
    first = parse_name(listing.names[0], listing.path).path
    folders = list(dict.fromkeys(folder.resolve() for folder in listing.folders))
    for folder in folders:
        if os.path.isfile(folder / first):
            return folder
    for name in listing.names[1:] if any_volume else ():
        for folder in folders:
            if os.path.isfile(folder / parse_name(name, listing.path).path):
                return folder
    looked = ", ".join(map(str, folders[:3])) + (", ..." if len(folders) > 3 else "")
    where = "" if first.is_absolute() else f" (looked in {looked})"
    raise InputError(f"{listing.path}: no such volume: {first}{where}; check the path, or run from the project folder")
