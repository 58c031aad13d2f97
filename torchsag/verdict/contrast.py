"""Checks of contrast where there is no map to compare with: particles among themselves, and the average itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.fourier import last_above
from torchsag.fourier.radial import apply_shell_curve
from torchsag.imaging.masks import centred_radius
from torchsag.particles import DensityMap
from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class SomeOpposite:
    """Particles that match the inversion of the average of others, which they are no part of.

    Attributes
    ----------
    least_margin
        By how many standard deviations of noise a single particle must prefer it.
    least_particles
        How many such particles are a finding.
    """

    least_margin: float = 4.0
    least_particles: int = 2
    code: str = "contrast_opposite"

    def __call__(self, scores: Float[Tensor, " sample"], inverted: Float[Tensor, " sample"]) -> Finding | None:
        """Judge scores with an average, and with its inversion."""
        single, count = int((inverted - scores > self.least_margin).sum()), len(scores)
        if single < self.least_particles:
            return None
        text = (
            f"{single} of {count} particles looked at match the inverted average clearly better: the contrast of some "
            "particles is opposite; invert these"
        )
        return Finding(self.code, "doubt", text, {"sample": count, "prefer_inverted": single})


@dataclass(frozen=True)
class DarkAverage:
    """An average of dark particles on a bright ground.

    A structure is a few dense voxels among many empty ones, so that values of its map are skewed towards its sign.

    Attributes
    ----------
    deviations
        How many standard deviations of that of noise the skewness of each half-map must be.
    """

    deviations: float = 4.0
    code: str = "average_is_dark"

    def __call__(self, first: DensityMap, second: DensityMap, fsc: HalfMapFSC) -> Finding | None:
        """Judge half-maps, as far as they agree."""
        weight = fsc.corrected.clamp(0, 1)
        shells = last_above(weight) + 1
        independent = 4 / 3 * math.pi * shells**3 * math.pi / 6  # of the box, and within the sphere that it holds
        error = math.sqrt(6 / max(independent, 1.0))
        found = [_skewness(half, weight) for half in (first, second)]
        if max(found) > -self.deviations * error:
            return None
        text = (
            "the average is darker than what surrounds it: the particles are dark, as in tomograms that were not "
            "inverted; multiply the map by -1 before it is compared with maps or models"
        )
        return Finding(self.code, "note", text, {"skewness": found, "of_noise": error})


def _skewness(half: DensityMap, weight: Float[Tensor, " shells"]) -> float:
    """Third moment of a filtered map's values within the sphere that its box holds, by their standard deviation."""
    filtered = apply_shell_curve(half.density.float().cpu(), weight.cpu())
    values = filtered[centred_radius(half.box) < 0.5 * min(half.box)].double()
    away = values - values.mean()
    return float(away.pow(3).mean() / away.square().mean().clamp_min(1e-300).pow(1.5))
