"""Whether classes are orientations in disguise: does the direction of the missing wedge predict the class?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.geometry import Poses, Symmetry


@dataclass(frozen=True)
class WedgeDependence:
    """A permutation test.

    Attributes
    ----------
    explained
        Part of the variance of the wedge's direction in the particle's frame that the classes explain.
    expected
        The same in the mean over random permutations of the labels.
    p_value
        Part of the permutations that explain as much; small where classes depend on orientation.
    """

    explained: float
    expected: float
    p_value: float


def wedge_dependence(
    poses: Poses, labels: Integer[Tensor, " particles"], symmetry: Symmetry, permutations: int = 999, seed: int = 0
) -> WedgeDependence:
    """Test labels against the directions of beam and tilt axis in the frame of the map, symmetry averaged out.

    Parameters
    ----------
    poses
        One per particle.
    labels
        Its class.
    symmetry
        The highest that particles of different classes share: their common average's.
    permutations
        Random relabellings compared with.
    seed
        Of the permutations.
    """
    features = _features(poses, symmetry)
    centred = features - features.mean(0)
    total = centred.square().sum().clamp_min(1e-30)
    _, index = labels.unique(return_inverse=True)
    count = torch.bincount(index).double()
    generator = torch.Generator().manual_seed(seed)

    def explained(order: Tensor) -> float:
        sums = torch.zeros(len(count), centred.shape[1], dtype=torch.float64).index_add_(0, index[order], centred)
        return float((sums.square() / count[:, None]).sum() / total)

    found = explained(torch.arange(len(labels)))
    drawn = torch.tensor([explained(torch.randperm(len(labels), generator=generator)) for _ in range(permutations)])
    # The labelling itself is one of those that could have come.
    return WedgeDependence(found, float(drawn.mean()), (1 + int((drawn >= found).sum())) / (permutations + 1))


def _features(poses: Poses, symmetry: Symmetry) -> Float[Tensor, "particles 12"]:
    """Second moments of the beam's and the tilt axis's direction in the map's frame, over the symmetry."""
    group = symmetry.rotations
    parts = []
    for row in (2, 1):  # R^T z and R^T y: rows of R
        direction = torch.einsum("gji,pj->pgi", group, poses.rotations[:, row].double())
        tensor = torch.einsum("pgi,pgj->pij", direction, direction) / len(group)
        upper = torch.triu_indices(3, 3)
        parts.append(tensor[:, upper[0], upper[1]])
    return torch.cat(parts, 1)
