"""The list of what was extracted: RELION's columns, and those of the list it came from that still hold."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.io import relion, write_poses
from torchsag.io.particle_list import ListOrigin, ParticleList
from torchsag.io.relion_document import texts
from torchsag.io.star import Block, Loop
from torchsag.io.volumes import read_volume
from torchsag.particles import ParticleSet, Transfer, VolumeSource
from torchsag.workflows.extract.sites import Sites
from torchsag.workflows.extract.subvolumes import SubvolumeWriter, volume_name

# What names other files, other boxes, or poses and positions in other voxels.
_GONE = (
    "rlnImage", "rlnCtfImage", "rlnReconstructImage", "rlnAngle", "rlnOrigin", "rlnCoordinate", "rlnCenteredCoordinate",
    "rlnTomoSubtomogram", "rlnTomoVisibleFrames", "rlnPixelSize", "rlnDetectorPixelSize", "rlnMagnification",
    "rlnOpticsGroup", "torchsag",
)  # fmt: skip


def write_extracted(
    path: Path, listing: ParticleList, sites: Sites, rows: Sequence[int], writer: SubvolumeWriter
) -> None:
    """Write the list of some entries: poses in their boxes, and where these lie in their tomograms.

    ``rlnCoordinateX``, ``Y``, ``Z`` name the box centre in voxels of the tomogram, whose size is noted as
    ``rlnTomoTiltSeriesPixelSize`` where boxes were binned.

    Parameters
    ----------
    path
        The ``.star`` file beside ``particles/``; it appears only when complete.
    listing
        The list that was extracted.
    sites
        One for each of its entries.
    rows
        The entries that have volumes.
    writer
        What wrote them.
    """
    chosen = torch.tensor(rows)
    names = tuple(volume_name(row) for row in rows)
    poses = Poses(sites.poses.rotations[chosen], sites.poses.shifts[chosen] / writer.binning)
    ranges = listing.tilt_ranges or []
    files = dict(zip(writer.numbers, writer.tomograms, strict=True))
    particles = ParticleSet(
        names=names,
        box=(writer.box, writer.box, writer.box),
        voxel_size=writer.voxel_size,
        volumes=tuple(VolumeSource(path.parent / name) for name in names),
        weights=tuple(ranges[row] for row in rows),
        weighting=Transfer(),
        reader=read_volume,
        poses=poses if sites.oriented else None,
        halves=_some(listing.halves, chosen),
        classes=_some(listing.classes, chosen),
        tomograms=tuple(files[row].name if listing.tomograms is None else listing.tomograms[row] for row in rows),
        origin=ListOrigin(folder=path.parent, blocks=_optics(writer)),
    )
    columns = kept_columns(listing, rows)
    for name, values in zip(relion.POSITIONS, sites.centres[chosen].double().unbind(-1), strict=True):
        columns[name] = texts(values, 6)
    if not sites.oriented:
        origins = -poses.shifts * writer.voxel_size
        columns |= {n: texts(v, 6) for n, v in zip(relion.ORIGINS_ANGSTROM, origins.unbind(-1), strict=True)}
    write_poses(path, particles, None, scores=_some(listing.scores, chosen), columns=columns)


def _some(values: Tensor | None, rows: Tensor) -> Tensor | None:
    return None if values is None else values[rows]


def _optics(writer: SubvolumeWriter) -> dict[str, Block]:
    """Only binned boxes need to say what their positions count."""
    if writer.binning == 1:
        return {}
    return {
        "optics": Loop({
            "rlnOpticsGroup": ["1"],
            "rlnOpticsGroupName": ["opticsGroup1"],
            "rlnTomoTiltSeriesPixelSize": [f"{writer.voxel_size / writer.binning:.6f}"],
            "rlnImagePixelSize": [f"{writer.voxel_size:.6f}"],
            "rlnImageSize": [str(writer.box)],
            "rlnImageDimensionality": ["3"],
        })
    }  # fmt: skip


def kept_columns(listing: ParticleList, rows: Sequence[int]) -> dict[str, list[str]]:
    """The listed columns of some entries that still hold once other files have been cut for them."""
    table = listing.blocks.get(relion.particle_block_name(listing.blocks) or "")
    columns = table.columns if isinstance(table, Loop) else {}
    kept = {name: values for name, values in columns.items() if not name.startswith(_GONE)}
    chosen = {name: [values[row] for row in rows] for name, values in kept.items()}
    return {**chosen, "rlnOpticsGroup": ["1"] * len(rows)}
