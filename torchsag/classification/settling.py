"""Bring a division to rest: every particle in its best class, no class empty, no two alike."""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.classification.classifier import Division, run
from torchsag.classification.mco_exmx import MCOEXMX
from torchsag.classification.membership import Membership, labels, one_hot
from torchsag.classification.merging import merged
from torchsag.classification.population import Population


def settle(
    population: Population, membership: Membership, turns: Integer[Tensor, "turns mates"] | None
) -> Float[Tensor, "particles candidates left"]:
    """Hard assignment and merging by turns until the number of classes stays.

    Parameters
    ----------
    population
        The particles.
    membership
        Where to start.
    turns
        See `torchsag.classification.merging.merged`; None for no merging.
    """
    membership = hard(membership)
    while True:
        before = membership.shape[2]
        membership = run(MCOEXMX(least=0), population, Division.of(membership), 0).best
        membership = _without_empty(membership, population.noise_class)
        if turns is not None:
            membership = merged(population, membership, turns)
        if membership.shape[2] == before:
            return membership


def hard(membership: Membership) -> Membership:
    """Each particle wholly in the class, and there at the candidate pose, where most of it is."""
    label = labels(membership)
    at = membership[torch.arange(len(label)), :, label].argmax(1)
    return one_hot(at * membership.shape[2] + label, membership)


def _without_empty(membership: Membership, noise_class: bool) -> Float[Tensor, "particles candidates left"]:
    """At least one class with an average stays, and so does that of noise."""
    filled = membership.sum((0, 1)) > 0
    if noise_class:
        filled[-1] = True
    if int(filled.sum()) == int(noise_class):
        filled[0] = True
    return membership[:, :, filled]
