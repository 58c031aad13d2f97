"""The list of extracted tilt images: an optimisation set as RELION 5 writes one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import torch

from torchsag.io import relion
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import texts
from torchsag.io.star import Block, Loop, write_star
from torchsag.io.tilt_stacks import CENTRED, VISIBLE
from torchsag.workflows.extract.extracted_list import kept_columns
from torchsag.workflows.extract.image_stacks import ImageStackWriter, stack_name

_VERSION = 50001  # of RELION 5's files


def write_image_list(
    out: Path,
    listing: ParticleList,
    tomograms: Path,
    writer: ImageStackWriter,
    rows: Sequence[int],
    visible: Sequence[str],
) -> tuple[str, ...]:
    """Write ``particles.star``, positions and poses in it, and the ``optimisation_set.star`` that names it.

    Parameters
    ----------
    out
        Where ``particles/`` is; files appear only when complete.
    listing
        The list that was extracted.
    tomograms
        Its ``tomograms.star``.
    writer
        What wrote the images.
    rows
        The writer's rows that were written.
    visible
        For each of the writer's rows the images that it is in, as RELION writes them.
    """
    numbers = [writer.numbers[row] for row in rows]
    columns = {
        **kept_columns(listing, numbers),
        "rlnTomoName": [writer.tomograms[row] for row in rows],
        "rlnImageName": [stack_name(number) for number in numbers],
        VISIBLE: [visible[row] for row in rows],
        **dict(zip(CENTRED, (texts(v, 6) for v in writer.offsets[list(rows)].unbind(-1)), strict=True)),
    }
    columns.setdefault("rlnTomoParticleName", [f"{writer.tomograms[row]}/{writer.numbers[row] + 1}" for row in rows])
    columns.pop("rlnMicrographName", None)  # the tomogram's name again
    poses = listing.tomogram_poses(1.0)
    if poses is not None and (listing.rotations is not None or listing.box_frames is not None):
        angles = torch.rad2deg(poses.zyz[torch.tensor(numbers)])
        columns |= dict(zip(relion.ANGLES, (texts(v, 6) for v in angles.unbind(-1)), strict=True))
    columns |= {name: ["0.000000"] * len(rows) for name in relion.ORIGINS_ANGSTROM}
    notes = {
        relion.FOLDER_NOTE: ".",
        relion.TOMOGRAMS_NOTE: Path(os.path.relpath(tomograms.resolve(), out.resolve())).as_posix(),
    }
    blocks: dict[str, Block] = {
        "general": {"rlnTomoSubTomosAre2DStacks": "1"},
        relion.NOTES: notes,
        "optics": _optics(writer),
        "particles": Loop(columns),
    }
    write_star(out / "particles.star", blocks, _VERSION)
    named = {
        "rlnTomoParticlesFile": str((out / "particles.star").resolve()),
        "rlnTomoTomogramsFile": str(tomograms.resolve()),
    }
    write_star(out / "optimisation_set.star", {"optimisation_set": named}, _VERSION)
    return ("optimisation_set.star", "particles.star")


def _optics(writer: ImageStackWriter) -> Loop:
    series = next(iter(writer.series.values()))
    microscope = series.optics.microscope
    row = {
        "rlnOpticsGroup": "1",
        "rlnOpticsGroupName": "opticsGroup1",
        "rlnVoltage": f"{microscope.voltage_kv:.6f}",
        "rlnSphericalAberration": f"{microscope.spherical_aberration_mm:.6f}",
        "rlnAmplitudeContrast": f"{microscope.amplitude_contrast:.6f}",
        "rlnTomoTiltSeriesPixelSize": f"{series.pixel_size:.6f}",
        "rlnCtfDataAreCtfPremultiplied": str(int(writer.premultiply)),
        "rlnImageDimensionality": "2",
        "rlnTomoSubtomogramBinning": f"{writer.binning:.6f}",
        "rlnImagePixelSize": f"{series.pixel_size * writer.binning:.6f}",
        "rlnImageSize": str(writer.box),
    }
    return Loop({key: [value] for key, value in row.items()})
