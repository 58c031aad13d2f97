"""The table that turns samples on a shell into spherical harmonics: torch-harmonics makes it, once on a machine.

Importing torch-harmonics takes longer than torch itself (0.9.3 loads torch's compiler: 2.6 against 1.5 CPU seconds),
and an alignment needs one array of it, of some hundred kilobytes. That is kept in the user's cache folder
(``$XDG_CACHE_HOME`` or ``~/.cache``, below ``torchsag``) under the version that made it; without such a folder it is
made anew in each process.
"""

from __future__ import annotations

import logging
import os
import uuid
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.damaged_arrays import DAMAGED_ARRAYS

_log = logging.getLogger(__name__)


@lru_cache(maxsize=8)
def analysis_table(degree: int, latitudes: int) -> Float[Tensor, "m l latitudes"]:
    """Harmonics of orders and degrees up to `degree` at Gauss-Legendre latitudes, times the quadrature's weights.

    In float64; the ``2 pi`` of the longitudes is included.
    """
    shape = (degree + 1, degree + 1, latitudes)
    path = _folder() / f"harmonics-{version('torch-harmonics')}-{degree}-{latitudes}.npz"
    kept = _read(path, shape)
    if kept is None:
        kept = _made(degree, latitudes)
        _keep(path, kept)
    return torch.from_numpy(kept)


def _folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "torchsag"


def _made(degree: int, latitudes: int) -> np.ndarray:
    from torch_harmonics import RealSHT

    transform = RealSHT(latitudes, 2 * latitudes, lmax=degree + 1, mmax=degree + 1, grid="legendre-gauss")
    return transform.get_buffer("weights").double().numpy()


def _read(path: Path, shape: tuple[int, int, int]) -> np.ndarray | None:
    """The kept table, or None where there is none or it is damaged; a zip archive checks its own sums."""
    try:
        with np.load(path, allow_pickle=False) as archive:
            table = archive["table"]
    except DAMAGED_ARRAYS:
        return None
    return table if table.shape == shape and table.dtype == np.float64 and np.isfinite(table).all() else None


def _keep(path: Path, table: np.ndarray) -> None:
    """Write it complete or not at all; a cache that cannot be written is done without."""
    partial = path.with_name(f".{uuid.uuid4().hex}.npz")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(partial, table=table)
        os.replace(partial, path)
    except OSError as error:
        _log.info("%s: tables of spherical harmonics are not kept: %s", path.parent, error.strerror)
