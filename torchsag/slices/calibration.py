"""Amplitude and offset of a reference in a particle: unknowns of every additive loss."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.slices.matching import Matching

# A start whose correlation is below this tells nothing about the amplitude; a vanishing one would flatten the loss.
_LEAST_CORRELATION = 0.05
_PROBLEMS_AT_ONCE = 16


@dataclass(frozen=True)
class Calibration:
    """``particle = amplitude * reference + offset`` by least squares under the mask.

    Attributes
    ----------
    amplitude
        Always positive: a negative one would turn a bad pose into a good fit of the inverted particle.
    offset
        In standard deviations of the particle.
    """

    amplitude: Float[Tensor, " problems"]
    offset: Float[Tensor, " problems"]


def calibrate(
    matching: Matching, poses: Poses, particle: Integer[Tensor, " problems"]
) -> tuple[Calibration, Float[Tensor, " problems"]]:
    """Fit amplitude and offset at given poses; one pass over the data.

    Also returns the correlation under the mask, in the partition's own filters.
    """
    mask = matching.mask.flatten()
    squared = mask.square()
    total = squared.sum()
    every = torch.arange(matching.num_terms, device=mask.device)
    sums = []
    for chosen in torch.arange(len(poses), device=mask.device).split(_PROBLEMS_AT_ONCE):
        here, mine = poses[chosen], particle[chosen]
        sources = matching.sources(here.rotations[:, None], here.shifts[:, None], every)
        model = matching.filter(matching.sample(sources, mine), mine).flatten(1)
        seen = matching.observed[mine].flatten(1)
        sums.append(
            torch.stack(
                [(squared * values).sum(1) for values in (model, seen, model.square(), seen.square(), model * seen)],
                -1,
            )
            / total
        )
    model, seen, model_power, seen_power, cross = torch.cat(sums).unbind(-1)
    variance = (model_power - model.square()).clamp_min(torch.finfo(model.dtype).tiny)
    spread = (seen_power - seen.square()).clamp_min(0)
    correlation = (cross - model * seen) / (variance * spread).clamp_min(torch.finfo(model.dtype).tiny).sqrt()
    amplitude = correlation.clamp_min(_LEAST_CORRELATION) * (spread / variance).sqrt()
    return Calibration(amplitude, seen - amplitude * model), correlation
