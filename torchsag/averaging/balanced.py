"""One map of all particles in which badly measured directions do not drown the well measured ones.

Dividing by the sum of squared weights gives every coefficient its own noise: the directions that few images, or only
late and damaged ones, measured are the noisiest of their shell. A Wiener filter damps them, by the shell's signal to
noise ratio, which two halves of the particles tell. Only the balance within a shell is taken from it: each shell keeps
its mean gain, so the map is as sharp as before.
"""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.reconstruct import MapSums
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap

# Below it the division is that by a constant, and single precision would lose what is restored afterwards.
_LEAST = 1e-2
_MOST = 1e5


def balanced_average(halves: MapSums, symmetry: Symmetry) -> DensityMap:
    """The map of all particles from the sums over two halves of them.

    The halves only tell how strong the signal is, so poses may have a common reference. Where one of them is empty
    the sums are divided as they are.

    Parameters
    ----------
    halves
        Two groups.
    symmetry
        Imposed on the sums.

    Raises
    ------
    InputError
        If both halves are empty.
    """
    sums = halves.symmetrised(symmetry)
    if not bool((halves.counts > 0).all()):
        return sums.pooled().finish()[0]
    ratio = _signal_to_noise(sums)
    whole = sums.pooled()
    shells = whole.sphere.index.norm(dim=-1).round().long()
    raised = replace(whole, numerator=whole.numerator * (1 + 1 / ratio[shells]))
    return raised.finish(signal_to_noise=ratio[None])[0]


def _signal_to_noise(sums: MapSums) -> Float[Tensor, " shells"]:
    """Of the map of both halves, by shell."""
    sphere = spherical_mask(sums.box, device=sums.numerator.device)
    first, second = (to_half_spectrum((half.density * sphere).double()) for half in sums.finish())
    agreement = fourier_shell_correlation(first, second, sums.box).clamp(0, 0.999999)
    return (2 * agreement / (1 - agreement)).clamp(_LEAST, _MOST)
