"""How seldom chance alone would do the same: scores of particles with one map against those with another."""

from __future__ import annotations

import math

from jaxtyping import Float
from torch import Tensor

LEAST_SAMPLE = 3  # fewer particles have no spread of differences to speak of


def paired_t(first: Float[Tensor, " sample"], second: Float[Tensor, " sample"]) -> float:
    """Mean difference of pairs in units of its standard error; 0 where all differences are alike or there is one."""
    difference = (first - second).double()
    if len(difference) < 2:
        return 0.0
    error = float(difference.std()) / math.sqrt(len(difference))
    mean = float(difference.mean())
    return mean / error if error > 1e-9 * max(abs(mean), 1e-30) else 0.0


def paired_p(first: Float[Tensor, " sample"], second: Float[Tensor, " sample"]) -> float:
    """How often chance alone makes the mean difference of so many pairs as large, by Student's distribution."""
    from scipy.special import stdtr  # not with every import of torchsag

    return float(stdtr(max(len(first) - 1, 1), -paired_t(first, second)))


def means_something(
    scores: Float[Tensor, " sample"], meaningless: Float[Tensor, "nulls sample"], most_p: float
) -> tuple[bool, float, float]:
    """Whether scores are better than those of maps that mean nothing, by pairs of particles and among the maps.

    Returns
    -------
    meant
        Whether chance makes both as seldom as `most_p`.
    t
        Of the pairs of each particle's score and its mean over the maps.
    spread
        By how many standard deviations the sample's mean lies above the maps' means; as that of one further map it
        follows Student's distribution.
    """
    from scipy.special import stdtr

    maps = len(meaningless)
    means = meaningless.double().mean(1)
    away = float((scores.double().mean() - means.mean()) / means.std().clamp_min(1e-6))
    of_maps = float(stdtr(maps - 1, -away / math.sqrt(1 + 1 / maps)))
    middle = meaningless.mean(0)
    # So few particles have no spread of differences to speak of.
    of_pairs = paired_p(scores, middle) if len(scores) >= LEAST_SAMPLE else 0.0
    return of_pairs <= most_p and of_maps <= most_p, paired_t(scores, middle), away
