"""What can be said of a final map: curves, local resolution, sharpness, hand, and what a control has shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.filtering import estimate_b_factor, figure_of_merit, filter_locally, sharpen, weigh_shells
from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.evaluation.local_resolution import local_resolution
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap
from torchsag.runs.masked_comparison import MaskedComparison
from torchsag.verdict import Finding
from torchsag.verdict.resolution import CommonNoise, FSCNeverFalls, MaskRaisesFSC, MaskTooSmall
from torchsag.workflows.average.controls import Control, ControlledRun
from torchsag.workflows.average.map_comparison import MapComparison, compare_with_map

HalfMaps = tuple[DensityMap, DensityMap]


@dataclass(frozen=True)
class Known:
    """What a run was told of the truth.

    Attributes
    ----------
    oracle
        Half-maps at the true poses.
    structure
        A map of the true structure.
    symmetry
        Of that structure.
    reference
        The map that the run started from, as it was given.
    control
        How the input was changed.
    """

    oracle: HalfMaps | None = None
    structure: DensityMap | None = None
    symmetry: Symmetry = field(default_factory=lambda: Symmetry("C1"))
    reference: DensityMap | None = None
    control: Control | None = None


@dataclass(frozen=True)
class FinalMaps:
    """See `final_maps`.

    Attributes
    ----------
    halves
        The half-maps.
    whole, final
        The average of the half-maps, unfiltered; weighted by its FSC and sharpened.
    mask
        Where the particle is.
    fsc, oracle
        Curves of the half-maps, and of those at true poses.
    truth, oracle_truth
        The average, and the one at true poses, beside the true structure.
    local
        Resolution around each voxel, angstrom.
    b_factor_angstrom2
        Applied to `final`.
    control
        What the control shows.
    common_noise
        What the half-maps share outside of the particle.
    """

    halves: HalfMaps
    whole: DensityMap
    final: DensityMap
    mask: Float[Tensor, "z y x"]
    fsc: HalfMapFSC
    oracle: HalfMapFSC | None
    truth: MapComparison | None
    oracle_truth: MapComparison | None
    local: DensityMap
    b_factor_angstrom2: float
    control: Finding | None
    common_noise: CommonNoise

    @cached_property
    def locally_filtered(self) -> DensityMap:
        """The average of the half-maps, sharpened and low-passed around each voxel to the resolution there."""
        return filter_locally(sharpen(self.whole, self.b_factor_angstrom2), self.local)

    def curves(self) -> dict[str, Float[Tensor, " shells"]]:
        """The further curves of ``fsc.csv``, by name."""
        curves = {}
        if self.oracle is not None:
            curves["oracle"] = self.oracle.corrected
        if self.truth is not None:
            curves["truth"] = self.truth.fsc.masked
        if self.oracle_truth is not None:
            curves["oracle_truth"] = self.oracle_truth.fsc.masked
        return curves

    def summary(self) -> dict[str, float | bool | None]:
        """Figures, by name."""
        figures: dict[str, float | bool | None] = {}
        for prefix, fsc in (("", self.fsc), ("oracle_", self.oracle)):
            if fsc is not None:
                figures[f"{prefix}resolution_0.143_angstrom"] = fsc.resolution()
                figures[f"{prefix}resolution_0.5_angstrom"] = fsc.resolution(0.5)
                figures[f"{prefix}resolution_0.143_unmasked_angstrom"] = fsc.resolution(curve="unmasked")
        for prefix, comparison in (("", self.truth), ("oracle_", self.oracle_truth)):
            if comparison is not None:
                figures[f"{prefix}truth_resolution_0.5_angstrom"] = comparison.fsc.resolution(0.5, curve="masked")
                figures[f"{prefix}truth_correlation"] = comparison.correlation
                figures[f"{prefix}truth_correlation_mirrored"] = comparison.mirrored
        figures["median_local_resolution_angstrom"] = float(self.local.density[self.mask > 0.5].median())
        figures["b_factor_angstrom2"] = self.b_factor_angstrom2
        return figures

    def judged(self) -> list[Finding | None]:
        """What the maps themselves say, beside a known truth and a control."""
        findings = [self.control, FSCNeverFalls()(self.fsc, self.common_noise)]
        findings += [MaskTooSmall()(self.fsc, self.mask), MaskRaisesFSC()(self.fsc)]
        if self.truth is not None and self.truth.mirrored > self.truth.correlation + 0.02:
            evidence = {"correlation": self.truth.correlation, "correlation_mirrored": self.truth.mirrored}
            text = (
                f"the mirror image of the average fits the true structure better ({self.truth.mirrored:.3f} against "
                f"{self.truth.correlation:.3f}): the hand of the tomograms is wrong"
            )
            findings.append(Finding("hand_opposite", "wrong", text, evidence))
        return findings


def final_maps(
    comparison: MaskedComparison,
    maps: HalfMaps,
    known: Known,
    symmetry: Symmetry,
    b_factor_angstrom2: float | None,
) -> FinalMaps:
    """Judge the final half-maps of a run.

    Parameters
    ----------
    comparison
        How the run compares half-maps.
    maps
        Half-maps, unfiltered.
    known
        What is known of the truth.
    symmetry
        Imposed on the maps.
    b_factor_angstrom2
        For the sharpening; None estimates it, and applies none where the map is too coarse for that.
    """
    fsc = comparison.compare(*maps)
    whole = _mean(maps)
    mask = comparison.mask(whole, fsc.resolution())
    b_factor = _b_factor(whole, fsc) if b_factor_angstrom2 is None else b_factor_angstrom2

    def beside_truth(volume: DensityMap) -> MapComparison | None:
        if known.structure is None:
            return None
        around = comparison.mask(known.structure, fsc.resolution())
        return compare_with_map(volume, known.structure, around, known.symmetry, fsc.resolution())

    control = None
    if known.control is not None:
        control = known.control.finding(
            ControlledRun(fsc, whole, known.reference, symmetry, comparison.coarsest_angstrom)
        )
    return FinalMaps(
        halves=maps,
        whole=whole,
        final=sharpen(weigh_shells(whole, figure_of_merit(fsc.corrected)), b_factor),
        mask=mask,
        fsc=fsc,
        oracle=None if known.oracle is None else comparison.compare(*known.oracle),
        truth=beside_truth(whole),
        oracle_truth=None if known.oracle is None else beside_truth(_mean(known.oracle)),
        local=local_resolution(*maps),
        b_factor_angstrom2=b_factor,
        control=control,
        common_noise=CommonNoise.of(*maps, symmetry.order),
    )


def _mean(maps: HalfMaps) -> DensityMap:
    return DensityMap((maps[0].density + maps[1].density) / 2, maps[0].voxel_size)


def _b_factor(whole: DensityMap, fsc: HalfMapFSC) -> float:
    try:
        return estimate_b_factor(whole, fsc.corrected, fsc.resolution())
    except InputError:
        return 0.0  # too coarse for a Guinier plot; the summary says that nothing was applied
