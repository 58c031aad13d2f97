"""Shades and colours of pictures, and their PNG files."""

from __future__ import annotations

import base64
import io

import numpy as np

# viridis at 21 places, which straight lines between them follow to within what an eye can tell apart.
_VIRIDIS = np.array([
    (68, 1, 84), (71, 19, 101), (72, 36, 117), (70, 52, 128), (65, 68, 135), (59, 82, 139), (53, 95, 141), (47, 108,
    142), (42, 120, 142), (37, 132, 142), (33, 145, 140), (30, 156, 137), (34, 168, 132), (47, 180, 124), (68, 191,
    112), (94, 201, 98), (122, 209, 81), (155, 217, 60), (189, 223, 38), (223, 227, 24), (253, 231, 37),
])  # fmt: skip

# A surface in shadow, in the light, and where it shines.
_LIT = ((18, 34, 46), (140, 180, 202), (214, 234, 244))


def viridis(values: np.ndarray) -> np.ndarray:
    """Red, green, blue and opacity ``[..., 4]``, 0 to 255, of values from 0 to 1; what is not finite is clear."""
    seen = np.isfinite(values)
    place = np.linspace(0, 1, len(_VIRIDIS))
    at = np.clip(np.where(seen, values, 0), 0, 1)
    channels = [np.interp(at, place, _VIRIDIS[:, channel]) for channel in range(3)]
    return np.stack([*channels, np.where(seen, 255, 0)], -1).round().astype(np.uint8)


def greys(image: np.ndarray, low: float | int, high: float | int) -> np.ndarray:
    """Black at `low` and white at `high`, ``[..., 4]``; what is not finite is clear."""
    seen = np.isfinite(image)
    level = np.clip((np.where(seen, image, low) - low) / max(high - low, 1e-30), 0, 1) * 255
    return np.stack([level, level, level, np.where(seen, 255, 0)], -1).round().astype(np.uint8)


def lit(brightness: np.ndarray) -> np.ndarray:
    """A surface of 0 to 1 in the colour of those that can be turned, ``[..., 4]``; what is not finite is clear."""
    seen = np.isfinite(brightness)
    level = np.clip(np.where(seen, brightness, 0), 0, 1)
    channels = [np.interp(level, (0, 0.75, 1), stops) for stops in zip(*_LIT, strict=True)]
    return np.stack([*channels, np.where(seen, 255, 0)], -1).round().astype(np.uint8)


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
