"""Pictures of maps and particles, side by side and with scale bars, as parts of a page."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence

import numpy as np

from torchsag.report.colours import embedded, greys, lit, viridis
from torchsag.report.wording import digits

_AXES = ("along z", "along y", "along x")


def map_views(rows: Mapping[str, tuple[np.ndarray, float]], alt: str, kind: str = "") -> str:
    """Three pictures ``[3, n, n]`` in each row, along z, y and x.

    Parameters
    ----------
    rows
        By name: pictures, of which NaN stays empty, and their width in angstrom, for a scale bar.
    alt
        What they show, in words.
    kind
        Of picture, for the page's style: ``surfaces``.
    """
    tiles = []
    for name, (pictures, width) in rows.items():
        for number, (image, axis) in enumerate(zip(pictures, _AXES, strict=True)):
            bar = _scale_bar(width) if number == 0 else ""
            tiles.append(_tile(embedded(_shades(image)), bar, f"{name}, {axis}" if number == 0 else axis))
    return _tiles(tiles, f"three {kind}".strip(), alt)


def image_pairs(upper: np.ndarray, lower: np.ndarray, names: Sequence[str], alt: str) -> str:
    """Images above the images they should resemble."""
    tiles = []
    for above, below, name in zip(upper, lower, names, strict=True):
        label = html.escape(name if len(name) <= 17 else f"...{name[-14:]}")
        pair = _picture(embedded(_shades(above)), "") + _picture(embedded(_shades(below)), "")
        tiles.append(f"<div class='tile'>{pair}<span>{label}</span></div>")
    return _tiles(tiles, "many", alt)


def coloured_views(slices: np.ndarray, inside: np.ndarray, voxel_size: float, unit: str, alt: str) -> str:
    """Central slices ``[3, n, n]`` in colour with a scale; nothing where not `inside`, small values are bright."""
    shown = np.where(inside, slices, np.nan)
    finite = shown[np.isfinite(shown)]
    low, high = (float(finite.min()), float(finite.max())) if finite.size else (0.0, 1.0)
    levels = 1 - (shown - low) / max(high - low, 1e-6)
    width = slices.shape[-1] * voxel_size
    tiles = [
        _tile(embedded(viridis(image)), _scale_bar(width) if number == 0 else "", axis)
        for number, (image, axis) in enumerate(zip(levels, _AXES, strict=True))
    ]
    return _tiles(tiles, "three coloured", alt) + colour_scale(low, high, unit, turned=True)


def colour_scale(low: float, high: float, unit: str, turned: bool = False) -> str:
    """A strip of the colours from `low` to `high` with three numbers; `turned` where low values are bright."""
    ramp = np.linspace(0, 1, 64)[None]
    strip = embedded(viridis(1 - ramp if turned else ramp))
    labels = "".join(f"<span>{digits(value)}</span>" for value in (low, (low + high) / 2, high))
    return (
        f"<div class='scale'><div>{labels}</div><img alt='' src='{strip}'><p class='soft'>{html.escape(unit)}</p></div>"
    )


def _tiles(tiles: Sequence[str], kind: str, alt: str) -> str:
    return f"<div class='tiles {kind}' role='img' aria-label='{html.escape(alt)}'>{''.join(tiles)}</div>"


def _tile(source: str, bar: str, label: str) -> str:
    return f"<div class='tile'>{_picture(source, bar)}<span>{html.escape(label)}</span></div>"


def _picture(source: str, bar: str) -> str:
    """A square, its picture as large as it."""
    return f"<svg viewBox='0 0 100 100' aria-hidden='true'><image width='100' height='100' href='{source}'/>{bar}</svg>"


def _shades(image: np.ndarray) -> np.ndarray:
    """A surface as it is lit, a slice between its rare values."""
    finite = image[np.isfinite(image)]
    if finite.size < image.size:
        return lit(image)
    low, high = np.percentile(finite, (0.5, 99.5))
    return greys(image, float(low), float(max(high, low + 1e-12)))


def _scale_bar(width: float) -> str:
    """Of a round length near a quarter of a picture that is `width` angstrom wide."""
    power = 10 ** math.floor(math.log10(width / 4))
    length = max(step for step in (1, 2, 5) if step * power <= width / 4) * power
    share = 100 * length / width
    return (
        f"<rect class='bar' x='5' y='92.5' width='{share:.2f}' height='2.5'/>"
        f"<text class='bar' x='5' y='90'>{length:g} Å</text>"
    )
