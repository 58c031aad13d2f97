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
from torchsag.verdict.finding import Finding

_THRESHOLD = 0.143
_RIPPLES = 0.1


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


def noise_in_common(first: DensityMap, second: DensityMap) -> float:
    """Correlation of two half-maps outside of the sphere that the box holds, over the finer half of the frequencies.

    The noise of independent particles is independent there; copies share it. What is common there but weak beside what
    is common within the sphere are ripples of the particle, and counts as nothing.
    """
    shells = torch.arange(max(first.box) // 2 + 1)
    fine = (shells > len(shells) // 2).float()
    outside = centred_radius(first.box) > 0.5 * min(first.box)
    a, b = (apply_shell_curve(volume.density.float().cpu(), fine) for volume in (first, second))
    common = a * b
    strength = float(common[outside].mean())
    spread = float(a[outside].square().mean() * b[outside].square().mean()) ** 0.5
    if not spread > 0 or strength < _RIPPLES * float(common[~outside].mean()):
        return 0.0
    return strength / spread


@dataclass(frozen=True)
class FSCNeverFalls:
    """A curve that stays above its threshold up to Nyquist.

    Attributes
    ----------
    shared
        Correlation of the half-maps' noise, outside of the particle, from which on copies are the cause.
    """

    shared: float = 0.1
    code: str = "fsc_never_falls"
    nyquist_code: str = "resolution_at_nyquist"

    def __call__(self, fsc: HalfMapFSC, common_noise: float) -> Finding | None:
        """Judge a curve; `common_noise` as of `noise_in_common`."""
        evidence = {"least_fsc": float(fsc.unmasked[1:].min()), "common_noise": common_noise}
        if bool((fsc.unmasked[1:] >= _THRESHOLD).all()) and common_noise > self.shared:
            text = (
                "the half-maps agree up to the last shell, outside of the particle too: they share noise; look for "
                "particles that are in both halves (torchsag duplicates)"
            )
            return Finding(self.code, "wrong", text, evidence)
        if common_noise > self.shared:
            text = (
                f"the half-maps agree outside of the particle as well (correlation {common_noise:.2f} over fine "
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
        part = float(mask.double().sum()) ** 2 / float(mask.double().square().sum()) / mask.numel()
        reached = fsc.resolution()
        if not math.isfinite(reached):
            return None  # nothing is claimed
        independent = 2 * math.pi * (max(fsc.box) * fsc.voxel_size / reached) ** 2 * part
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
        Mean of the masked curve of random phases over the shells up to the claimed resolution; above, it is the mask
        that is seen.
    """

    most: float = 0.3
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
