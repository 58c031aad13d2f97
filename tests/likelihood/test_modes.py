"""Which poses a particle may have, and what speaks for each."""

import math

import pytest
import torch

from torchsag.geometry import Poses
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.modes import most_probable


def _contenders(rows):
    """Rows of (particle, score); the poses are turned about z by one radian more each."""
    particle, score = (torch.tensor(column, dtype=torch.float32) for column in zip(*rows, strict=True))
    move = torch.zeros(len(rows), 6)
    move[:, 2] = 0.1 * torch.arange(len(rows))
    poses = Poses.identity(len(rows)).retract(move)
    return Contenders(poses, particle.long(), score, 0.01 * score, score > 0)


def _modes(rows, most=3, sigma=0.02, allowed=1.0):
    contenders = _contenders(rows)
    variance = torch.full((int(contenders.particle.max()) + 1,), 2.0)
    covariances = (sigma**2 * torch.eye(6)).expand(len(rows), 6, 6)
    return contenders, most_probable(contenders, variance, covariances, allowed, most)


def test_the_best_one_stands_first_and_fills_the_row():
    contenders, modes = _modes([(0, 15.0), (1, 20.0), (0, 16.0), (0, 14.0), (0, 15.5)])
    assert modes.gain[0].tolist() == pytest.approx([16.0**2 / 4, 15.5**2 / 4, 15.0**2 / 4])
    assert torch.equal(modes.poses.rotations[0], contenders.poses.rotations[[2, 4, 0]])
    assert modes.amplitude[0].tolist() == pytest.approx([0.16, 0.155, 0.15])
    assert modes.gain[1].tolist() == [100.0, -math.inf, -math.inf]
    assert torch.equal(modes.poses.rotations[1], contenders.poses.rotations[[1, 1, 1]])


def test_what_fits_the_wrong_way_round_gains_nothing():
    assert float(_modes([(0, -8.0)])[1].gain[0, 0]) == 0


def test_an_optimum_is_as_wide_as_its_gaussian_but_no_wider_than_what_was_possible():
    narrow = _modes([(0, 4.0)], sigma=0.1, allowed=0.5)[1].log_share[0, 0]
    assert float(narrow.exp()) == pytest.approx((2 * math.pi) ** 3 * 0.1**6 / 0.5, rel=1e-4)
    assert float(_modes([(0, 4.0)], sigma=10.0)[1].log_share[0, 0]) == 0
    unknown = most_probable(_contenders([(0, 4.0)]), torch.tensor([2.0]), torch.full((1, 6, 6), torch.nan), 1.0, 3)
    assert float(unknown.log_share[0, 0]) == 0
