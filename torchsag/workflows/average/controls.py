"""Controls against self-deception: the same command, with the same settings, on an input that should give nothing.

``torchsag average ... control=noise`` replaces the particles by noise; the half-maps must not agree beyond the first
references. ``torchsag average ... control=omitted_region`` cuts a region out of the reference; the particles must bring
it back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.fourier import low_pass
from torchsag.fourier.filters import raised_cosine
from torchsag.geometry import Symmetry
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap, ParticleSet
from torchsag.particles.pure_noise import PureNoise
from torchsag.verdict import Finding


@dataclass(frozen=True)
class ControlledRun:
    """What a control judges.

    Attributes
    ----------
    fsc
        Of the final half-maps.
    average
        The final map, unfiltered.
    reference
        The map that was given, unchanged; None for a run without.
    symmetry
        Imposed on the map.
    initial_resolution_angstrom
        Low-pass of the first references.
    """

    fsc: HalfMapFSC
    average: DensityMap
    reference: DensityMap | None
    symmetry: Symmetry
    initial_resolution_angstrom: float


@runtime_checkable
class Control(Protocol):
    """A changed input and what to make of the outcome: a frozen dataclass, one yaml under ``conf/control``."""

    def particles(self, particles: ParticleSet, seed: int) -> ParticleSet:
        """The particles to run with."""
        ...

    def reference(self, reference: DensityMap | None, symmetry: Symmetry) -> DensityMap | None:
        """The reference to start from.

        Raises
        ------
        InputError
            If the control needs one and there is none.
        """
        ...

    def finding(self, run: ControlledRun) -> Finding:
        """What the outcome shows: a note where the settings stood the test."""
        ...


@dataclass(frozen=True)
class NoiseOnly:
    """Noise in place of every particle, with its weight and its power in each Fourier shell.

    The curve may reach the resolution of the first references, which the halves shared or were brought onto each other
    by, and no further.
    """

    def particles(self, particles: ParticleSet, seed: int) -> ParticleSet:
        """Noise."""
        return PureNoise.like(particles, seed)

    def reference(self, reference: DensityMap | None, symmetry: Symmetry) -> DensityMap | None:
        """As given."""
        return reference

    def finding(self, run: ControlledRun) -> Finding:
        """Passed if the half-maps of noise agree no further than the first references."""
        reached, allowed = run.fsc.resolution(), 0.9 * run.initial_resolution_angstrom
        passed = reached > allowed
        found = f"{reached:.1f} angstrom" if math.isfinite(reached) else "no resolution at all"
        sentence = (
            f"control with pure noise {'passed' if passed else 'FAILED'}: half-maps of noise reach {found}, allowed is "
            f"nothing finer than {allowed:.1f} angstrom"
        )
        return _finding("control_noise", passed, sentence, {"noise_resolution_0.143_angstrom": reached})


@dataclass(frozen=True)
class OmittedRegion:
    """A ball, with all its symmetry mates, cut out of the reference: does the average bring it back?

    Attributes
    ----------
    radius_angstrom
        Of the ball; about the resolution of the first references or more, or the ball does not count.
    centre_angstrom
        Where it is, (x, y, z) from the box centre; None takes the densest place off the centre.
    enough
        Part of the omitted density that must come back.
    """

    radius_angstrom: float = 40.0
    centre_angstrom: Sequence[float] | None = None
    enough: float = 0.5

    def __post_init__(self):
        if not self.radius_angstrom > 0:
            raise InputError(f"radius_angstrom: expected a length above 0, got {self.radius_angstrom}")
        if self.centre_angstrom is not None and len(self.centre_angstrom) != 3:
            raise InputError(f"centre_angstrom: expected x, y and z, got {list(self.centre_angstrom)}")

    def particles(self, particles: ParticleSet, seed: int) -> ParticleSet:
        """As they are."""
        return particles

    def reference(self, reference: DensityMap | None, symmetry: Symmetry) -> DensityMap | None:
        """Without the region."""
        if reference is None:
            raise InputError("control=omitted_region: expected reference=, a map to cut the region out of, got none")
        return DensityMap(reference.density * (1 - self.region(reference, symmetry)), reference.voxel_size)

    def region(self, reference: DensityMap, symmetry: Symmetry) -> Float[Tensor, "z y x"]:
        """One inside the ball and its mates, zero outside, a soft edge between."""
        voxel = reference.voxel_size
        place = _coordinates(reference.box)
        centre = self._centre(reference, place)
        radius = torch.full(reference.box, math.inf)
        for rotation in symmetry.rotations.float():
            radius = torch.minimum(radius, (place - rotation @ centre).norm(dim=-1))
        return raised_cosine(radius, self.radius_angstrom / voxel, 3.0)

    def finding(self, run: ControlledRun) -> Finding:
        """Passed if enough of the omitted density is in the average."""
        assert run.reference is not None  # `reference` has seen to that
        voxel = run.reference.voxel_size
        resolution = max(run.fsc.resolution(), 2 * voxel)
        resolution = resolution if math.isfinite(resolution) else run.initial_resolution_angstrom
        cut = self.reference(run.reference, run.symmetry)
        assert cut is not None
        volumes = (run.reference.density, cut.density, run.average.density)
        known, lacking, seen = (low_pass(volume, resolution, voxel) for volume in volumes)
        outside = spherical_mask(run.reference.box) * (1 - self.region(run.reference, run.symmetry)) > 0.5
        # The scale of the average, from everywhere else; then how far it is on the way from the one map to the other.
        scale, offset = _line(lacking[outside], seen[outside])
        omitted = known - lacking
        part = float((omitted * (seen - offset - scale * lacking)).sum() / (scale * omitted.square().sum()))
        passed = part >= self.enough
        sentence = (
            f"control with an omitted region {'passed' if passed else 'FAILED'}: the particles bring back "
            f"{100 * part:.0f} % of the density that the reference lacked, at {resolution:.1f} angstrom"
        )
        return _finding("control_omitted_region", passed, sentence, {"returned_density": part})

    def _centre(self, reference: DensityMap, place: Float[Tensor, "z y x 3"]) -> Float[Tensor, " 3"]:
        if self.centre_angstrom is not None:
            return torch.tensor([float(c) for c in self.centre_angstrom]) / reference.voxel_size
        smooth = low_pass(reference.density.float(), 2 * self.radius_angstrom, reference.voxel_size)
        far = place.norm(dim=-1) > self.radius_angstrom / reference.voxel_size
        smooth = torch.where(far & (spherical_mask(reference.box) > 0.5), smooth, -math.inf)
        return place.reshape(-1, 3)[smooth.argmax()]


def _finding(code: str, passed: bool, sentence: str, numbers: dict[str, float]) -> Finding:
    return Finding(code, "note" if passed else "wrong", sentence, {"passed": passed, **numbers})


def _coordinates(box: tuple[int, int, int]) -> Float[Tensor, "z y x 3"]:
    """Voxel coordinates (x, y, z) from the box centre."""
    axes = [torch.arange(n, dtype=torch.float32) - n // 2 for n in box]
    z, y, x = torch.meshgrid(*axes, indexing="ij")
    return torch.stack([x, y, z], -1)


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and offset of y over x by least squares."""
    slope = float(((x - x.mean()) * (y - y.mean())).sum() / (x - x.mean()).square().sum())
    return slope, float(y.mean()) - slope * float(x.mean())
