"""The surface of a map as triangles, small enough for a page."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass

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
    """

    vertices: np.ndarray
    faces: np.ndarray

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

        volume, _ = standing_out(density)
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
                middle = (np.array(closed.shape) - 1) / 2
                return Mesh(((places - middle) * step)[:, ::-1].astype(np.float32), faces.astype(np.int64))
        return None

    @property
    def radius(self) -> float:
        """Of the ball about the middle that holds it, voxels."""
        return float(np.linalg.norm(self.vertices, axis=1).max())

    def encoded(self) -> str:
        """Base64 of a zlib stream of little-endian unsigned integers: coordinates in 16 bits from minus to plus the
        radius, differences from row to row (modulo 2^16) column by column; then faces alike in 32 bits."""
        scale = (_LEVELS - 1) / 2 / max(self.radius, 1e-6)
        places = np.round((self.vertices * scale) + (_LEVELS - 1) / 2).astype(np.int64)
        parts = [_differences(places, "<u2"), _differences(self.faces, "<u4")]
        return base64.b64encode(zlib.compress(b"".join(parts), 9)).decode("ascii")


def _differences(table: np.ndarray, kind: str) -> bytes:
    """Neighbours are alike: their differences are small and take a fraction of the room."""
    return np.ascontiguousarray(np.diff(table, axis=0, prepend=0).T).astype(kind).tobytes()
