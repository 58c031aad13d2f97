"""An average beside a known structure, and its hand."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.frames import as_particle, bring_back
from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.fourier import low_pass
from torchsag.geometry import Symmetry
from torchsag.particles import DensityMap


@dataclass(frozen=True)
class MapComparison:
    """How an average agrees with a map that it was not made from.

    Attributes
    ----------
    fsc
        Curves of the average, turned onto the map, against it; 0.5 is the threshold to read them at.
    correlation
        Over the mask, both low-passed to the resolution of the comparison.
    mirrored
        The same for the average's mirror image, turned anew. Clearly higher than `correlation`: wrong hand.
    """

    fsc: HalfMapFSC
    correlation: float
    mirrored: float


def compare_with_map(
    average: DensityMap, known: DensityMap, mask: Float[Tensor, "z y x"], symmetry: Symmetry, resolution: float
) -> MapComparison:
    """Turn an average and its mirror image onto a map.

    Parameters
    ----------
    average
        Unfiltered.
    known
        The map, of the same box and voxel size.
    mask
        Soft mask around the known map.
    symmetry
        Of the map.
    resolution
        To which the two are compared when they are turned onto each other, angstrom.
    """
    masked = replace(known, density=known.density * mask)
    # Finer detail than half the map's size is needed for an orientation at all.
    limit = min(resolution, max(known.box) * known.voxel_size / 4)
    prepared = CurvatureSAGAligner(max_resolution_angstrom=limit).prepare(masked, symmetry)
    placed = [bring_back(volume, prepared(as_particle(volume)).poses) for volume in (average, average.mirrored())]
    same, mirrored = (_correlation(volume.density, known.density, mask, limit, known.voxel_size) for volume in placed)
    return MapComparison(compare_half_maps(placed[0], known, mask), same, mirrored)


def _correlation(first: Tensor, second: Tensor, mask: Tensor, resolution: float, voxel_size: float) -> float:
    a, b = (low_pass(volume * mask, resolution, voxel_size) for volume in (first, second))
    inside = mask > 0.5
    return float(torch.corrcoef(torch.stack([a[inside], b[inside]]))[0, 1])
