"""Wigner d against closed forms and against harmonics turned one direction at a time."""

import math

import pytest
import torch
from scipy.special import sph_harm_y

from torchsag.geometry import random_rotations
from torchsag.geometry.rotations import axis_rotation
from torchsag.harmonics import wigner_d

BETA = torch.tensor([0.0, 0.3, 1.2, math.pi / 2, 2.9, math.pi], dtype=torch.float64)


def test_degree_one_is_the_textbook_matrix():
    cos, sin = torch.cos(BETA), torch.sin(BETA) / math.sqrt(2)
    plus, minus = (1 + cos) / 2, (1 - cos) / 2
    expected = torch.stack([plus, sin, minus, -sin, cos, sin, minus, -sin, plus], -1).unflatten(-1, (3, 3))
    torch.testing.assert_close(wigner_d(1, BETA), expected)


@pytest.mark.parametrize("degree", [0, 1, 4, 9])
def test_turns_harmonics(degree):
    """``Y_ln(R^T x) = sum_m D_mn Y_lm(x)`` with ``D = e^{-i m alpha} d e^{-i n gamma}``."""
    alpha, gamma = 0.7, -1.9
    m = torch.arange(-degree, degree + 1, dtype=torch.float64)
    directions = random_rotations(5, torch.Generator().manual_seed(0), torch.float64)[:, 0]

    def harmonics(x):
        theta, phi = torch.arccos(x[:, 2]), torch.atan2(x[:, 1], x[:, 0])
        values = sph_harm_y(degree, m.long().numpy(), theta.numpy()[:, None], phi.numpy()[:, None])
        return torch.from_numpy(values)

    for beta, d in zip(BETA, wigner_d(degree, BETA), strict=True):
        first, last = (axis_rotation("z", torch.tensor(angle, dtype=torch.float64)) for angle in (alpha, gamma))
        rotation = first @ axis_rotation("y", beta) @ last
        matrix = torch.exp(-1j * m * alpha)[:, None] * d * torch.exp(-1j * m * gamma)
        torch.testing.assert_close(harmonics(directions @ rotation), harmonics(directions) @ matrix)


def test_stays_orthogonal_at_high_degree():
    d = wigner_d(60, BETA)
    torch.testing.assert_close(d @ d.mT, torch.eye(121, dtype=torch.float64).expand_as(d))
