"""Real-space masks with soft edges."""

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier.filters import raised_cosine
from torchsag.keeping import kept


@kept(2)
def centred_radius(
    box: tuple[int, int, int], device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "z y x"]:
    """Distance (voxels) of every voxel from the box centre ``n // 2``."""
    axes = [torch.arange(n, device=device, dtype=dtype) - n // 2 for n in box]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return (z.square() + y.square() + x.square()).sqrt()


@kept(2)
def spherical_mask(
    box: tuple[int, int, int],
    radius: float | None = None,
    edge: float = 4.0,
    device: torch.device | str | None = None,
) -> Float[Tensor, "z y x"]:
    """Soft sphere: one inside, a raised cosine `edge` voxels wide centred on `radius` (voxels), zero outside.

    Without `radius`, the largest sphere whose edge ends inside the box.
    """
    if radius is None:
        radius = min(box) // 2 - 1 - edge / 2
    return raised_cosine(centred_radius(box, device), radius, edge)


def cylindrical_mask(
    box: tuple[int, int, int],
    radius: float | None = None,
    half_height: float | None = None,
    edge: float = 4.0,
    device: torch.device | str | None = None,
) -> Float[Tensor, "z y x"]:
    """Soft cylinder about z: the product of raised cosines, `edge` voxels wide, of the distances from axis and middle.

    Without `radius` or `half_height` (voxels), the largest whose edge ends inside the box.
    """
    radius = min(box[1:]) // 2 - 1 - edge / 2 if radius is None else radius
    half_height = box[0] // 2 - 1 - edge / 2 if half_height is None else half_height
    z, y, x = (torch.arange(n, device=device, dtype=torch.float32) - n // 2 for n in box)
    across = raised_cosine((y[:, None].square() + x.square()).sqrt(), radius, edge)
    return raised_cosine(z.abs(), half_height, edge)[:, None, None] * across
