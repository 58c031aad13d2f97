"""Pictures of a map's surface, by casting a ray through every pixel: no mesh is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn.functional import interpolate

# Voxels around what lies within the contour.
_MARGIN = 2
# Contour, in standard deviations above the mean: the usual start of a map viewer.
CONTOUR_DEVIATIONS = 2.0
# Towards the light (away from the viewer, up, right): behind the viewer's left shoulder. Unit length.
_LIGHT = np.array([-0.72, 0.48, -0.5]) / np.linalg.norm([-0.72, 0.48, -0.5])
_AMBIENT = 0.25


@dataclass(frozen=True)
class Surface:
    """A contour of a map, from three sides.

    Attributes
    ----------
    views
        Brightness ``[3, rows, columns]`` of the surface seen along z, y and x, as central slices are oriented; NaN
        where there is none.
    width
        Voxels of the map along a picture.
    dark
        Whether density is dark: the contour is then as far below the mean.
    """

    views: np.ndarray
    width: int
    dark: bool

    @staticmethod
    def of(density: np.ndarray, pixels: int = 128) -> Surface:
        """The surface of ``density[z, y, x]`` at two standard deviations from its mean, on the side that stands out.

        What is shown is resampled to `pixels` along its longest axis.
        """
        volume, dark, _ = standing_out(density)
        width = max(volume.shape)
        volume = resampled(volume, pixels)
        smooth = volume
        for axis, length in enumerate(volume.shape):
            smooth = _along(_blur(length), smooth, axis)
        views = [_shaded(_ahead(volume, axis), _ahead(smooth, axis)) for axis in range(3)]
        return Surface(_padded(views), width, dark)


def standing_out(density: np.ndarray) -> tuple[np.ndarray, bool, np.ndarray]:
    """The part of a map that holds all within the contour, in standard deviations from the mean, bright; whether it was
    dark; and its first voxel."""
    volume = np.asarray(density, dtype=np.float64)  # whatever its units: squares of 1e-25 are no float32
    volume = volume - volume.mean()
    volume = (volume / (float(volume.std()) or 1.0)).astype(np.float32)
    dark = bool((volume**3).mean() < 0)
    bright = -volume if dark else volume
    part = _part(bright)
    return bright[part], dark, np.array([each.start for each in part])


def resampled(volume: np.ndarray, pixels: int) -> np.ndarray:
    """With so many samples along the longest axis."""
    width = max(volume.shape)
    for axis, length in enumerate(volume.shape):
        volume = _along(_cubic(length, max(1, round(length * pixels / width))), volume, axis)
    return volume


def _part(volume: np.ndarray) -> tuple[slice, ...]:
    """The smallest part that holds everything within the contour, and a margin."""
    inside = np.argwhere(volume > CONTOUR_DEVIATIONS)
    if not len(inside):
        return tuple(slice(0, length) for length in volume.shape)
    low, high = inside.min(0) - _MARGIN, inside.max(0) + _MARGIN + 1
    return tuple(slice(int(max(0, start)), int(stop)) for start, stop in zip(low, high, strict=True))


def _ahead(volume: np.ndarray, axis: int) -> np.ndarray:
    """With `axis` first, running away from the viewer.

    Pictures have x or y to the right and y or z upwards; the viewer of a picture that is not mirrored then stands at
    large z, small y or large x.
    """
    ahead = np.moveaxis(volume, axis, 0)
    return ahead if axis == 1 else ahead[::-1]


def _along(matrix: np.ndarray, volume: np.ndarray, axis: int) -> np.ndarray:
    return np.moveaxis(np.tensordot(matrix, volume, (1, axis)), 0, axis)


def _cubic(length: int, pixels: int) -> np.ndarray:
    """What takes `length` samples to `pixels` by cubic convolution: torch's own, of each unit vector."""
    taken = interpolate(torch.eye(length)[None, None], size=(pixels, length), mode="bicubic", align_corners=False)
    return taken[0, 0].numpy()


def _blur(length: int) -> np.ndarray:
    """A Gaussian of one pixel."""
    place = np.arange(length)
    weight = np.exp(-0.5 * (place[:, None] - place) ** 2)
    return (weight / weight.sum(1, keepdims=True)).astype(np.float32)


def _shaded(volume: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Brightness where a ray along the first axis meets the contour, NaN where none does."""
    inside = volume > CONTOUR_DEVIATIONS
    image = np.full(volume.shape[1:], np.nan)
    rows, columns = np.nonzero(inside.any(axis=0))
    if not rows.size:
        return image
    depth = inside.argmax(axis=0)[rows, columns]
    before = np.maximum(depth - 1, 0)
    outer, inner = volume[before, rows, columns], volume[depth, rows, columns]
    part = np.clip((inner - CONTOUR_DEVIATIONS) / np.maximum(inner - outer, 1e-6), 0, 1)
    normal = -(part * _slopes(smooth, before, rows, columns) + (1 - part) * _slopes(smooth, depth, rows, columns))
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    lit = np.clip((normal * _LIGHT[:, None]).sum(0), 0, 1)
    far = (depth - part) / max(1, len(volume) - 1)
    image[rows, columns] = (_AMBIENT + (1 - _AMBIENT) * lit) * (1 - 0.35 * far)
    return image


def _slopes(volume: np.ndarray, *place: np.ndarray) -> np.ndarray:
    """Differences across each voxel of `place` along each axis, ``[3, places]``."""
    slopes = []
    for axis, length in enumerate(volume.shape):
        after, before = list(place), list(place)
        after[axis], before[axis] = np.minimum(place[axis] + 1, length - 1), np.maximum(place[axis] - 1, 0)
        slopes.append(volume[tuple(after)] - volume[tuple(before)])
    return np.stack(slopes)


def _padded(images: list[np.ndarray]) -> np.ndarray:
    longest = max(max(image.shape) for image in images)
    canvas = np.full((len(images), longest, longest), np.nan)
    for target, image in zip(canvas, images, strict=True):
        top, left = ((longest - length) // 2 for length in image.shape)
        target[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
