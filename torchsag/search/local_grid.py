"""Start from prior poses: as they are, or from a small grid of turns around each."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotvec_to_matrix
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.search.candidates import Candidates, Limits
from torchsag.search.shift_lattice import shift_lattice


@dataclass(frozen=True)
class LocalGrid:
    """Stay near each particle's prior pose.

    Attributes
    ----------
    cone_deg
        Largest rotation away from the prior, degrees; also the radius of the grid of turns.
    max_shift
        Largest distance from the prior, voxels.
    step_deg
        No turn well within the cone is farther than this from a trial turn (at its rim, half as far again). A cone
        no wider than this, as by default, starts from the prior alone: the default method's refinement leads back
        from 17 degrees (its `basin_deg`), this search's 15 among them.
    """

    cone_deg: float = 15.0
    max_shift: float = 5.0
    step_deg: float = 15.0

    def __post_init__(self):
        for name in ("cone_deg", "max_shift", "step_deg"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name}: expected a value above 0, got {getattr(self, name)}")
        if self.cone_deg > 4 * self.step_deg:
            raise InputError(
                f"cone_deg: expected at most four times step_deg ({self.step_deg:g}), got {self.cone_deg:g}; "
                "search all rotations instead (search=rotational_matching)"
            )

    def prepare(
        self, reference: DensityMap, symmetry: Symmetry, device: torch.device | str = "cpu"
    ) -> PreparedLocalGrid:
        """Lay out the turns."""
        return PreparedLocalGrid(self, symmetry, device)


class PreparedLocalGrid:
    """See `LocalGrid`."""

    max_shell = 0  # what particles look like is of no concern here

    def __init__(self, search: LocalGrid, symmetry: Symmetry, device: torch.device | str):
        self._search, self._symmetry = search, symmetry
        cone, step = math.radians(search.cone_deg), math.radians(search.step_deg)
        self._turns = rotvec_to_matrix(turns_in_cone(cone, step)).to(device)

    def __call__(self, particles: ParticleBatch) -> Candidates:
        """Each particle's prior, then the prior turned."""
        if particles.poses is None:
            raise InputError(
                f"{particles.names[0]}: expected a prior pose to search around, got none; "
                "list poses with the particles or search all rotations (search=rotational_matching)"
            )
        prior = particles.poses
        rotations = self._turns @ prior.rotations[:, None]
        shifts = prior.shifts[:, None].expand(-1, len(self._turns), -1)
        scores = torch.zeros(rotations.shape[:2], device=rotations.device)
        limits = Limits(prior, math.radians(self._search.cone_deg), self._search.max_shift, self._symmetry)
        return Candidates(Poses(rotations, shifts.contiguous()), scores, limits)


def turns_in_cone(cone: float, step: float) -> Float[Tensor, "turns 3"]:
    """Rotation vectors (radians) within `cone`, the zero vector first, that leave no gap wider than `step`."""
    if cone <= step:
        return torch.zeros(1, 3)
    return shift_lattice(cone, step)
