"""The part of the first screen that says how far half-maps agree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from torchsag.report.curves import at_nyquist, fsc_chart
from torchsag.report.page import Picture, Section
from torchsag.report.svg_chart import panels
from torchsag.report.wording import digits


def resolution_section(metrics: Mapping[str, Any], curves: Mapping[str, np.ndarray]) -> Section:
    """Where the curves cross, and the curves."""
    summary = metrics["summary"]
    crossings = {threshold: summary.get(f"resolution_{threshold:g}_angstrom") for threshold in (0.143, 0.5)}
    unmasked = summary.get("resolution_0.143_unmasked_angstrom")
    nyquist = 2 * float(metrics["voxel_size_angstrom"])
    said = [f"{angstrom(crossings[0.143], nyquist)} at 0.143", f"{angstrom(crossings[0.5], nyquist)} at 0.5"]
    said.append(f"{angstrom(unmasked, nyquist)} at 0.143 without a mask")
    caption = (
        "Two half-maps that never shared a reference. Shaded: what the mask adds, taken away in the corrected curve; "
        "it is known from maps with random phases, which only the mask can make agree."
    )
    alt = "Fourier shell correlation over resolution: " + ", ".join(said)
    chart = fsc_chart(curves, float(metrics["voxel_size_angstrom"]), crossings)
    picture = Picture(panels([chart], alt), caption)
    return Section("Resolution", ", ".join(said) + ".", [picture], place="first")


def angstrom(value: float | None, nyquist: float) -> str:
    """A resolution in words, beside the finest that voxels can show."""
    if value is None:
        return "none"
    return f"{digits(value)} Å{' (Nyquist)' if value <= at_nyquist(nyquist) else ''}"
