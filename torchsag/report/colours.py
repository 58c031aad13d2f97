"""Shades and colours of pictures, and their PNG files."""

from __future__ import annotations

import base64
import io

import numpy as np

# viridis at ten places, which straight lines between them follow to within what an eye can tell apart.
_VIRIDIS = np.array([
    (68, 1, 84), (72, 40, 120), (62, 74, 137), (49, 104, 142), (38, 130, 142), (31, 158, 137), (53, 183, 121),
    (109, 205, 89), (180, 222, 44), (253, 231, 37),
])  # fmt: skip


def viridis(values: np.ndarray) -> np.ndarray:
    """Red, green, blue and opacity ``[..., 4]``, 0 to 255, of values from 0 to 1; what is not finite is clear."""
    seen = np.isfinite(values)
    place = np.linspace(0, 1, len(_VIRIDIS))
    at = np.clip(np.where(seen, values, 0), 0, 1)
    channels = [np.interp(at, place, _VIRIDIS[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(seen, 255, 0)], -1).round().astype(np.uint8)


def greys(image: np.ndarray, low: float, high: float) -> np.ndarray:
    """Black at `low` and white at `high`, ``[..., 4]``; what is not finite is clear."""
    seen = np.isfinite(image)
    level = np.clip((np.where(seen, image, low) - low) / max(high - low, 1e-30), 0, 1) * 255
    return np.stack([level, level, level, np.where(seen, 255, 0)], -1).round().astype(np.uint8)


def embedded(pixels: np.ndarray) -> str:
    """An address that holds the picture ``[rows, columns, 4]`` itself; its first row lies at the bottom."""
    from PIL import Image

    upright = np.ascontiguousarray(pixels[::-1])
    opaque = bool((upright[..., 3] == 255).all())
    grey = opaque and bool((upright[..., 0] == upright[..., 1]).all() and (upright[..., 0] == upright[..., 2]).all())
    image = Image.fromarray(np.ascontiguousarray(upright[..., 0]) if grey else upright[..., : 3 if opaque else 4])
    buffer = io.BytesIO()
    image.save(buffer, "png", optimize=False)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
