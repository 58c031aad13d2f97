"""Trial shifts: a body-centred cubic lattice in a ball, the thinnest covering of space by equal balls."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def shift_lattice(radius: float, covering: float) -> Float[Tensor, "shifts 3"]:
    """Lattice points (voxels, nearest to the centre first) of a ball of `radius`.

    Lattice points up to half of `covering` outside the ball are kept: no point of the ball is farther than `covering`
    from one, but for those less than half of it from the rim, where it may be one and a half times as far.
    """
    if radius <= 0:
        return torch.zeros(1, 3)
    edge = 4 * covering / math.sqrt(5)
    reach = math.ceil((radius + covering) / edge)
    corner = torch.cartesian_prod(*[torch.arange(-reach, reach + 1, dtype=torch.float64)] * 3)
    points = torch.cat([corner, corner + 0.5]) * edge
    distance = points.norm(dim=-1)
    inside = points[distance <= radius + covering / 2]
    order = inside.norm(dim=-1).argsort(stable=True)
    return inside[order].float()
