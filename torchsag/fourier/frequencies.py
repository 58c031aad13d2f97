"""Where each coefficient of a half-spectrum lies."""

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.keeping import kept


def half_frequencies(
    box: tuple[int, int, int], device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
) -> Float[Tensor, "z y kx 3"]:
    """Frequencies ``(x, y, z)`` of a half-spectrum in cycles per voxel, in [-1/2, 1/2]."""
    z, y, x = box
    kz = torch.fft.fftfreq(z, device=device, dtype=dtype)
    ky = torch.fft.fftfreq(y, device=device, dtype=dtype)
    kx = torch.fft.rfftfreq(x, device=device, dtype=dtype)
    grid = torch.meshgrid(kz, ky, kx, indexing="ij")
    return torch.stack(grid[::-1], -1)


def frequency_axes(
    box: tuple[int, int, int], like: Tensor
) -> tuple[Float[Tensor, "z 3"], Float[Tensor, "y 3"], Float[Tensor, "kx 3"]]:
    """The frequencies on the three axes of a half-spectrum, z, y and x, whose sums are `half_frequencies`."""
    z, y, x = box
    axes = [torch.fft.fftfreq(z), torch.fft.fftfreq(y), torch.fft.rfftfreq(x)]
    along_z, along_y, along_x = (axis.to(like)[:, None] * torch.eye(3).to(like)[2 - k] for k, axis in enumerate(axes))
    return along_z, along_y, along_x


@kept(8)
def half_shells(box: tuple[int, int, int], device: torch.device | str | None = None) -> Integer[Tensor, "z y kx"]:
    """The integer Fourier shell of each half-spectrum coefficient.

    Shell k of a cubic box of n voxels lies at ``k / n`` cycles per voxel, resolution ``n * voxel_size / k``. For a box
    that is not cubic the longest axis sets n.
    """
    radius = half_frequencies(box, device=device, dtype=torch.float64).norm(dim=-1)
    return (radius * max(box)).round().long()


def hermitian_multiplicity(
    box: tuple[int, int, int], device: torch.device | str | None = None
) -> Float[Tensor, "z y kx"]:
    """How often each half-spectrum coefficient stands in the full spectrum: 2, or 1 in the planes kx = 0 and n/2."""
    z, y, x = box
    count = torch.full((z, y, x // 2 + 1), 2.0, device=device)
    count[..., 0] = 1.0
    if x % 2 == 0:
        count[..., -1] = 1.0
    return count
