"""Build the objective around the current poses."""

from __future__ import annotations

from jaxtyping import Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.losses.loss import PointwiseScore
from torchsag.optim import Objective
from torchsag.slices.autograd_objective import AutogradObjective
from torchsag.slices.calibration import calibrate
from torchsag.slices.matching import Comparison
from torchsag.slices.slice_objective import SliceObjective


def objective_around(comparison: Comparison, poses: Poses, particle: Integer[Tensor, " problems"]) -> Objective:
    """The loss of each pose's particle as a function of the move away from it, calibrated there by one pass.

    Pointwise scores get analytic gradients and Gauss-Newton blocks; any other gets autograd's gradients.
    """
    calibration, _ = calibrate(comparison, poses, particle)
    score = comparison.score
    if isinstance(score, PointwiseScore):
        return SliceObjective(comparison, score, poses, particle, calibration)
    return AutogradObjective(comparison, poses, particle, calibration)
