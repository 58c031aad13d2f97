"""Resolution around each voxel, and the map filtered by it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from torchsag.report.page import Picture, Section
from torchsag.report.pictures import coloured_views, map_views
from torchsag.report.run_files import density_if_kept
from torchsag.report.turnable import Coloured
from torchsag.report.wording import digits
from torchsag.runs.central_slices import orthogonal_slices


def coloured_surface(folder: Path) -> Coloured | None:
    """The locally filtered map of a run, to turn, in the colours of its local resolution; None if a map is missing."""
    names = ("locally_filtered.mrc", "local_resolution.mrc", "mask.mrc")
    maps = [one for name in names if (one := density_if_kept(folder, name)) is not None]
    if len(maps) < len(names):
        return None
    filtered, resolution, mask = maps
    low, high = np.percentile(resolution[mask > 0.5] if (mask > 0.5).any() else resolution, (2, 98))
    return Coloured("local resolution", filtered, resolution, float(low), float(high), "local resolution (Å)")


def local_section(
    resolution: np.ndarray, filtered: np.ndarray | None, mask: np.ndarray | None, voxel_size: float
) -> Section:
    """Central slices of the local resolution, in colour and blank outside the mask, above those of the filtered map.

    Parameters
    ----------
    resolution
        Slices ``[3, n, n]``, angstrom.
    filtered
        Slices of the locally filtered map; None where there is none.
    mask
        ``[z, y, x]``; None shows everything.
    voxel_size
        Angstrom.
    """
    inside = np.isfinite(resolution) if mask is None else orthogonal_slices(torch.from_numpy(mask)) > 0.5
    values = resolution[inside] if inside.any() else resolution
    low, high = digits(float(values.min())), digits(float(values.max()))
    text = (
        "Where the correlation of the half-maps in a small window falls below 0.5; blank outside the mask. "
        f"In these slices from {low} to {high} Å."
    )
    alt = f"Central slices of local resolution in colour, from {low} to {high} angstrom, blank outside the mask"
    pictures = [Picture(coloured_views(resolution, inside, voxel_size, "local resolution (Å)", alt))]
    if filtered is not None:
        rows = {"locally filtered": (filtered, filtered.shape[-1] * voxel_size)}
        caption = "The map low-passed around each voxel to the resolution there (locally_filtered.mrc)."
        pictures.append(Picture(map_views(rows, "Central slices of the locally filtered map"), caption))
    return Section("Local resolution", text, pictures)
