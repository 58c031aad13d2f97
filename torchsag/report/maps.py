"""The part of the first screen that shows maps: their surfaces from three sides, and slices through the middle."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from torchsag.report.page import Picture, Section
from torchsag.report.pictures import map_views
from torchsag.report.surface import CONTOUR_DEVIATIONS, Surface
from torchsag.report.turnable import Coloured, turnable, viewer_scripts
from torchsag.report.wording import digits, worded_list


def map_section(
    heading: str,
    densities: Mapping[str, np.ndarray | None],
    slices: Mapping[str, np.ndarray],
    voxel_size: float,
    turns: bool = True,
    coloured: Coloured | None = None,
) -> Section:
    """Surfaces of densities ``[z, y, x]``, those that are kept, above central slices ``[3, n, n]``.

    Parameters
    ----------
    heading
        Of the section.
    densities, slices
        By name.
    voxel_size
        Angstrom.
    turns
        Whether the reader can turn the surfaces, which takes a megabyte.
    coloured
        One more surface to turn.

    Notes
    -----
    Maps that are the same everywhere are named, not shown.
    """
    box = next(iter(slices.values())).shape[-1]
    empty = [name for name, images in slices.items() if _flat(images) and _flat(densities.get(name))]
    slices = {name: images for name, images in slices.items() if name not in empty}
    said_empty = f"There is nothing in the map of {worded_list(empty)}." if empty else ""
    if not slices:
        return Section(heading, said_empty, place="first")
    kept = {name: density for name, density in densities.items() if density is not None and name not in empty}
    side = digits(box * voxel_size)
    rows = {
        f"slice, {name}" if len(slices) > 1 else "slice": (images, box * voxel_size) for name, images in slices.items()
    }
    alt = f"Central slices of {_count(len(slices))} along z, y and x, {side} angstrom wide"
    parts, captions, scripts = [map_views(rows, alt)], [f"Slices through the middle, {side} Å wide."], ()
    if kept:
        surfaces, said = _surfaces(kept, voxel_size)
        parts.insert(0, surfaces)
        captions.insert(0, said)
    if kept and turns and viewer_scripts() and (turning := turnable(kept, voxel_size, coloured)):
        scripts = viewer_scripts()
        parts.insert(0, turning)
    kind = "solid several" if len(slices) > 1 else "solid"
    picture = Picture(f"<div class='{kind}'>{''.join(parts)}</div>", " ".join(captions), scripts)
    return Section(heading, said_empty, [picture], place="first")


def _surfaces(densities: Mapping[str, np.ndarray], voxel_size: float) -> tuple[str, str]:
    """From three sides, and what is to be said of them."""
    seen = {name: Surface.of(density) for name, density in densities.items()}
    rows = {
        f"surface, {name}" if len(seen) > 1 else "surface": (surface.views, surface.width * voxel_size)
        for name, surface in seen.items()
    }
    where = "below" if any(surface.dark for surface in seen.values()) else "above"
    alt = f"Shaded surfaces of {_count(len(seen))} along z, y and x"
    return map_views(rows, alt, "surfaces"), f"Surface at {CONTOUR_DEVIATIONS:g} standard deviations {where} the mean."


def _flat(values: np.ndarray | None) -> bool:
    return values is None or not np.ptp(values) > 0


def _count(maps: int) -> str:
    return "the map" if maps == 1 else f"{maps} maps"
