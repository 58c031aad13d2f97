"""An independent look at heterogeneity: principal components of the particles' constrained correlations, then k-means.

Every pair of particles is compared over what both measured, so that a common wedge does not make them alike. Source:
Förster et al. 2008, J. Struct. Biol. 161:276. The cost grows with the square of the number of particles.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.classification.evidence import Views
from torchsag.errors import InputError


@dataclass(frozen=True)
class WedgePCA:
    """Principal components and k-means.

    Attributes
    ----------
    components
        Principal components that k-means sees.
    starts
        Random starts of k-means; the tightest clustering counts.
    most
        Particles looked at, at most; a random choice of that many.
    """

    components: int = 4
    starts: int = 20
    most: int = 1000

    def __post_init__(self):
        if min(self.components, self.starts, self.most) < 1:
            raise InputError("wedge_pca: expected components, starts and most of at least 1")

    def coordinates(self, views: Views) -> Float[Tensor, "particles components"]:
        """Of particles with one view each."""
        similarity = constrained_correlations(views)
        centred = similarity - similarity.mean(0) - similarity.mean(1, keepdim=True) + similarity.mean()
        values, vectors = torch.linalg.eigh(centred.double())
        kept = min(self.components, len(values))
        return vectors[:, -kept:].flip(1) * values[-kept:].flip(0).clamp_min(0).sqrt()

    def clusters(
        self, coordinates: Float[Tensor, "particles components"], classes: int, seed: int
    ) -> Integer[Tensor, " particles"]:
        """Labels by k-means."""
        from scipy.cluster.vq import kmeans2  # brings much of scipy along: for those who need it

        points = coordinates.numpy()
        best, least = np.zeros(len(points), int), np.inf
        for start in range(self.starts):
            chosen = np.random.default_rng([seed, start]).choice(len(points), min(classes, len(points)), replace=False)
            # A start that leaves a cluster empty is no worse than any other local optimum; scipy only warns of it.
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                centres, labels = kmeans2(points, points[chosen], minit="matrix")
            spread = float(np.square(points - centres[labels]).sum())
            if spread < least:
                best, least = labels, spread
        return torch.from_numpy(best.astype(np.int64))


def constrained_correlations(views: Views) -> Float[Tensor, "particles particles"]:
    """Correlation of every pair's differences from the common average over what both measured; one view each."""
    data, weights = views.data[:, 0], views.weights[:, 0]
    power = torch.where(weights > 0, data.abs().square() / weights.clamp_min(1e-30), 0)
    cross = data.real @ data.real.T + data.imag @ data.imag.T
    shared = power @ weights.T  # power of the first, where and as far as the second measured
    return cross * (shared * shared.T).clamp_min(1e-30).rsqrt()
