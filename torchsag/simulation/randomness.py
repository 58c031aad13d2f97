"""Random numbers that depend on (seed, particle, purpose) alone.

Each particle owns counter-based streams, so that particle i is the same in any batch, on any device and on any rank,
and so that poses do not change when the box or the noise does.
"""

from collections.abc import Sequence
from enum import IntEnum

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor


class Purpose(IntEnum):
    """What a stream is for; one number each, never reused."""

    ROTATION = 0
    SHIFT = 1
    NOISE = 2
    CLASS = 3
    DEFOCUS = 4
    GEOMETRY = 5


def particle_stream(seed: int, particle: int, purpose: Purpose) -> np.random.Generator:
    """The generator of one particle for one purpose."""
    return np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, particle, int(purpose)])))


def white_noise(
    seed: int, particles: Sequence[int], shape: tuple[int, ...], purpose: Purpose = Purpose.NOISE
) -> Float[Tensor, "..."]:
    """Standard normal noise ``[particles, *shape]``, float32, on the CPU."""
    fields = [particle_stream(seed, i, purpose).standard_normal(shape, dtype=np.float32) for i in particles]
    return torch.from_numpy(np.stack(fields))
