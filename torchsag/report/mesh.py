"""The surface of a map as triangles, small enough for a page."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, replace

import numpy as np

from torchsag.report.surface import CONTOUR_DEVIATIONS, resampled, standing_out

_FINEST, _COARSEST = 96, 24
_LEVELS = 65535


@dataclass(frozen=True)
class Mesh:
    """Triangles about the middle of what is shown.

    Attributes
    ----------
    vertices
        ``[vertices, 3]``, x, y and z in voxels of the map.
    faces
        ``[faces, 3]``, numbers of vertices.
    middle
        Voxel, x, y and z, from which vertices are counted.
    levels
        Colour of each vertex, 0 to 255 along a scale; None for one colour.
    """

    vertices: np.ndarray
    faces: np.ndarray
    middle: np.ndarray
    levels: np.ndarray | None = None

    @staticmethod
    def of(density: np.ndarray, most: int = 40_000) -> Mesh | None:
        """The contour that pictures show too, of ``density[z, y, x]``; None where nothing stands out.

        Parameters
        ----------
        density
            The map.
        most
            Vertices; the map is sampled more coarsely until they suffice.
        """
        from skimage.measure import marching_cubes

        volume, _, first = standing_out(density)
        if not (volume > CONTOUR_DEVIATIONS).any():
            return None
        finest = min(_FINEST, max(4 * max(volume.shape), _COARSEST))
        for pixels in np.unique(np.geomspace(_COARSEST, finest, 8).round().astype(int))[::-1]:
            sampled = resampled(volume, int(pixels))
            step = np.array(volume.shape) / sampled.shape
            # What reaches the edge of the map is closed there.
            closed = np.pad(sampled, 1, constant_values=min(0.0, float(sampled.min())))
            places, faces, _, _ = marching_cubes(closed, CONTOUR_DEVIATIONS, allow_degenerate=False)
            if len(places) <= most:
                vertices = (places - (np.array(closed.shape) - 1) / 2) * step
                middle = first + (np.array(volume.shape) - 1) / 2
                return Mesh(vertices[:, ::-1].astype(np.float32), faces.astype(np.int64), middle[::-1])
        return None

    def coloured(self, values: np.ndarray, first: float, last: float) -> Mesh:
        """Each vertex by what ``values[z, y, x]`` of the same map are there, from the `first` colour to the `last`."""
        from scipy.ndimage import map_coordinates

        places = (self.vertices + self.middle)[:, ::-1].T
        found = map_coordinates(np.asarray(values, dtype=np.float32), places, order=1, mode="nearest")
        share = (found - first) / (last - first if last != first else 1.0)
        return replace(self, levels=(255 * np.clip(share, 0, 1)).round().astype(np.uint8))

    @property
    def radius(self) -> float:
        """Of the ball about the middle that holds it, voxels."""
        return float(np.linalg.norm(self.vertices, axis=1).max())

    def encoded(self) -> str:
        """Base64 of a zlib stream of little-endian unsigned integers: coordinates in 16 bits from minus to plus the
        radius, differences from row to row (modulo 2^16) column by column; then faces alike in 32 bits; then a byte
        for the colour of each vertex, if they have any. (Level 9 takes ten times as long and 3 % less room.)"""
        scale = (_LEVELS - 1) / 2 / max(self.radius, 1e-6)
        places = np.round((self.vertices * scale) + (_LEVELS - 1) / 2).astype(np.int64)
        parts = [_differences(places, "<u2"), _differences(self.faces, "<u4")]
        parts += [] if self.levels is None else [self.levels.tobytes()]
        return base64.b64encode(zlib.compress(b"".join(parts), 6)).decode("ascii")


def _differences(table: np.ndarray, kind: str) -> bytes:
    """Neighbours are alike: their differences are small and take a fraction of the room."""
    return np.ascontiguousarray(np.diff(table, axis=0, prepend=0).T).astype(kind).tobytes()
