"""All checks of particles that were aligned to a given map."""

from __future__ import annotations

from collections.abc import Iterable

from jaxtyping import Float
from torch import Tensor

from torchsag.geometry import Poses, Symmetry
from torchsag.particles import DensityMap, ParticleSet
from torchsag.verdict.finding import Finding
from torchsag.verdict.reference import ContrastOpposite, HandOpposite, NoBetterThanChance, ShiftsAtSearchRadius
from torchsag.verdict.sample import LEAST_BOX, SearchRadius, match_sample, sample_rows
from torchsag.verdict.symmetry import SymmetryInMap, SymmetryNotUsed
from torchsag.verdict.views import OrientationGap, measured_directions

SAMPLE = 48
_VIEWS = 200
# Findings after which the model that the particles were compared with is not theirs.
_WRONG_MODEL = frozenset({
    "contrast_opposite", "hand_opposite", "shifts_at_search_radius", "no_better_than_chance", "noise_alone",
    "symmetry_not_in_reference", "symmetry_axes_differ", "fsc_never_falls", "copies_in_both_halves",
})  # fmt: skip


def meaningless_errors(findings: Iterable[Finding]) -> bool:
    """Whether expected errors, which hold under the right model alone, mean nothing."""
    return any(finding.severity == "wrong" and finding.code in _WRONG_MODEL for finding in findings)


def judge_reference(
    particles: ParticleSet,
    reference: DensityMap,
    radius: SearchRadius | None,
    centres: Float[Tensor, "particles 3"] | None = None,
    seed: int = 0,
) -> list[Finding | None]:
    """Whether a sample of usable particles knows a map.

    Parameters
    ----------
    particles
        All of them usable.
    reference
        The map.
    radius
        Of the run's search of shifts; None where it has none.
    centres
        Where the search of each particle began, voxels; None for the box centres.
    seed
        Of the sample.
    """
    if len(set(particles.box)) != 1 or particles.box[0] < LEAST_BOX:
        return []  # the search has no shells to tell anything by
    if not float(reference.density.std()) > 0:
        return []
    fraction = None if radius is None else radius.fraction
    matches = match_sample(particles, sample_rows(len(particles), SAMPLE, seed), reference, fraction, centres, seed)
    far = None if radius is None else ShiftsAtSearchRadius()(matches, radius)
    found = [ContrastOpposite()(matches), far, HandOpposite()(matches)]
    if any(finding is not None and finding.severity == "wrong" for finding in found):
        return found  # which explains the sample, so that it is not chance
    return [*found, NoBetterThanChance()(matches)]


def judge_symmetry(volume: DensityMap, symmetry: Symmetry, with_truth: bool = False) -> list[Finding | None]:
    """Whether a map that was given has a symmetry that is imposed on it, a note that it is, and whether it has more.

    `with_truth` says that errors against a truth are reported, by the given symmetry.
    """
    if len(set(volume.box)) != 1:
        return []
    tells = volume.box[0] >= LEAST_BOX and float(volume.density.std()) > 0
    more = SymmetryNotUsed()(volume, symmetry, with_truth) if tells else None
    if symmetry.order == 1:
        return [more]
    imposed = Finding("reference_symmetrised", "note", f"symmetry={symmetry.name} was imposed on the reference as well")
    return [SymmetryInMap()(volume, symmetry), imposed, more]


def judge_views(particles: ParticleSet, poses: Poses, symmetry: Symmetry, seed: int = 0) -> list[Finding | None]:
    """Whether the views at some poses measure the map in all directions."""
    rows = sample_rows(len(particles), _VIEWS, seed)
    measured = measured_directions(particles.load(rows), poses.rotations[rows], symmetry)
    return [OrientationGap()(measured)]
