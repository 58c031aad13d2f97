"""How quantities are spread over particles: histograms, or the values themselves where there are few."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from torchsag.report.chart import Axis, Bars, Chart, Note
from torchsag.report.page import Picture, Section, Spot
from torchsag.report.svg_chart import panels
from torchsag.report.wording import digits

# Below this a histogram is a row of separate bars.
_FEW = 8


def distribution_section(
    heading: str, quantities: Mapping[str, np.ndarray], text: str = "", place: Spot = "body"
) -> Section:
    """Each quantity, NaN where there is none, with its median."""
    finite = {label: values[np.isfinite(values)] for label, values in quantities.items()}
    medians = ", ".join(f"{label} {_median(values)}" for label, values in finite.items())
    if max((values.size for values in finite.values()), default=0) < _FEW:
        rows = [
            (label, ", ".join(digits(float(v)) for v in np.sort(values)) or "none") for label, values in finite.items()
        ]
        return Section(heading, text, rows=rows, place=place)
    alt = f"Histograms over the particles, medians: {medians}"
    # One below the other in half a page, side by side in a whole one.
    height = 0.27 if place == "first" else 0.56
    drawn = panels([replace(histogram(label, values), height=height) for label, values in finite.items()], alt)
    return Section(heading, text, [Picture(drawn, f"Medians: {medians}.")], place=place)


def histogram(label: str, values: np.ndarray) -> Chart:
    """Of finite values, the median marked."""
    x, y = Axis(label), Axis("particles")
    if not values.size:
        return Chart(x, y)
    counts, edges = np.histogram(values, bins=min(40, max(8, round(values.size**0.5) * 2)))
    median = float(np.median(values))
    room = float(counts.max()) * 1.18
    return Chart(
        x,
        Axis(y.label, limits=(0.0, room)),
        bars=[Bars(edges.tolist(), counts.tolist())],
        upright=[median],
        notes=[Note(median, room * 0.95, f"median {digits(median)}", colour=-2)],
    )


def _median(values: np.ndarray) -> str:
    return digits(float(np.median(values))) if values.size else "unknown"
