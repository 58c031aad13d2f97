"""The part of the first screen that shows maps: their surfaces from three sides, and slices through the middle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from torchsag.report.page import Picture, Section
from torchsag.report.pictures import map_views
from torchsag.report.surface import CONTOUR_DEVIATIONS, Surface
from torchsag.report.wording import digits


def map_section(
    heading: str, surfaces: Mapping[str, np.ndarray | None], slices: Mapping[str, np.ndarray], voxel_size: float
) -> Section:
    """Surfaces of densities ``[z, y, x]``, those that are kept, above central slices ``[3, n, n]``."""
    box = next(iter(slices.values())).shape[-1]
    seen = {name: Surface.of(density) for name, density in surfaces.items() if density is not None}
    rows = {
        f"surface, {name}" if len(surfaces) > 1 else "surface": (surface.views, surface.width * voxel_size)
        for name, surface in seen.items()
    }
    rows |= {
        f"slice, {name}" if len(slices) > 1 else "slice": (images, box * voxel_size) for name, images in slices.items()
    }
    side = digits(box * voxel_size)
    alt = (
        f"{len(seen)} shaded surfaces and central slices of {len(slices)} maps along z, y and x, slices {side} "
        "angstrom wide"
    )
    caption = f"Slices through the middle, {side} Å wide."
    if seen:
        where = "below" if any(surface.dark for surface in seen.values()) else "above"
        caption = f"Surfaces at {CONTOUR_DEVIATIONS:g} standard deviations {where} the mean. {caption}"
    picture = Picture(map_views(rows, alt), caption)
    return Section(heading, pictures=[picture], place="first")
