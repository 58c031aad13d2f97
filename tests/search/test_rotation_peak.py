"""The top of a paraboloid is found in one step, and a slope is climbed."""

import torch

from torchsag.geometry import Poses, random_rotations, rotation_distance, rotvec_to_matrix
from torchsag.search.rotation_peak import sub_grid_peak


def test_top_of_a_correlation():
    top = random_rotations(4, generator=torch.Generator().manual_seed(0)).to(torch.float64)
    start = Poses(rotvec_to_matrix(torch.tensor([[0.04, -0.03, 0.02]], dtype=torch.float64)) @ top, torch.zeros(4, 3))

    def score(tried: Poses) -> torch.Tensor:
        each = top.repeat_interleave(len(tried) // 4, 0)
        return torch.cos(3 * rotation_distance(tried.rotations, each))

    found = sub_grid_peak(score, Poses(start.rotations, start.shifts.double()), 0.05)
    assert float(rotation_distance(found.rotations, top).max()) < 2e-3


def test_without_a_top_the_best_of_the_stencil():
    start = Poses.identity(1, dtype=torch.float64)
    found = sub_grid_peak(lambda tried: tried.rotations[:, 1, 0], start, 0.1)  # grows with the turn about z
    assert float(found.rotations[0, 1, 0]) > 0.09
