"""Where a classification begins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.classification.frame import CommonFrame
from torchsag.classification.membership import Membership, best, one_hot
from torchsag.classification.population import Population
from torchsag.errors import InputError
from torchsag.fourier import to_half_spectrum
from torchsag.io import read_map
from torchsag.particles import ParticleSet


@runtime_checkable
class FirstClasses(Protocol):
    """First memberships: a frozen dataclass and one yaml under ``conf/first_classes``."""

    def __call__(
        self, population: Population, frame: CommonFrame, particles: ParticleSet, classes: int, seed: int
    ) -> Membership:
        """Membership in `classes` classes and, where the population has one, the class of noise after them."""
        ...


@dataclass(frozen=True)
class RandomLabels:
    """Every particle in a class drawn at random, as in MCO-EXMX; classes of equal size."""

    def __call__(
        self, population: Population, frame: CommonFrame, particles: ParticleSet, classes: int, seed: int
    ) -> Membership:
        """At the first candidate pose."""
        if classes > len(population):
            raise InputError(f"classes: expected at most one class per particle, {len(population)}, got {classes}")
        order = torch.randperm(len(population), generator=torch.Generator().manual_seed(seed))
        labels = torch.empty_like(order)
        labels[order] = torch.arange(len(order)) % classes
        return _at_first_pose(population, labels, classes)


@dataclass(frozen=True)
class ListedClasses:
    """The classes of the particle list, as from an earlier run."""

    def __call__(
        self, population: Population, frame: CommonFrame, particles: ParticleSet, classes: int, seed: int
    ) -> Membership:
        """In the order of their numbers, at the first candidate pose; how many there are is up to the list.

        Raises
        ------
        InputError
            If the list has none.
        """
        if particles.classes is None:
            raise InputError(
                "first_classes=listed_classes: expected a list with a class column (rlnClassNumber, class), got one "
                "without; use first_classes=random_labels"
            )
        numbers, labels = particles.classes.unique(return_inverse=True)
        return _at_first_pose(population, labels, len(numbers))


@dataclass(frozen=True)
class GivenReferences:
    """Every particle in the class of the map, of several given, that fits it best.

    Attributes
    ----------
    paths
        Maps in the frame of the particles' poses, on the particles' scale of density up to one common factor.
    """

    paths: Sequence[str]

    def __post_init__(self):
        if len(self.paths) < 2:
            raise InputError(f"paths: expected at least two maps, got {len(self.paths)}")

    def __call__(
        self, population: Population, frame: CommonFrame, particles: ParticleSet, classes: int, seed: int
    ) -> Membership:
        """One class per map; `classes` is not looked at."""
        maps = [self._read(path, frame) for path in self.paths]
        scores = population.fit(torch.stack([_on_scale(one, frame) for one in maps]) - frame.common)
        if population.noise_class:
            scores = torch.cat([scores, torch.full_like(scores[:, :, :1], -torch.inf)], 2)
        return best(scores)

    def _read(self, path: str, frame: CommonFrame) -> Float[Tensor, "z y x"]:
        reference = read_map(path, frame.average.voxel_size)
        if reference.box != frame.average.box:
            raise InputError(f"{path}: expected the particles' box of {frame.average.box} voxels, got {reference.box}")
        return reference.density.float()


def _on_scale(density: Float[Tensor, "z y x"], frame: CommonFrame) -> Tensor:
    """A map on the band, scaled to fit the common average, which is a mixture of what the maps stand for."""
    model = frame.band.take(to_half_spectrum(density))
    factor = (model.conj() * frame.common).real.sum() / model.abs().square().sum().clamp_min(1e-30)
    return factor * model


def _at_first_pose(population: Population, labels: Tensor, classes: int) -> Membership:
    like = torch.zeros(len(labels), population.candidates, classes + int(population.noise_class))
    return one_hot(labels, like)
