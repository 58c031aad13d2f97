"""Write poses as a RELION particle list that keeps everything its input said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.io import relion
from torchsag.io.ctf_images import COLUMN, CtfImages
from torchsag.io.particle_list import ListOrigin, ParticleList
from torchsag.io.relion_document import (
    file_version,
    note_tomograms,
    relion_document,
    set_poses,
    texts,
    with_table,
)
from torchsag.io.star import Loop, write_star
from torchsag.io.tilt_columns import set_tilt_geometry
from torchsag.particles import ParticleSet


def write_poses(
    path: Path | str,
    particles: ParticleSet,
    poses: Poses | None,
    *,
    scores: Float[Tensor, " particles"] | None = None,
    covariances: Float[Tensor, "particles 6 6"] | None = None,
    classes: Integer[Tensor, " particles"] | None = None,
    halves: Integer[Tensor, " particles"] | None = None,
    columns: Mapping[str, Sequence[object]] | None = None,
) -> None:
    """Write particles with their poses.

    The order, the names and every unknown column and block of the list that `particles` came from are kept word for
    word. A block ``data_torchsag`` tells where the names start and what the weights mean, so that the file can be
    read from any folder.

    Parameters
    ----------
    path
        The ``.star`` file; it appears only when complete.
    particles
        The particles, all or a selection.
    poses
        One pose for each; None keeps what the list said.
    scores
        Written as ``torchsagScore``.
    covariances
        Of the tangent move (radians, voxels); written as ``torchsagSigmaRotationDeg`` and ``torchsagSigmaShiftAngst``
        (root of the trace of the rotation and the shift block) and ``torchsagCovarianceDegAngst`` (the 21 entries of
        the upper triangle, row by row, in degrees and angstrom).
    classes, halves
        Written as ``rlnClassNumber`` and ``rlnRandomSubset``.
    columns
        Further columns by name, one value for each particle.

    Raises
    ------
    InputError
        If a column has the wrong length or the file cannot be written.
    """
    path = Path(path)
    origin = particles.origin if isinstance(particles.origin, ListOrigin) else None
    blocks = dict(origin.blocks) if origin is not None else {}
    name = relion.particle_block_name(blocks)
    listed = blocks.get(name) if name is not None else None
    table = dict(listed.take(particles.rows).columns) if isinstance(listed, Loop) else _new_table(path, particles)
    # Also ranges given by hand: without them the list would not tell what was measured.
    set_tilt_geometry(table, particles.weights, blocks)
    if poses is not None:
        set_poses(table, poses, particles.voxel_size)
    if scores is not None:
        table[relion.SCORE] = texts(scores, 6)
    if covariances is not None:
        _set_covariances(table, covariances, particles.voxel_size)
    if classes is not None:
        table["rlnClassNumber"] = [str(int(value)) for value in classes]
    if halves is not None:
        table["rlnRandomSubset"] = [str(int(value)) for value in halves]
    for column, values in (columns or {}).items():
        table[column] = [f"{v:.6f}" if isinstance(v, float) else str(v) for v in values]
    for column, values in table.items():
        if len(values) != len(particles):
            raise InputError(f"{path}: expected {len(particles)} values as {column}, got {len(values)}")
    folder = None if origin is None else origin.folder
    if COLUMN not in table:
        start = path.parent if folder is None else folder
        images = CtfImages(path.parent / "weights", start, particles.box, particles.voxel_size, particles.weighting)
        names = images.names(particles.weights, table.get(relion.WEIGHT))
        if names is not None:
            table[COLUMN] = names
    mixed = particles.samplings is not None and len(relion.optics_table(blocks)) > 0
    size, box = (None if mixed else particles.voxel_size), particles.box[-1]  # each optics group keeps its own
    document = relion_document(path, blocks, table, folder, particles.weighting, size, box)
    note_tomograms(document, path, None if origin is None else origin.tomograms)
    write_star(path, document, file_version(table))


def _new_table(path: Path, particles: ParticleSet) -> dict[str, list[str]]:
    """A table for particles that no list brought along."""
    poses = particles.poses
    listing = ParticleList(
        path,
        (),
        particles.names,
        particles.weighting,
        rotations=None if poses is None else poses.rotations,
        shifts=None if poses is None else poses.shifts * particles.voxel_size,
        shift_unit="angstrom",
        halves=particles.halves,
        classes=particles.classes,
        tomograms=particles.tomograms,
    )
    table = with_table(listing).blocks["particles"]
    assert isinstance(table, Loop)
    return table.columns


def _set_covariances(
    table: dict[str, list[str]], covariances: Float[Tensor, "particles 6 6"], voxel_size: float
) -> None:
    scale = torch.tensor([180 / math.pi] * 3 + [voxel_size] * 3, dtype=torch.float64)
    scaled = covariances.to("cpu", torch.float64) * scale[:, None] * scale
    variances = scaled.diagonal(dim1=-2, dim2=-1)
    table["torchsagSigmaRotationDeg"] = texts(variances[:, :3].sum(-1).sqrt(), 6)
    table["torchsagSigmaShiftAngst"] = texts(variances[:, 3:].sum(-1).sqrt(), 6)
    upper = torch.triu_indices(6, 6)
    rows = scaled[:, upper[0], upper[1]].tolist()
    table[relion.COVARIANCE] = [
        "None" if any(math.isnan(v) for v in row) else "[" + ",".join(f"{v:.7g}" for v in row) + "]" for row in rows
    ]
