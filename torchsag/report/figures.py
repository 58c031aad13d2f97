"""The figures of reports; each function makes one, without a display.

matplotlib takes half a second to load, so only a process that draws does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def blank(figsize: tuple[float | int, float | int]) -> Figure:
    """An empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize)


def orthogonal_views(volumes: dict[str, np.ndarray]) -> Figure:
    """Central slices ``[3, n, n]`` of each volume, one row per volume."""
    figure = blank(figsize=(7.5, 2.6 * len(volumes)))
    axes = figure.subplots(len(volumes), 3, squeeze=False)
    for row, (name, slices) in zip(axes, volumes.items(), strict=True):
        for axis, image, plane in zip(row, slices, ("across z", "across y", "across x"), strict=True):
            _show(axis, image, f"{name}, {plane}")
    return figure


def image_pairs(upper: np.ndarray, lower: np.ndarray, names: Sequence[str], labels: tuple[str, str]) -> Figure:
    """Images above the images they should resemble."""
    count = len(upper)
    figure = blank(figsize=(1.9 * count, 4.1))
    axes = figure.subplots(2, count, squeeze=False)
    for column in range(count):
        _show(axes[0, column], upper[column], names[column])
        _show(axes[1, column], lower[column], "")
    for row, label in zip(axes, labels, strict=True):
        row[0].set_ylabel(label, fontsize=9)
    return figure


def histograms(quantities: dict[str, np.ndarray]) -> Figure:
    """One histogram per quantity, the median marked."""
    figure = blank(figsize=(3.6 * len(quantities), 2.8))
    axes = figure.subplots(1, len(quantities), squeeze=False)[0]
    for axis, (label, values) in zip(axes, quantities.items(), strict=True):
        values = values[np.isfinite(values)]
        axis.set_xlabel(label)
        axis.set_ylabel("particles")
        if values.size:
            axis.hist(values, bins=min(40, max(8, round(values.size**0.5) * 2)), color="#4477aa")
            axis.axvline(float(np.median(values)), color="#cc3311")
            axis.set_title(f"median {np.median(values):.3g}", fontsize=9)
    figure.tight_layout()
    return figure


def view_distribution(longitude_deg: np.ndarray, latitude_deg: np.ndarray) -> Figure:
    """Where the beam points in the reference's frame, on an equal-area map of the sphere."""
    figure = blank(figsize=(6, 3.2))
    axis = figure.add_subplot(projection="mollweide")
    axis.grid(visible=True, alpha=0.3)
    axis.tick_params(labelsize=7)
    many = len(longitude_deg) > 2000
    axis.scatter(np.radians(longitude_deg), np.radians(latitude_deg), s=2 if many else 14, alpha=0.2 if many else 0.7)
    return figure


def _show(axis, image: np.ndarray, title: str) -> None:
    low, high = np.percentile(image, (0.5, 99.5))
    axis.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=max(high, low + 1e-12))
    axis.set_title(title if len(title) <= 22 else f"...{title[-19:]}", fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])
