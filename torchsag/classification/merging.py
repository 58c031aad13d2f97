"""Merge classes that the particles cannot tell apart.

The criterion is the integrated completed likelihood: the evidence of the classes plus the probability of the labels
when all shares are equally likely beforehand. Two classes are merged when it rises. It has no threshold: a class must
explain more than its freedom costs (`torchsag.classification.evidence`), and more than the choice of its members by
their very noise could have won. Source: Biernacki, Celeux & Govaert 2010, J. Stat. Plan. Inference 140:2991; greedy
merging as in Côme & Latouche 2015, Stat. Modelling 15:564.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.classification.evidence import ClassSums
from torchsag.classification.membership import Membership
from torchsag.classification.population import Population


def merged(
    population: Population, membership: Membership, turns: Integer[Tensor, "turns mates"]
) -> Float[Tensor, "particles candidates left"]:
    """Merge the pair that gains most, again and again, until no pair gains.

    Parameters
    ----------
    population
        The particles.
    membership
        Each in one class, at one candidate pose.
    turns
        Ways in which one class may be turned onto the other (`torchsag.classification.mates.class_turns`).
    """
    while True:
        formed = membership.shape[2] - int(population.noise_class)
        if formed < 2:
            return membership
        gain = merging_gains(population, membership, turns)
        first, second, turn = (int(i) for i in torch.unravel_index(gain.argmax(), gain.shape))
        if not gain[first, second, turn] > 0:
            return membership
        moved = turned(membership[:, :, second], turns[turn])
        rest = [label for label in range(membership.shape[2]) if label != second]
        joined = membership.clone()
        joined[:, :, first] += moved
        membership = joined[:, :, rest]


def merging_gains(
    population: Population, membership: Membership, turns: Integer[Tensor, "turns mates"]
) -> Float[Tensor, "formed formed turns"]:
    """Rise of the criterion when the second class is turned and merged into the first; minus infinity for no pair."""
    noise = int(population.noise_class)
    formed = membership.shape[2] - noise
    parts = [turned(membership[:, :, label], turn) for turn in turns for label in range(formed)]
    unformed = [torch.zeros_like(parts[0])] * noise
    sums = population.sums(torch.stack([*parts, *unformed], 2))
    plain, counts = sums[:formed], membership.sum((0, 1))
    gain = torch.full((formed, formed, len(turns)), -torch.inf, dtype=torch.float64)
    alone = plain.evidence(population.prior)
    for turn in range(len(turns)):
        other = sums[turn * formed : (turn + 1) * formed]
        for first in range(formed - 1):
            pair = _repeated(plain[first : first + 1], formed - first - 1) + other[first + 1 :]
            together = pair.evidence(population.prior)
            gain[first, first + 1 :, turn] = (together - alone[first] - alone[first + 1 :]).double()
    return gain + _label_gain(counts, formed)[:, :, None]


def completed_likelihood(population: Population, membership: Membership) -> float:
    """The criterion itself: evidence of all classes at the poses chosen, and probability of the labels."""
    counts = membership.sum((0, 1)).double()
    evidence = float(population.sums(membership).evidence(population.prior).double().sum())
    nothing = torch.zeros_like(population.common)[None]
    fit = population.fit(torch.cat([nothing, -population.common[None]]))
    formed = membership[:, :, :-1] if population.noise_class else membership
    evidence += float((formed.sum(2) * fit[:, :, 0]).double().sum())
    if population.noise_class:
        evidence += float((membership[:, :, -1] * fit[:, :, 1]).double().sum())
    classes = torch.tensor(float(len(counts)), dtype=torch.float64)
    return evidence + float(torch.lgamma(counts + 1).sum() + _normaliser(counts.sum(), classes))


def turned(part: Float[Tensor, "particles candidates"], turn: Integer[Tensor, " mates"]) -> Tensor:
    """Members of a class that is turned as a whole: each candidate's weight moves to another mate."""
    mates = part.unflatten(1, (-1, len(turn)))
    return torch.zeros_like(mates).index_copy(2, turn, mates).flatten(1)


def _label_gain(counts: Float[Tensor, " classes"], formed: int) -> Float[Tensor, "formed formed"]:
    """Rise of the log-probability of the labels, all shares equally likely: the Dirichlet-multinomial law."""
    counts = counts.double()
    total, classes = counts.sum(), torch.tensor(float(len(counts)), dtype=torch.float64)
    fewer = _normaliser(total, classes - 1) - _normaliser(total, classes)
    size = counts[:formed]
    joined = torch.lgamma(size[:, None] + size[None] + 1)
    return joined - torch.lgamma(size + 1)[:, None] - torch.lgamma(size + 1)[None] + fewer


def _normaliser(total: Tensor, classes: Tensor) -> Tensor:
    return torch.lgamma(classes) - torch.lgamma(total + classes)


def _repeated(sums: ClassSums, count: int) -> ClassSums:
    return ClassSums(sums.numerator.expand(count, -1), sums.denominator.expand(count, -1), sums.counts.expand(count))
