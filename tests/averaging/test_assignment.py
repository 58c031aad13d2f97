"""At which poses particles enter an average."""

from dataclasses import replace

import pytest
import torch

from torchsag.averaging import MapSums
from torchsag.averaging.assignment import Assignment, BestPose, Posterior
from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.likelihood.modes import PoseModes

HALVES = torch.tensor([1, 2, 1, 2, 1, 2])


def _poses(count, most):
    generator = torch.Generator().manual_seed(2)
    rotations = random_rotations(count * most, generator).unflatten(0, (count, most))
    return Poses(rotations, 0.5 * torch.randn(count, most, 3, generator=generator))


def _modes(gain, amplitude=1.0):
    gain = torch.tensor(gain)
    return PoseModes(_poses(*gain.shape), gain, torch.full_like(gain, amplitude), torch.full_like(gain, -9.0))


@pytest.mark.parametrize("rule", [BestPose(), Posterior()])
def test_where_one_pose_is_known_it_counts_in_full(rule):
    assert isinstance(rule, Assignment)
    assert torch.equal(rule(Poses.identity(3), None, HALVES[:3]).shares, torch.ones(3, 1))


def test_the_best_pose_is_asked_for_alone_and_the_posterior_for_all_that_count():
    modes = _modes([[50.0, 49.0, 30.0]] * 6)
    assert BestPose().modes == 1
    assert torch.equal(BestPose()(modes.poses[:, 0], modes, HALVES).poses.shifts, modes.poses.shifts[:, :1])
    shares = Posterior(modes=3, least=0.01)(modes.poses[:, 0], modes, HALVES).shares
    torch.testing.assert_close(shares[0], torch.tensor([0.7311, 0.2689, 0.0]), atol=1e-3, rtol=0)


def test_one_half_says_nothing_of_the_other():
    modes = _modes([[50.0, 49.0]] * 6)
    fainter = replace(modes, amplitude=torch.where(HALVES[:, None] == 2, 0.2, modes.amplitude))
    one, other = (Posterior()(modes.poses[:, 0], some, HALVES).shares for some in (modes, fainter))
    assert torch.equal(one, other)


def test_sums_over_modes_are_those_of_each_with_its_share(blobs):
    poses, shares = _poses(3, 2), torch.tensor([[0.6, 0.4], [0.9, 0.0], [0.3, 0.2]])
    particles = blobs(4.0).particles(poses[:, 0], 16)
    groups, strength = torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0, 1.0])
    together, apart = (MapSums.empty(particles.box, particles.voxel_size, groups=2) for _ in range(2))
    together.add(particles, poses, groups, strength, shares)
    for mode in range(2):
        apart.add(particles, poses[:, mode], groups, strength * shares[:, mode])
    torch.testing.assert_close(together.numerator, apart.numerator)
    torch.testing.assert_close(together.denominator, apart.denominator)
    assert together.counts.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("words", "name"), [({"modes": 0}, "modes"), ({"least": 1.0}, "least"), ({"least": -0.1}, "least")]
)
def test_what_cannot_be_is_refused(words, name):
    with pytest.raises(InputError, match=f"assignment.{name}"):
        Posterior(**words)
