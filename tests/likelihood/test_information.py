"""Where the information about a pose lies."""

import pytest
import torch
from blobs import Blobs

from torchsag.likelihood.information import information_lost, information_moved, pose_information, shell_of_information


def test_of_a_point_is_that_of_its_shift():
    """A point away from the centre: |G| = 1 everywhere, shells 0 .. k of shift information grow as k^5."""
    density = torch.zeros(16, 16, 16, dtype=torch.float64)
    density[8, 8, 8] = 1.0
    density = density + 1e-3 * torch.roll(density, (3, 2), (0, 1))
    found = pose_information(density)
    k = torch.stack(torch.meshgrid(*[torch.arange(-8, 8)] * 3, indexing="ij"), -1).double().norm(dim=-1)
    sums = torch.stack([k[k.round() <= shell].square().sum() for shell in range(9)])
    # Shift and rotation information of a point are both sums over |k|^2; only the smaller part is given.
    assert float((found - sums / sums[-1]).max()) < 1e-6
    assert bool((found.diff() >= 0).all())
    assert float(found[-1]) == pytest.approx(1.0)


@pytest.mark.parametrize("box", [20, 21])
def test_against_finite_differences_of_the_transform(box):
    """Squared norm of the derivative by the six degrees of freedom, shell by shell."""
    blobs = Blobs(box)
    axis = torch.arange(-(box // 2), box // 2 + 1, dtype=torch.float64)
    k = torch.cartesian_prod(axis, axis, axis)
    k = k[k.norm(dim=-1).round() <= box // 2]
    k = k[(k.abs() < box / 2).all(-1)]
    value, gradient = blobs.transform(k)
    turning = torch.linalg.cross(k.to(gradient.dtype), gradient, dim=-1).abs().square().sum(-1)
    shifting = k.square().sum(-1) * value.abs().square()
    shell = k.norm(dim=-1).round().long()
    parts = torch.zeros(2, box // 2 + 1, dtype=torch.float64)
    parts = parts.index_add_(1, shell, torch.stack([turning, shifting])).cumsum(1)
    expected = (parts / parts[:, -1:]).amin(0)
    torch.testing.assert_close(pose_information(blobs.density()), expected, atol=2e-3, rtol=0)


def test_shell_of_information_is_the_first_that_reaches_it():
    density = Blobs(24).density()
    information = pose_information(density)
    for fraction in (0.3, 0.9, 0.99):
        shell = shell_of_information(density, fraction)
        assert float(information[shell]) >= fraction
        assert float(information[shell - 1]) < fraction
    assert shell_of_information(density, 1.0) == 11  # never more than the box holds
    smooth = Blobs(24, reach=1.0, sigma=6.0).density()
    assert shell_of_information(smooth, 0.1) == 2


def test_amplitude_counts_as_if_the_map_had_been_multiplied():
    density = Blobs(20).density()
    amplitude = torch.tensor([1.0, 1.0, 0.5, 0.2, 0.0])
    found = pose_information(density, amplitude)
    parts = torch.cat([torch.zeros(1, dtype=torch.float64), pose_information(density).diff()])
    assert bool((found[4:] == 1).all())  # nothing is left beyond the fourth shell
    assert float(found[2]) > float(pose_information(density)[2])
    assert shell_of_information(density, 0.999, amplitude) <= 4
    assert parts[4:].sum() > 0.01
    torch.testing.assert_close(pose_information(density, torch.full((3,), 7.0)), pose_information(density))


def test_information_lost_and_moved():
    density = Blobs(20).density()
    assert information_lost(density, density) == 0
    assert abs(information_lost(density, 0.5 * density) - 0.75) < 1e-5
    ones, half = torch.ones(10), torch.cat([torch.ones(4), torch.zeros(6)])
    assert information_moved(density, ones, density, 2 * ones) < 1e-6
    assert 0.05 < information_moved(density, ones, density, half) <= 1
