"""The figures that several reports share; each function makes one, without a display.

matplotlib takes half a second to load, so only a process that draws does.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from torchsag.report.sphere import ViewDensity
from torchsag.report.wording import digits

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

BLUE, RED = "#4477aa", "#cc3311"
_PLANES = ("across z", "across y", "across x")


def blank(figsize: tuple[float | int, float | int]) -> Figure:
    """An empty figure, inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize)


def map_views(rows: dict[str, tuple[np.ndarray, float]]) -> Figure:
    """Three pictures ``[3, n, n]`` in each row, along or across z, y and x.

    Parameters
    ----------
    rows
        By name: pictures, of which NaN stays empty, and their width in angstrom, for a scale bar.
    """
    figure = blank(figsize=(6, 2 * len(rows) + 0.25))
    axes = figure.subplots(len(rows), 3, squeeze=False)
    for row, (name, (pictures, width)) in zip(axes, rows.items(), strict=True):
        for axis, image in zip(row, pictures, strict=True):
            _show(axis, image)
        _scale_bar(row[0], pictures.shape[-1], width)
        row[0].set_ylabel(name, fontsize=9)
    for axis, plane in zip(axes[0], ("z", "y", "x"), strict=True):
        axis.set_title(f"along {plane}", fontsize=9)
    figure.tight_layout(pad=0.3)
    return figure


def local_resolution(slices: np.ndarray, inside: np.ndarray, voxel_size: float) -> Figure:
    """Central slices ``[3, n, n]`` of a map of local resolution, angstrom, in colour; blank where not `inside`."""
    shown = np.where(inside, slices, np.nan)
    low, high = (
        float(bound(shown[np.isfinite(shown)])) if np.isfinite(shown).any() else 1.0 for bound in (np.min, np.max)
    )
    figure = blank(figsize=(8.5, 2.9))
    axes = figure.subplots(1, 3)
    drawn = None
    for axis, image, plane in zip(axes, shown, _PLANES, strict=True):
        _bare(axis)
        axis.set_facecolor("#dddddd")
        axis.set_title(plane, fontsize=9)
        drawn = axis.imshow(image, cmap="viridis_r", origin="lower", vmin=low, vmax=max(high, low + 1e-6))
    _scale_bar(axes[0], slices.shape[-1], slices.shape[-1] * voxel_size, "black")
    assert drawn is not None  # there are three planes
    figure.colorbar(drawn, ax=list(axes), label="local resolution (Å)", shrink=0.9)
    return figure


def image_pairs(upper: np.ndarray, lower: np.ndarray, names: Sequence[str], labels: tuple[str, str]) -> Figure:
    """Images above the images they should resemble."""
    count = len(upper)
    figure = blank(figsize=(1.9 * count, 4.1))
    axes = figure.subplots(2, count, squeeze=False)
    for column in range(count):
        _show(axes[0, column], upper[column])
        _show(axes[1, column], lower[column])
        name = names[column]
        axes[0, column].set_title(name if len(name) <= 22 else f"...{name[-19:]}", fontsize=8, parse_math=False)
    for row, label in zip(axes, labels, strict=True):
        row[0].set_ylabel(label, fontsize=9)
    figure.tight_layout(pad=0.4)
    return figure


def histograms(quantities: dict[str, np.ndarray], columns: int = 2) -> Figure:
    """One histogram per quantity, the median marked."""
    rows = math.ceil(len(quantities) / columns)
    figure = blank(figsize=(3.6 * columns, 2.6 * rows))
    for number, (label, values) in enumerate(quantities.items(), start=1):
        axis = figure.add_subplot(rows, columns, number)
        values = values[np.isfinite(values)]
        axis.set_xlabel(label)
        axis.set_ylabel("particles")
        axis.locator_params(axis="y", integer=True)
        axis.locator_params(axis="x", nbins=5)
        if values.size:
            axis.hist(values, bins=min(40, max(8, round(values.size**0.5) * 2)), color=BLUE)
            axis.axvline(float(np.median(values)), color=RED)
            axis.set_title(f"median {digits(float(np.median(values)))}", fontsize=9)
    figure.tight_layout()
    return figure


def view_density(views: ViewDensity) -> Figure:
    """On an equal-area map of the sphere; directions that lack views are hatched."""
    figure = blank(figsize=(7, 3.4))
    axis = figure.add_subplot(projection="mollweide")
    longitude, latitude = views.edges()
    drawn = axis.pcolormesh(longitude, latitude, views.density, cmap="viridis", vmin=0)
    # pcolor draws each cell by itself, which is what a hatch needs
    lacking = np.ma.masked_where(~views.lacking, np.ones_like(views.density))
    axis.pcolor(
        longitude, latitude, lacking, hatch="////", facecolor="#bbbbbb", edgecolor=RED, linewidth=0, cmap="Greys_r"
    )
    axis.set_xticks(np.radians([-120, -60, 0, 60, 120]), [])
    axis.set_yticks(np.radians([-60, -30, 0, 30, 60]))
    axis.tick_params(labelsize=7, axis="both")
    axis.grid(visible=True, alpha=0.3)
    figure.colorbar(drawn, ax=axis, label="views, by the mean over all directions", shrink=0.85)
    return figure


def log_scale(set_scale: Callable[[str], None], axis: Axis) -> None:
    """Few and plain labels, as an axis often spans less than a decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    set_scale("log")
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def _bare(axis: Axes) -> None:
    axis.set_xticks([])
    axis.set_yticks([])


def _show(axis: Axes, image: np.ndarray) -> None:
    _bare(axis)
    finite = image[np.isfinite(image)]
    surface = finite.size < image.size
    low, high = (0.0, 1.0) if surface or not finite.size else np.percentile(finite, (0.5, 99.5))
    axis.imshow(image, cmap="gray", origin="lower", vmin=low, vmax=max(high, low + 1e-12))


def _scale_bar(axis: Axes, pixels: int, width: float, colour: str = RED) -> None:
    """Of a round length near a quarter of the picture, whose `width` is in angstrom."""
    power = 10 ** math.floor(math.log10(width / 4))
    length = max(step for step in (1, 2, 5) if step * power <= width / 4) * power
    left, height = 0.05 * pixels, 0.06 * pixels
    axis.plot([left, left + length / width * pixels], [height, height], color=colour, linewidth=3)
    axis.text(left, height + 0.02 * pixels, f"{length:g} Å", color=colour, fontsize=8, va="bottom", weight="bold")
