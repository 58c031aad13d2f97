"""Candidate poses: what a search hands to refinement."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleBatch


@dataclass(frozen=True)
class Limits:
    """How far refinement may move away from one pose per particle.

    Attributes
    ----------
    centres
        The poses in the middle of what is allowed.
    angle
        Largest rotation away from them, modulo symmetry; radians.
    shift
        Largest distance from them, voxels.
    symmetry
        Of the reference.
    """

    centres: Poses
    angle: float
    shift: float
    symmetry: Symmetry

    def to(self, device: torch.device | str) -> Limits:
        """The same limits on another device."""
        return replace(self, centres=self.centres.to(device))

    def allow(self, poses: Poses, particle: Tensor) -> Bool[Tensor, " poses"]:
        """Which poses, each of particle ``particle[i]``, are within the limits."""
        centres = self.centres[particle]
        turned = self.symmetry.distance(centres.rotations, poses.rotations)
        return (turned <= self.angle) & ((poses.shifts - centres.shifts).norm(dim=-1) <= self.shift)


@dataclass(frozen=True)
class Candidates:
    """The same number of starting poses for every particle, best first.

    Attributes
    ----------
    poses
        Rotations ``[particles, candidates, 3, 3]`` and shifts ``[particles, candidates, 3]``.
    scores
        The search's own score, higher is better; ``-inf`` marks a repeat that only fills the row.
    limits
        Where refinement must stay.
    """

    poses: Poses
    scores: Float[Tensor, "particles candidates"]
    limits: Limits

    def ranked(self, ranks: slice) -> Candidates:
        """Some of every particle's candidates, by their place in its row."""
        return Candidates(self.poses[:, ranks], self.scores[:, ranks], self.limits)

    @staticmethod
    def concatenate(parts: Sequence[Candidates]) -> Candidates:
        """Those of particles one after another, as many of each, within limits that differ in their centres alone."""
        limits = parts[0].limits
        centres = Poses.concatenate([part.limits.centres for part in parts])
        poses = Poses.concatenate([part.poses for part in parts])
        return Candidates(poses, torch.cat([part.scores for part in parts]), replace(limits, centres=centres))

    def __getitem__(self, rows: Tensor) -> Candidates:
        """Those of some particles."""
        limits = replace(self.limits, centres=self.limits.centres[rows])
        return Candidates(self.poses[rows], self.scores[rows], limits)

    def to(self, device: torch.device | str) -> Candidates:
        """The same candidates on another device."""
        return Candidates(self.poses.to(device), self.scores.to(device), self.limits.to(device))


@runtime_checkable
class PreparedSearch(Protocol):
    """A search that has done what depends on the reference alone."""

    def __call__(self, particles: ParticleBatch) -> Candidates:
        """Find starting poses for each particle."""
        ...


@runtime_checkable
class Search(Protocol):
    """A way to find starting poses: a frozen dataclass and one yaml under ``conf/search``."""

    def prepare(self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu") -> PreparedSearch:
        """Do once what depends on the reference alone."""
        ...
