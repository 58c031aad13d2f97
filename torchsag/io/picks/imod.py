"""Points of IMOD models (``.mod``), read by imodmodel.

X and Y run from 0 to the size of the volume, Z from -0.5 to its size - 0.5 (IMOD's ``binspec.html``): the centre of
voxel (i, j, k) is the point (i + 0.5, j + 0.5, k). A model that was drawn on a part of a volume starts there;
``(otrans - ctrans) / cscale`` takes it into the whole one (``asciispec.html``).
"""

from __future__ import annotations

import io
import logging
import re
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.picks.places import pick_names
from torchsag.io.regular_file import open_regular
from torchsag.io.relion_document import with_table
from torchsag.particles import Corrected

if TYPE_CHECKING:
    from imodmodel.models import ImodModel

_LOG = logging.getLogger(__name__)
_MAGIC = b"IMODV1."
_LARGEST_BYTES = 2**30
_VOXEL_CENTRE = (0.5, 0.5, 0.0)


def read_model(path: Path) -> ParticleList:
    """The points of a model, object by object; an object is a class, counted from 1.

    Raises
    ------
    InputError
        If imodmodel is not installed, or the file is no model, damaged, or without points.
    """
    points, objects = model_points(path)
    names = pick_names(path, len(points))
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent,),
            names=names,
            weighting=Corrected(),
            classes=objects + 1,
            tomograms=[path.stem] * len(names),
            positions=points,
        )
    )


def model_points(path: Path) -> tuple[Float[Tensor, "points 3"], Tensor]:
    """Points in voxels of the volume, the first being 0, and the number of each point's object, counted from 0.

    Raises
    ------
    InputError
        As `read_model`; a model without points is no error.
    """
    model = _load(path)
    contours = [(k, contour.points) for k, one in enumerate(model.objects) for contour in one.contours]
    if not contours:
        return torch.zeros(0, 3, dtype=torch.float64), torch.zeros(0, dtype=torch.long)
    points = torch.from_numpy(np.concatenate([points for _, points in contours]).astype(np.float64))
    objects = torch.tensor([k for k, points in contours for _ in range(len(points))])
    return points - torch.tensor(_VOXEL_CENTRE) + _start(path, model), objects


def _load(path: Path) -> ImodModel:
    try:
        from imodmodel.parsers import parse_model  # brings pandas, for this format alone
    except ImportError as error:
        raise InputError(
            f"{path}: models of IMOD are read by imodmodel, which is not installed; pip install 'torchsag[picks]'"
        ) from error
    data = _checked(path)
    try:
        return parse_model(_Whole(data))
    except Exception as error:  # its parser says what is wrong in exceptions of many kinds
        raise InputError(f"{path}: cannot be read as a model of IMOD ({' '.join(str(error).split())[:120]})") from error


class _Whole(io.BytesIO):
    """A file that ends in an error: imodmodel would look for the end of a model for ever."""

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(size)
        if size is not None and len(data) < size:
            raise EOFError("it ends before its last chunk")
        return data


def _checked(path: Path) -> bytes:
    """The file's bytes, if no chunk claims more points than the file has: imodmodel asks for the memory they need."""
    with open_regular(path) as file:
        data = file.read(_LARGEST_BYTES + 1)
    if not data.startswith(_MAGIC):
        raise InputError(f"{path}: expected a binary model of IMOD ({_MAGIC.decode()}...), got {data[:8]!r}")
    if len(data) > _LARGEST_BYTES:
        raise InputError(f"{path}: expected a model of at most {_LARGEST_BYTES >> 30} GiB")
    for mark in re.finditer(rb"CONT|MESH", data):
        count = int.from_bytes(data[mark.end() : mark.end() + 4], "big")
        if 12 * count > len(data) - mark.end():
            raise InputError(
                f"{path}: byte {mark.start()}: claims {count} points, more than the file holds; it is damaged"
            )
    return data


def _start(path: Path, model: ImodModel) -> Float[Tensor, " 3"]:
    """Where the part of the volume begins on which the model was drawn, voxels."""
    image = model.minx
    start = torch.zeros(3, dtype=torch.float64)
    if image is None or not model.header.flags.otrans_has_image_origin_values:
        return start
    scale = torch.tensor(image.cscale, dtype=torch.float64)
    shift = torch.tensor(image.otrans, dtype=torch.float64) - torch.tensor(image.ctrans, dtype=torch.float64)
    start = torch.where(scale != 0, shift / scale, start)
    if bool((start.abs() > 1e-3).any()):
        _LOG.info(
            "%s: drawn on a part of a volume that begins at voxel %s; positions count the whole", path, start.tolist()
        )
    return start
