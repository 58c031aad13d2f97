"""A soft mask around the density of a map."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.fourier import low_pass
from torchsag.fourier.filters import raised_cosine
from torchsag.imaging.masks import spherical_mask

_BINS = 256


def mask_from_map(
    density: Float[Tensor, "z y x"],
    voxel_size: float,
    low_pass_angstrom: float,
    threshold: float | None = None,
    grow: float = 3.0,
    edge: float = 5.0,
) -> Float[Tensor, "z y x"]:
    """Mask the largest connected region above a threshold, grown and with a soft edge.

    Parameters
    ----------
    density
        A map, particle bright.
    voxel_size
        Angstrom per voxel.
    low_pass_angstrom
        Resolution at which the outline is drawn; detail and noise beyond it play no part.
    threshold
        Density that counts as particle, in the low-passed map; by default what best separates two classes of voxels
        (Otsu 1979, IEEE Trans. Syst. Man Cybern. 9:62).
    grow
        Voxels added all around.
    edge
        Width of the raised cosine outside that, voxels.

    Raises
    ------
    InputError
        If nothing lies above the threshold.
    """
    from scipy import ndimage  # brings much of scipy along: for those who need it

    box = (density.shape[0], density.shape[1], density.shape[2])
    smooth = low_pass(density.float(), low_pass_angstrom, voxel_size)
    inside = spherical_mask(box, edge=0.0, device=density.device) > 0
    level = otsu_threshold(smooth[inside]) if threshold is None else threshold
    solid = ((smooth > level) & inside).cpu().numpy()
    if not solid.any():
        highest = float(smooth[inside].max())
        raise InputError(
            f"mask: expected density above the threshold {level:g}, got at most {highest:g} after the low-pass to "
            f"{low_pass_angstrom:g} angstrom; lower the threshold"
        )
    body = np.asarray(ndimage.binary_fill_holes(_largest(solid)), dtype=bool)
    distance = np.asarray(ndimage.distance_transform_edt(np.logical_not(body)))
    radius = torch.from_numpy(distance).to(density)
    return raised_cosine(radius, grow + edge / 2, edge)


def otsu_threshold(values: Float[Tensor, " voxels"]) -> float:
    """The value that splits a sample into two classes of least variance within."""
    counts, edges = np.histogram(values.cpu().numpy(), bins=_BINS)
    centres = (edges[:-1] + edges[1:]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    total = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        difference = total / below - (total[-1] - total) / above
    between = np.where((below > 0) & (above > 0), below * above * difference**2, 0.0)
    return float(edges[1:][between.argmax()])


def _largest(solid: np.ndarray) -> np.ndarray:
    """The connected region with the most voxels."""
    from scipy import ndimage

    labels, _ = ndimage.label(solid)  # type: ignore[misc]
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    return labels == sizes.argmax()
