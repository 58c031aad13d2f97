"""The Kaiser-Bessel window: interpolates a transform between its samples with four of them along each axis.

Interpolating a transform with a window multiplies the volume by the window's own transform, the *gain*, and adds
copies of the volume one box away, weaker by the gain there. Dividing the volume by the gain beforehand makes the
interpolation exact but for the copies. The shape below was found by minimising the largest copy over volumes that
fill the central 70 % of the box: 0.4 % in amplitude, against 7 % for trilinear interpolation after doubling the box.
"""

import math

import torch
from jaxtyping import Float
from torch import Tensor

WIDTH = 4
SHAPE = 7.7


def kaiser_bessel(distance: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Window at `distance` samples from its centre, of unit integral; zero beyond ``WIDTH / 2``."""
    # Kept off zero: the square root's slope is infinite there.
    inside = (1 - (2 * distance / WIDTH).square()).clamp_min(1e-8)
    scale = SHAPE / (WIDTH * math.sinh(SHAPE))
    return scale * torch.special.i0(SHAPE * inside.sqrt()) * (distance.abs() <= WIDTH / 2)


def kaiser_bessel_gain(position: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape"]:
    """Transform of the window at `position`, a real-space coordinate as a fraction of the box."""
    square = SHAPE**2 - (math.pi * WIDTH * position).square()
    argument = square.abs().clamp_min(1e-24).sqrt()
    return SHAPE / math.sinh(SHAPE) * torch.where(square > 0, torch.sinh(argument), torch.sin(argument)) / argument


def compensate(volume: Float[Tensor, "*batch z y x"]) -> Float[Tensor, "*batch z y x"]:
    """Prepare a volume so that its transform may be interpolated with the window.

    Along each axis a voxel with gain g, whose nearest copy has gain c, is multiplied by ``g / (g^2 + c^2)``: the
    inverse of the gain in the centre, and towards the faces of the box, where the copy is as strong as the voxel, the
    factor that makes the squared error of both least.
    """
    result = volume
    for axis in (-3, -2, -1):
        n = volume.shape[axis]
        position = ((torch.arange(n, dtype=torch.float64) - n // 2) / n).abs()
        gain, copy = kaiser_bessel_gain(position), kaiser_bessel_gain(1 - position)
        factor = (gain / (gain.square() + copy.square())).to(volume)
        result = result * factor.reshape([n if a == axis else 1 for a in (-3, -2, -1)])
    return result
