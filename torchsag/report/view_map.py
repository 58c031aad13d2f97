"""A density of views drawn on an equal-area map of the sphere."""

from __future__ import annotations

import html

import numpy as np

from torchsag.report.colours import embedded, viridis
from torchsag.report.pictures import colour_scale
from torchsag.report.sphere import ViewDensity

_ROWS, _COLUMNS = 200, 400
_STRIPE = 9  # pixels from one line of a hatch to the next
_ALARM, _BARE = (204, 51, 17, 255), (200, 200, 200, 255)
_LINES_DEG = (-60, -30, 0, 30, 60)


def view_map(views: ViewDensity, alt: str) -> str:
    """Mollweide's map, directions that lack views hatched, and a scale."""
    highest = float(views.density.max())
    lines = "".join(_parallel(latitude) for latitude in _LINES_DEG) + "".join(
        _meridian(turn) for turn in (-0.5, 0, 0.5)
    )
    return (
        f"<div class='globe' role='img' aria-label='{html.escape(alt)}'>"
        "<svg viewBox='-26 -4 428 208' aria-hidden='true'>"
        f"<image width='400' height='200' href='{embedded(_drawn(views, highest))}'/><g class='grid'>{lines}</g></svg>"
        f"</div>{colour_scale(0.0, highest, 'views, by the mean over all directions')}"
    )


def _drawn(views: ViewDensity, highest: float) -> np.ndarray:
    up = np.linspace(-1, 1, _ROWS)[:, None]
    around = np.linspace(-1, 1, _COLUMNS)[None]
    # Mollweide: sin(latitude) from the height, longitude by the width of the ellipse there (Snyder 1987, p. 251)
    turned = np.arcsin(up)
    sine = (2 * turned + np.sin(2 * turned)) / np.pi
    longitude = np.pi * around / np.maximum(np.cos(turned), 1e-9)
    inside = np.abs(longitude) <= np.pi
    row, column = ViewDensity.cell(np.broadcast_to(sine, inside.shape), np.clip(longitude, -np.pi, np.pi))
    pixels = viridis(views.density[row, column] / max(highest, 1e-30))
    down, right = np.indices(inside.shape)
    lacking = views.lacking[row, column]
    pixels[lacking] = _BARE
    pixels[lacking & ((down + right) % _STRIPE < 2)] = _ALARM
    pixels[~inside] = 0
    return pixels


def _parallel(latitude_deg: int) -> str:
    """A straight line at the height that Newton finds for a latitude, and its label."""
    turned = place = float(np.radians(latitude_deg))
    for _ in range(20):
        turned -= (2 * turned + np.sin(2 * turned) - np.pi * np.sin(place)) / max(2 + 2 * np.cos(2 * turned), 1e-9)
    height, half = 100 - 100 * np.sin(turned), 200 * np.cos(turned)
    label = f"<text x='{200 - half - 4:.1f}' y='{height + 3:.1f}' text-anchor='end'>{latitude_deg}°</text>"
    return f"<path d='M{200 - half:.1f} {height:.1f}H{200 + half:.1f}'/>{label}"


def _meridian(part: float | int) -> str:
    """Half an ellipse, at a part of the way from the middle to the edge."""
    bulge = 1 if part > 0 else 0
    return f"<path d='M200 0A{abs(200 * part):.1f} 100 0 0 {bulge} 200 200'/>" if part else "<path d='M200 0V200'/>"
