"""The one voxel size of all tomograms of a run."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from torchsag.errors import InputError
from torchsag.io.volumes import read_volume_header

_log = logging.getLogger(__name__)
_SAME = 1e-3


def common_voxel_size(files: Sequence[Path], given: float | None) -> float:
    """The voxel size that headers agree on, angstrom, or the given one.

    Raises
    ------
    InputError
        If a header gives none or another one than the first.
    """
    if given is not None:
        return float(given)
    first = None
    for file in files:
        header = read_volume_header(file)
        size = header.voxel_size
        if size is None:
            said = ", ".join(f"{one:g}" for one in header.voxel_sizes)
            raise InputError(
                f"{file}: expected one voxel size above 0 angstrom, the header says {said} along x, y, z; give "
                "voxel_size_angstrom="
            )
        first = first or size
        if abs(size - first) > _SAME * first:
            raise InputError(
                f"{file}: expected the voxel size of {files[0]}, {first:g} angstrom, got {size:g}; extract lists of "
                "tomograms of one voxel size, or give voxel_size_angstrom= if a header is wrong"
            )
    assert first is not None
    if first == 1:
        _log.warning(
            "%s: the header says 1 angstrom per voxel, which many programs write when they do not know", files[0]
        )
    return first
