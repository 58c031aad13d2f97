"""Who is drawn, how often, and who counts as the same."""

import math

import pytest
import torch

from torchsag.alignment.xu_alber.candidate_lottery import draw_candidates, pose_gap
from torchsag.geometry import Poses, rotvec_to_matrix


def test_draws_follow_the_weights():
    """Three candidates: s = 10^5, so weights 1, 10^5 and 10^10 from the worst to the best."""
    distance = torch.tensor([[1.2, 1.0, 1.1]], dtype=torch.float64)
    active = torch.ones(1, 3, dtype=torch.bool)
    second = 1e5 / (1 + 1e5 + 1e10)
    assert draw_candidates(distance, active, 0.0).tolist() == [0]
    assert draw_candidates(distance, active, 0.5 * second).tolist() == [2]
    assert draw_candidates(distance, active, 2 * second).tolist() == [1]


def test_large_gaps_count_by_their_ratio():
    distance = torch.tensor([[1.0, 1e-6]], dtype=torch.float64)  # s = 10^10 exceeds the ratio of 10^6
    both = torch.ones(1, 2, dtype=torch.bool)
    assert draw_candidates(distance, both, 0.5e-10).tolist() == [0]
    assert draw_candidates(distance, both, 2e-10).tolist() == [1]


def test_inactive_ones_are_never_drawn():
    distance = torch.rand(50, 4)
    active = torch.zeros(50, 4, dtype=torch.bool)
    chosen = torch.arange(50) % 4
    active[torch.arange(50), chosen] = True
    for uniform in (0.0, 0.4, 0.999999):
        assert torch.equal(draw_candidates(distance, active, uniform), chosen)


def test_gap_is_the_frobenius_norm():
    first, second = Poses.identity(1), Poses.identity(1)
    turned = Poses(rotvec_to_matrix(torch.tensor([[0.0, 0.0, 0.7]])), first.shifts)
    moved = Poses(second.rotations, torch.tensor([[0.3, 0.0, -0.4]]))
    assert float(pose_gap(first, turned)) == pytest.approx(2 * math.sqrt(2) * math.sin(0.35), rel=1e-5)
    assert float(pose_gap(second, moved)) == pytest.approx(math.sqrt(3) * 0.5, rel=1e-5)
