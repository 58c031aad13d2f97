"""Lü et al. 2019 with their Algorithm 2: a batch of slices a step."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchsag.alignment.candidate_refinement import CandidateRefinement
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.interpolation import Interpolation
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.loss import Loss, require_additive
from torchsag.optim import Optimizer, Preconditioned, SAGMinibatch, Whitening
from torchsag.search.candidates import Search
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.slices.partition import Partition
from torchsag.slices.planes import TiltAxisSlices

# Steps of 12 degrees: the few candidates must hold the right one.
_FINE_MATCHING = RotationalMatching(degree=14, num_candidates=10, separation_deg=12.0)


@dataclass(frozen=True)
class SAGAligner(CandidateRefinement):
    """Fine alignment by the stochastic average gradient over slices, from the candidates of a search.

    Differs from the paper in four points, each because the paper's own choice is biased or slow: slices lie along the
    tilt axis, where they add up exactly (`TiltAxisSlices`; `XSlices` is the paper's); amplitude and offset are unknowns
    instead of frozen norms (`ConstrainedDistance`); rotations and shifts are scaled by the curvature at the start
    (`Whitening`); volumes are band-limited and cropped first. Moves are taken in the tangent space, not in Euler
    angles.

    Attributes are those of `CandidateRefinement`. The optimizer's tolerance is in whitened units, where one standard
    error of the pose is about ``1 / sqrt(number of slices)``.
    """

    search: Search = field(default_factory=lambda: _FINE_MATCHING)
    loss: Loss = field(default_factory=ConstrainedDistance)
    partition: Partition = field(default_factory=TiltAxisSlices)
    optimizer: Optimizer = field(
        default_factory=lambda: Preconditioned(SAGMinibatch(batch_fraction=0.25, tolerance=0.03), Whitening())
    )
    interpolation: Interpolation = field(default_factory=CubicSpline)

    def __post_init__(self):
        super().__post_init__()
        require_additive(self.loss, "SAG")
