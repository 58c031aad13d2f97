"""Make a map fit to be a model: no background, nothing near the box faces, its size known."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.imaging.masks import centred_radius, spherical_mask


def isolated(density: Float[Tensor, "z y x"], edge: float = 4.0) -> Float[Tensor, "z y x"]:
    """Subtract the mean outside the inscribed sphere's inner 80 % and fade to zero at its rim (`edge` voxels)."""
    box = (density.shape[0], density.shape[1], density.shape[2])
    radius = centred_radius(box, density.device)
    rim = (radius > 0.4 * min(box)) & (radius < 0.5 * min(box))
    return (density - density[rim].mean()) * spherical_mask(box, edge=edge, device=density.device)


def faces(density: Float[Tensor, "z y x"]) -> Float[Tensor, " voxels"]:
    """The values on the six faces of the box."""
    return torch.cat([density.select(axis, end).flatten() for axis in range(3) for end in (0, -1)])


def background(density: Float[Tensor, "z y x"]) -> Float[Tensor, ""]:
    """The median over the faces of the box."""
    return faces(density).median()


def as_model(density: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
    """The map `isolated` and of a size near one, for whatever does not depend on its scale.

    Sums of squares of squares would leave float32 for maps far larger or smaller than the noise of the particles. The
    factor is a power of two, which changes no digit.
    """
    model = isolated(density)
    size = float(model.double().square().mean().sqrt())
    return model if size == 0 or not math.isfinite(size) else model * 2.0 ** -round(math.log2(size))


def radius_of_gyration(density: Float[Tensor, "z y x"]) -> float:
    """Root mean squared distance (voxels) of squared density from the box centre.

    Squared, so that noise around the particle or negative lobes count little.
    """
    box = (density.shape[0], density.shape[1], density.shape[2])
    mass = density.square()
    return float((mass * centred_radius(box, density.device).square()).sum().div(mass.sum()).sqrt())
