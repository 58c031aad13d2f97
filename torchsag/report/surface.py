"""Pictures of a map's surface, by casting a ray through every pixel: no mesh is made."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

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
        volume = np.asarray(density, dtype=np.float32)
        volume = volume - volume.mean()
        volume /= max(float(volume.std()), 1e-30)
        dark = bool((volume**3).mean() < 0)
        volume = _trimmed(-volume if dark else volume)
        width = max(volume.shape)
        volume = np.asarray(ndimage.zoom(volume, pixels / width, order=3, mode="nearest", grid_mode=True))
        smooth = np.asarray(ndimage.gaussian_filter(volume, 1.0))
        views = [_shaded(_ahead(volume, axis), _ahead(smooth, axis)) for axis in range(3)]
        return Surface(_padded(views), width, dark)


def _trimmed(volume: np.ndarray) -> np.ndarray:
    """The smallest part that holds everything within the contour, and a margin."""
    inside = np.argwhere(volume > CONTOUR_DEVIATIONS)
    if not len(inside):
        return volume
    low, high = inside.min(0) - _MARGIN, inside.max(0) + _MARGIN + 1
    return volume[tuple(slice(max(0, start), stop) for start, stop in zip(low, high, strict=True))]


def _ahead(volume: np.ndarray, axis: int) -> np.ndarray:
    """With `axis` first, running away from the viewer.

    Pictures have x or y to the right and y or z upwards; the viewer of a picture that is not mirrored then stands at
    large z, small y or large x.
    """
    ahead = np.moveaxis(volume, axis, 0)
    return ahead if axis == 1 else ahead[::-1]


def _shaded(volume: np.ndarray, smooth: np.ndarray) -> np.ndarray:
    """Brightness where a ray along the first axis meets the contour, NaN where none does."""
    inside = volume > CONTOUR_DEVIATIONS
    depth = inside.argmax(axis=0)
    rows, columns = np.nonzero(inside.any(axis=0))
    place = np.stack([depth[rows, columns], rows, columns]).astype(float)
    step = np.maximum(place - np.array([[1.0], [0], [0]]), 0)
    before, at = (ndimage.map_coordinates(volume, where, order=1, mode="nearest") for where in (step, place))
    place[0] -= np.clip((at - CONTOUR_DEVIATIONS) / np.maximum(at - before, 1e-6), 0, 1)
    slopes = [
        ndimage.map_coordinates(smooth, place + shift, order=1, mode="nearest")
        - ndimage.map_coordinates(smooth, place - shift, order=1, mode="nearest")
        for shift in np.eye(3)[:, :, None]
    ]
    normal = -np.stack(slopes)
    normal /= np.maximum(np.linalg.norm(normal, axis=0), 1e-12)
    lit = np.clip((normal * _LIGHT[:, None]).sum(0), 0, 1)
    far = place[0] / max(1, len(volume) - 1)
    image = np.full(volume.shape[1:], np.nan)
    image[rows, columns] = (_AMBIENT + (1 - _AMBIENT) * lit) * (1 - 0.35 * far)
    return image


def _padded(images: list[np.ndarray]) -> np.ndarray:
    longest = max(max(image.shape) for image in images)
    canvas = np.full((len(images), longest, longest), np.nan)
    for target, image in zip(canvas, images, strict=True):
        top, left = ((longest - length) // 2 for length in image.shape)
        target[top : top + image.shape[0], left : left + image.shape[1]] = image
    return canvas
