"""How the sums of particles become the next reference: division with a floor, or Wiener regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.filtering import weigh_shells
from torchsag.averaging.reconstruct import MapSums
from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap


@runtime_checkable
class Regularisation(Protocol):
    """A way to divide the sums: a frozen dataclass and one yaml under ``conf/regularisation``."""

    def __call__(self, sums: MapSums, symmetry: Symmetry, trust: Float[Tensor, " shells"]) -> tuple[DensityMap, ...]:
        """One reference per group.

        Parameters
        ----------
        sums
            What the particles gave.
        symmetry
            Imposed on the result.
        trust
            Of each Fourier shell: the FSC of the half-maps up to where it means something, zero beyond.
        """
        ...


def _check_floor(floor: float) -> None:
    if not 0 < floor <= 1:
        raise InputError(f"floor: expected a part above 0 and at most 1, got {floor}")


@dataclass(frozen=True)
class ShellWeight:
    """Divide, then multiply each shell by its trust: every direction of a shell is treated alike.

    Attributes
    ----------
    floor
        Least denominator, as a part of its mean over the Fourier shell.
    """

    floor: float = 0.05

    def __post_init__(self):
        _check_floor(self.floor)

    def __call__(self, sums: MapSums, symmetry: Symmetry, trust: Float[Tensor, " shells"]) -> tuple[DensityMap, ...]:
        """One reference per group."""
        maps = sums.finish(symmetry, floor=self.floor)
        return tuple(weigh_shells(volume, trust) for volume in maps)


@dataclass(frozen=True)
class Wiener:
    """Divide by the denominator plus the shell's noise-to-signal ratio: badly measured directions are damped more.

    With even coverage it is the same as `ShellWeight`. Source: Scheres 2012, J. Mol. Biol. 415:406, with the ratio
    from the FSC instead of the map's own power.

    Attributes
    ----------
    floor
        Least denominator, as a part of its mean over the shell.
    """

    floor: float = 0.01

    def __post_init__(self):
        _check_floor(self.floor)

    def __call__(self, sums: MapSums, symmetry: Symmetry, trust: Float[Tensor, " shells"]) -> tuple[DensityMap, ...]:
        """One reference per group."""
        ratio = trust / (1 - trust).clamp_min(1e-3)
        groups = len(sums.counts)
        maps = sums.finish(symmetry, floor=self.floor, signal_to_noise=ratio.expand(groups, -1))
        # Shells without trust are damped by a million, not removed.
        return tuple(weigh_shells(volume, (trust > 0).to(torch.float32)) for volume in maps)
