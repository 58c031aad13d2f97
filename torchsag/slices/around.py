"""Build the objective around the current poses."""

from __future__ import annotations

from jaxtyping import Integer
from torch import Tensor

from torchsag.geometry import Poses
from torchsag.losses.loss import PointwiseLoss
from torchsag.optim import Objective
from torchsag.slices.autograd_objective import AutogradObjective
from torchsag.slices.calibration import calibrate
from torchsag.slices.matching import Matching
from torchsag.slices.slice_objective import SliceObjective


def objective_around(matching: Matching, poses: Poses, particle: Integer[Tensor, " problems"]) -> Objective:
    """The loss of each pose's particle as a function of the move away from it, calibrated there by one pass.

    Pointwise scores get analytic gradients and Gauss-Newton blocks; any other gets autograd's gradients.
    """
    calibration, _ = calibrate(matching, poses, particle)
    loss = matching.loss
    if isinstance(loss, PointwiseLoss):
        return SliceObjective(matching, loss, poses, particle, calibration)
    return AutogradObjective(matching, poses, particle, calibration)
