"""From scores to memberships: the best class, a draw, or the posterior.

A membership ``[particles, candidates, classes]`` says with which weight a particle, at which of its candidate poses,
counts in which class; the weights of a particle add up to one.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Integer
from torch import Tensor

Membership = Float[Tensor, "particles candidates classes"]


def best(scores: Membership) -> Membership:
    """Each particle in the one class, at the one candidate pose, that fits it best."""
    return one_hot(scores.flatten(1).argmax(1), scores)


def drawn(scores: Membership, temperature: float, generator: torch.Generator) -> Membership:
    """Each particle in a class drawn with probability ``exp(score / temperature)``, at its best pose there.

    Drawn from the softmax, so that the order of the classes does not matter.
    """
    highest, pose = scores.max(1)
    if temperature <= 0:
        return best(scores)
    noise = (
        torch.rand(highest.shape, generator=generator, dtype=torch.float64).clamp_min(1e-300).log().neg().log().neg()
    )
    label = (highest.double() / temperature + noise).argmax(1)
    picked = pose.gather(1, label[:, None])[:, 0]
    return one_hot(picked * scores.shape[2] + label, scores)


def posterior(scores: Membership, shares: Float[Tensor, " classes"]) -> Membership:
    """Probability of each class and candidate pose; all candidates are equally likely beforehand."""
    logits = scores + shares.clamp_min(torch.finfo(scores.dtype).tiny).log()
    return logits.flatten(1).softmax(1).view_as(scores)


def one_hot(index: Integer[Tensor, " particles"], like: Membership) -> Membership:
    """All weight on one entry, counted over candidates and classes."""
    return torch.zeros_like(like).flatten(1).scatter_(1, index[:, None], 1.0).view_as(like)


def labels(membership: Membership) -> Integer[Tensor, " particles"]:
    """The class with the most weight, from zero."""
    return membership.sum(1).argmax(1)


def poses(membership: Membership) -> Integer[Tensor, " particles"]:
    """The candidate pose with the most weight."""
    return membership.sum(2).argmax(1)


def kept_alive(membership: Membership, scores: Membership, least: int, classes: int) -> Membership:
    """No class of the first `classes` falls below `least` members: the particles that lose least by it move in.

    From classes that can spare them; where none can, a class stays small.
    """
    kept = membership.clone()
    for label in range(classes):
        sizes = kept.sum((0, 1))
        missing = least - int(sizes[label].round())
        if missing <= 0:
            continue
        fit, pose = scores[:, :, label].max(1)
        loss = (kept * scores).sum((1, 2)) - fit
        own = labels(kept)
        spare = (sizes - least).clamp_min(0).round().long()
        spare[classes:] = len(kept)
        for particle in loss.argsort().tolist():
            if missing == 0:
                break
            if int(own[particle]) != label and spare[own[particle]] > 0:
                spare[own[particle]] -= 1
                missing -= 1
                kept[particle] = 0
                kept[particle, pose[particle], label] = 1
    return kept
