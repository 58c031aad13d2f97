"""True poses have the distributions they claim."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.simulation.pose_distribution import BiasedPoses, UniformPoses

COUNT = 3000


def test_uniform_rotations_are_uniform():
    """Haar measure: every matrix element has mean 0 and variance 1/3, and angles follow (1 - cos a) / pi."""
    rotations = UniformPoses().draw(0, range(COUNT)).rotations
    identity = torch.eye(3, dtype=torch.float64)
    torch.testing.assert_close(rotations @ rotations.mT, identity.expand(COUNT, 3, 3))
    assert float(rotations.mean(0).abs().max()) < 4 / math.sqrt(3 * COUNT)
    assert float((rotations.square().mean(0) - 1 / 3).abs().max()) < 0.03
    angles = torch.acos(((rotations.diagonal(dim1=1, dim2=2).sum(-1) - 1) / 2).clamp(-1, 1)).sort().values
    expected = (angles - angles.sin()) / math.pi
    empirical = (torch.arange(COUNT) + 0.5) / COUNT
    assert float((expected - empirical).abs().max()) < 1.63 / math.sqrt(COUNT)  # Kolmogorov-Smirnov at 1 %


def test_shifts_fill_a_ball():
    shifts = UniformPoses(max_shift=4.0).draw(0, range(COUNT)).shifts
    radius = shifts.norm(dim=-1).sort().values
    assert float(radius.max()) <= 4.0
    empirical = (torch.arange(COUNT) + 0.5) / COUNT
    assert float(((radius / 4.0) ** 3 - empirical).abs().max()) < 1.63 / math.sqrt(COUNT)
    assert float(shifts.mean(0).abs().max()) < 0.15


def test_bias_gathers_views_about_the_beam():
    poses = BiasedPoses(concentration=5.0).draw(0, range(COUNT))
    cosine = poses.rotations[:, 2, 2]  # z of the reference's z axis in the particle
    expected = 1 / math.tanh(5.0) - 1 / 5.0  # mean of the von Mises-Fisher density
    assert float(cosine.mean()) == pytest.approx(expected, abs=0.01)
    half_way = math.degrees(math.acos(1 + math.log(math.exp(-10) + (1 - math.exp(-10)) * 0.5) / 5))
    assert half_way == pytest.approx(31, abs=1)
    assert float((cosine > math.cos(math.radians(half_way))).double().mean()) == pytest.approx(0.5, abs=0.03)


def test_no_bias_is_uniform_in_the_cosine():
    cosine = BiasedPoses(concentration=0.0).draw(0, range(COUNT)).rotations[:, 2, 2].sort().values
    empirical = (torch.arange(COUNT) + 0.5) / COUNT
    assert float(((cosine + 1) / 2 - empirical).abs().max()) < 1.63 / math.sqrt(COUNT)


@pytest.mark.parametrize("distribution", [UniformPoses(), BiasedPoses()])
def test_a_pose_depends_on_seed_and_number_alone(distribution):
    many, one = distribution.draw(7, range(10)), distribution.draw(7, range(6, 7))
    assert torch.equal(many.rotations[6], one.rotations[0])
    assert torch.equal(many.shifts[6], one.shifts[0])
    assert not torch.equal(distribution.draw(8, range(6, 7)).rotations, one.rotations)


def test_refuses_nonsense():
    with pytest.raises(InputError, match="max_shift >= 0"):
        UniformPoses(-1.0)
    with pytest.raises(InputError, match="concentration"):
        BiasedPoses(concentration=-1.0)
