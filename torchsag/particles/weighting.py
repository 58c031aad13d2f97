"""What a stored weight volume means, and how it brings a particle to the library's one form.

Inside the library a particle is ``Y = W * signal + white noise`` in Fourier space (see `ParticleBatch`). Files hold it
in three other forms. In each, a real factor per Fourier coefficient turns the stored volume V into Y and the stored
weight into W; a binary missing wedge means the same in all three.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch

from torchsag.axes import HalfWeights
from torchsag.errors import InputError


@dataclass(frozen=True)
class WeightAction:
    """How one stored weight acts.

    Attributes
    ----------
    factor
        Multiply the stored particle's transform by this to get Y.
    weight
        W of the result.
    """

    factor: HalfWeights
    weight: HalfWeights


@runtime_checkable
class Weighting(Protocol):
    """The meaning of a stored weight: a frozen dataclass and one yaml under ``conf/weighting``."""

    def __call__(self, stored: HalfWeights) -> WeightAction:
        """Interpret a stored weight, half-spectrum layout.

        Raises
        ------
        InputError
            If the weight cannot have this meaning.
        """
        ...


def _check_floor(floor: float) -> None:
    if not 0 <= floor < 1:
        raise InputError(f"weighting: expected 0 <= floor < 1, got floor={floor}")


def _amplitude(power: HalfWeights, floor: float) -> HalfWeights:
    """Square root of a weight that must not be negative, zero below the floor."""
    lowest, highest = float(power.min()), float(power.max())
    # Interpolated weights may undershoot zero a little; a signed transfer function goes far below it.
    if lowest < -1e-2 * highest or not highest > 0:
        raise InputError(
            f"expected a weight that is nowhere negative and somewhere positive, got values from {lowest:g} to "
            f"{highest:g}; a signed transfer function needs weighting=transfer"
        )
    amplitude = power.clamp_min(0).sqrt()
    return torch.where(amplitude > floor * amplitude.max(), amplitude, torch.zeros_like(amplitude))


@dataclass(frozen=True)
class Corrected:
    """The volume is CTF-corrected or normalised; the weight w is the inverse noise variance of each coefficient.

    ``Y = sqrt(w) V`` and ``W = sqrt(w)``.

    Attributes
    ----------
    floor
        Coefficients whose W lies below this fraction of the largest count as not measured.
    """

    floor: float = 1e-3

    def __post_init__(self):
        _check_floor(self.floor)

    def __call__(self, stored: HalfWeights) -> WeightAction:
        """Interpret a stored inverse noise variance."""
        amplitude = _amplitude(stored, self.floor)
        return WeightAction(amplitude, amplitude)


@dataclass(frozen=True)
class Transfer:
    """The volume still carries the transfer function H (a wedge, or a signed CTF) over white noise.

    ``Y = sign(H) V``, that is phases flipped, and ``W = |H|``.

    Attributes
    ----------
    floor
        Coefficients whose W lies below this fraction of the largest count as not measured.
    """

    floor: float = 1e-3

    def __post_init__(self):
        _check_floor(self.floor)

    def __call__(self, stored: HalfWeights) -> WeightAction:
        """Interpret a stored transfer function."""
        weight = stored.abs()
        if not weight.max() > 0:
            raise InputError("expected a transfer function that is somewhere different from zero, got zeros only")
        measured = weight > self.floor * weight.max()
        return WeightAction(stored.sign() * measured, weight * measured)


@dataclass(frozen=True)
class Premultiplied:
    """The volume was multiplied by the CTF of each image; the weight w is the sum of CTF^2 (RELION 4 and later).

    Signal and noise power are both proportional to w: ``Y = V / sqrt(w)`` and ``W = sqrt(w)``.

    Attributes
    ----------
    floor
        Coefficients whose W lies below this fraction of the largest count as not measured: there the division
        would only blow up rounding errors.
    """

    floor: float = 1e-2

    def __post_init__(self):
        _check_floor(self.floor)

    def __call__(self, stored: HalfWeights) -> WeightAction:
        """Interpret a stored sum of squared CTFs."""
        amplitude = _amplitude(stored, self.floor)
        inverse = torch.where(amplitude > 0, 1 / amplitude.clamp_min(1e-30), torch.zeros_like(amplitude))
        return WeightAction(inverse, amplitude)


# Of trilinear insertion: sum w^2 / sum w is 4/9 m where one plane reaches a voxel with multiplicity m, (2/3)^3 where
# many do; the noise is relative to the latter.
_SINGLE_PLANE = (4 / 9) / (8 / 27)
_LEAST_MULTIPLICITY = 0.01  # RELION's --subtomo_multi_thr


def with_multiplicity(power: HalfWeights, multiplicity: HalfWeights, meaning: Weighting) -> WeightAction:
    """A sum of CTF^2 whose voxels were reached by images to a known extent (RELION 4 and later, ``write_combined``).

    RELION sums images into the voxels around each of their samples, ``V = sum w c I``, ``power = sum w c^2`` and
    ``multiplicity = sum w`` with trilinear w. The noise of V is ``sum w^2 c^2``: less than `power` says by w itself
    where a single image reaches a voxel from aside. So the multiplicity tells the noise, and where it is hardly
    anything nothing was measured.

    Parameters
    ----------
    power, multiplicity
        Half-spectrum layout, FFT order.
    meaning
        What `power` means; the noise is corrected where that is `Premultiplied`.
    """
    reached = multiplicity >= _LEAST_MULTIPLICITY
    action = meaning(torch.where(reached, power, torch.zeros_like(power)))
    if not isinstance(meaning, Premultiplied):
        return action
    noise = (_SINGLE_PLANE * multiplicity).clamp(_SINGLE_PLANE * _LEAST_MULTIPLICITY, 1)
    return WeightAction(action.factor * noise.rsqrt(), action.weight * noise.rsqrt())
