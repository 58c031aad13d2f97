"""Files of a finished run that pages are made from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.damaged_arrays import DAMAGED_ARRAYS
from torchsag.errors import InputError
from torchsag.io.volumes import read_volume
from torchsag.particles import VolumeSource
from torchsag.report.curves import read_curves


def read_run(folder: Path, kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """``metrics.json`` and ``slices.npz``.

    Raises
    ------
    InputError
        If a file is missing or cannot be read; `kind` says what the folder was expected to hold.
    """
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        with np.load(folder / "slices.npz", allow_pickle=False) as archive:
            return metrics, dict(archive)
    except DAMAGED_ARRAYS as error:
        raise _unfinished(folder, kind, "metrics.json, slices.npz", error) from error


def read_fsc(folder: Path, kind: str, name: str = "fsc.csv") -> dict[str, np.ndarray]:
    """The curves of `name`.

    Raises
    ------
    InputError
        As for `read_run`.
    """
    try:
        return read_curves(folder / name)
    except (OSError, ValueError) as error:
        raise _unfinished(folder, kind, name, error) from error


def density_if_kept(folder: Path, name: str) -> np.ndarray | None:
    """A map of the run, ``[z, y, x]``; None if it has been moved away, as a page can do without its surface.

    A class may be empty everywhere, which `torchsag.io.read_map` refuses.
    """
    return read_volume(VolumeSource(folder / name)).numpy() if (folder / name).is_file() else None


def _unfinished(folder: Path, kind: str, names: str, error: Exception) -> InputError:
    return InputError(f"{folder}: expected the files of a finished {kind} ({names}), got: {error}")
