"""Checks of a resolution: does it come from the particles, or from the start, the mask, the voxel size or copies?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.fourier.radial import apply_shell_curve
from torchsag.imaging.masks import centred_radius
from torchsag.particles import DensityMap
from torchsag.verdict.certainty import independent_pairs
from torchsag.verdict.finding import Finding

_THRESHOLD = 0.143
_EDGE = 3.0  # voxels
_RIPPLES = 0.01


@dataclass(frozen=True)
class NoiseAlone:
    """Half-maps that agree no further than the first references made them.

    Attributes
    ----------
    margin
        Part of the first low-pass that must be passed.
    code
        See `Finding`.
    """

    margin: float = 0.9
    code: str = "noise_alone"

    def __call__(self, fsc: HalfMapFSC, initial_resolution_angstrom: float) -> Finding | None:
        """Judge the curve of the final half-maps."""
        reached = fsc.resolution()
        if reached < self.margin * initial_resolution_angstrom:
            return None
        text = (
            f"the resolution is not finer than the low-pass of the first references "
            f"({initial_resolution_angstrom:g} angstrom), which particles of pure noise would reach too: "
            "do not trust this map"
        )
        evidence = {"resolution_angstrom": reached, "initial_resolution_angstrom": initial_resolution_angstrom}
        return Finding(self.code, "wrong", text, evidence)


@dataclass(frozen=True)
class HalvesDisagree:
    """Half-maps that have nothing in common, already at the coarsest resolutions.

    Attributes
    ----------
    least_shell
        Fourier shell up to which they must agree: on the few coefficients of the first ones noise may agree too (on
        three in 4 of 100 pairs of white noise).
    code
        See `Finding`.
    """

    least_shell: float = 4.0
    code: str = "halves_disagree"

    def __call__(self, fsc: HalfMapFSC) -> Finding | None:
        """Judge a curve."""
        reached = max(fsc.box) * fsc.voxel_size / fsc.resolution()
        if reached >= self.least_shell:
            return None
        text = (
            f"the half-maps agree on {reached:.1f} Fourier shells only, as noise may: they stand in different places "
            "or are of different hand, or there is nothing in them; do not trust this map"
        )
        return Finding(self.code, "wrong", text, {"resolution_angstrom": fsc.resolution(), "shells": reached})


@dataclass(frozen=True)
class CommonNoise:
    """What half-maps have in common where no particle is.

    Attributes
    ----------
    correlation
        Outside of the sphere that the box holds, over the finer half of the frequencies. The noise of independent
        particles is independent there; copies share it.
    error
        Its standard deviation for independent noise.
    """

    correlation: float
    error: float

    @staticmethod
    def of(first: DensityMap, second: DensityMap, symmetry_order: int = 1) -> CommonNoise:
        """Of two half-maps in one frame; imposed symmetry repeats their noise as often as it has rotations.

        The outside is cut out before it is filtered: the ripples of a strong particle would reach it. What is less
        than a hundredth of what is common within the sphere are such ripples still, and too weak to touch a curve.
        """
        n = min(first.box)
        weight = ((centred_radius(first.box) - 0.5 * n) / _EDGE).clamp(0, 1)
        common, spread = _fine_product(first, second, weight)
        inside, _ = _fine_product(first, second, (weight == 0).float())
        part = float(weight.sum()) ** 2 / float(weight.square().sum()) / weight.numel()
        independent = part * 4 / 3 * math.pi * (n // 2) ** 3 * (1 - 0.5**3)
        error = (symmetry_order / max(independent, 1.0)) ** 0.5
        # Maps that were masked have no outside.
        return CommonNoise(common / spread if spread > 0 and common > _RIPPLES * inside else 0.0, error)


def _fine_product(first: DensityMap, second: DensityMap, weight: Float[Tensor, "z y x"]) -> tuple[float, float]:
    """Covariance of weighted maps over the finer half of the frequencies, and the most that it could be."""
    shells = torch.arange(max(first.box) // 2 + 1)
    fine = (shells > len(shells) // 2).float()
    a, b = (apply_shell_curve(volume.density.float().cpu() * weight, fine).double() for volume in (first, second))
    voxels = float(weight.square().sum())
    spread = float(a.square().sum() * b.square().sum()) ** 0.5
    return float((a * b).sum()) / voxels, spread / voxels


@dataclass(frozen=True)
class FSCNeverFalls:
    """A curve that stays above its threshold up to Nyquist.

    Attributes
    ----------
    shared
        Correlation of the half-maps' noise, outside of the particle, from which on copies are the cause,
    deviations
        and how many standard deviations of that of independent noise it must be.
    """

    shared: float = 0.1
    deviations: float = 5.0
    code: str = "fsc_never_falls"
    nyquist_code: str = "resolution_at_nyquist"

    def __call__(self, fsc: HalfMapFSC, common: CommonNoise) -> Finding | None:
        """Judge a curve, and what is common beside it."""
        evidence = {"least_fsc": float(fsc.unmasked[1:].min()), "common_noise": common.correlation}
        copies = common.correlation > max(self.shared, self.deviations * common.error)
        if copies and bool((fsc.unmasked[1:] >= _THRESHOLD).all()):
            text = (
                "the half-maps agree up to the last shell, outside of the particle too: they share noise; look for "
                "particles that are in both halves (torchsag duplicates)"
            )
            return Finding(self.code, "wrong", text, evidence)
        if copies:
            text = (
                f"the half-maps agree outside of the particle as well (correlation {common.correlation:.2f} over fine "
                "frequencies): they share noise, or neighbours stand in a lattice; look for particles that are in "
                "both halves (torchsag duplicates)"
            )
            return Finding(self.code, "doubt", text, evidence)
        finest = max(fsc.box) * fsc.voxel_size / (len(fsc.corrected) - 1)
        if fsc.resolution() > 1.02 * finest:
            return None
        text = (
            f"the resolution is that of the voxel size ({finest:.1f} angstrom): there may be more in the data; use "
            "particles that are binned less"
        )
        return Finding(self.nyquist_code, "note", text, {**evidence, "nyquist_angstrom": finest})


@dataclass(frozen=True)
class MaskTooSmall:
    """A mask that leaves too few independent numbers for a correlation to mean anything.

    Attributes
    ----------
    least_independent
        Independent pairs of numbers on the shell of the claimed resolution.
    """

    least_independent: float = 8.0
    code: str = "mask_too_small"

    def __call__(self, fsc: HalfMapFSC, mask: Float[Tensor, "z y x"]) -> Finding | None:
        """Judge a mask by the curve that it gave."""
        reached = fsc.resolution()
        if not math.isfinite(reached):
            return None  # nothing is claimed
        part = float(independent_pairs(fsc, mask)[1] / independent_pairs(fsc)[1])
        independent = float(independent_pairs(fsc, mask)[1]) * (max(fsc.box) * fsc.voxel_size / reached) ** 2
        if independent >= self.least_independent:
            return None
        voxels = float(mask.double().sum())
        text = (
            f"the mask holds {voxels:.0f} voxels, {100 * part:.2g} % of the box: about {independent:.1f} independent "
            "numbers on the shell of the claimed resolution, too few for a correlation; use a wider mask"
        )
        return Finding(self.code, "wrong", text, {"mask_voxels": voxels, "independent": independent})


@dataclass(frozen=True)
class MaskRaisesFSC:
    """A mask that agrees with itself.

    Attributes
    ----------
    most
        Mean of the masked curve of random phases over the shells up to the claimed resolution; above the threshold of
        the resolution itself, random phases would claim one too.
    """

    most: float = _THRESHOLD
    code: str = "mask_raises_fsc"

    def __call__(self, fsc: HalfMapFSC) -> Finding | None:
        """Judge a curve and its correction."""
        reached = fsc.resolution()
        last = len(fsc.masked) if not math.isfinite(reached) else round(max(fsc.box) * fsc.voxel_size / reached) + 1
        shells = slice(min(fsc.first_random_shell + 2, last), last)
        raised = fsc.randomised[shells]
        mean = float(raised.mean()) if len(raised) else 0.0
        if mean <= self.most:
            return None
        text = (
            f"maps of random phases agree to {mean:.2f} inside this mask: it is so tight or sharp that it raises the "
            "curve by itself; use a wider mask with a softer edge"
        )
        return Finding(self.code, "doubt", text, {"randomised_fsc": mean})
