"""The TOM family's angles against numbers that other programs printed for the same particles."""

import math

import pytest
import torch

from torchsag.geometry import random_rotations, rotation_distance, zyz_to_matrix
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix


def _relion(rot_deg, tilt_deg, psi_deg):
    return zyz_to_matrix(torch.deg2rad(torch.tensor([[rot_deg, tilt_deg, psi_deg]], dtype=torch.float64)))


def _zxz(phi_deg, psi_deg, theta_deg):
    return zxz_to_matrix(torch.tensor([[phi_deg, psi_deg, theta_deg]], dtype=torch.float64))


def test_dynamo_numbers():
    """(tdrot, tilt, narot) and (rot, tilt, psi) of one particle, converted by dynamo2m."""
    tdrot, tilt, narot = -47.2730, 1.1777, -132.3000
    ours = _zxz(tdrot, narot, tilt).mT
    torch.testing.assert_close(ours, _relion(137.7000, 1.1777, 42.7270), atol=1e-9, rtol=0)
    assert matrix_to_zxz(ours.mT)[0].tolist() == pytest.approx([tdrot, narot, tilt], abs=1e-6)


def test_av3_numbers():
    """First particle of a Warp list in RELION 3.0 angles, and as cryoCAT lists it in its AV3 convention."""
    ours = _zxz(-29.80023, 3.911201, -120.999041)
    torch.testing.assert_close(ours, _relion(-60.199770, 120.999041, 86.088799), atol=1e-7, rtol=0)


def test_round_trip_everywhere():
    rotations = random_rotations(200, torch.Generator().manual_seed(0), torch.float64)
    angles = matrix_to_zxz(rotations)
    assert rotation_distance(zxz_to_matrix(angles), rotations).max() < 1e-10
    assert angles[:, :2].abs().max() <= 180
    assert angles[:, 2].min() >= 0


@pytest.mark.parametrize("theta_deg", [0.0, 180.0])
def test_poles(theta_deg):
    rotation = _zxz(20.0, 30.0, theta_deg)
    assert rotation_distance(zxz_to_matrix(matrix_to_zxz(rotation)), rotation).max() < 1e-7


def test_phi_turns_the_reference_first():
    """A point on x goes to y by phi = 90, then to z by theta = 90, and psi leaves it there."""
    moved = _zxz(90.0, 77.0, 90.0)[0] @ torch.tensor([1.0, 0, 0], dtype=torch.float64)
    torch.testing.assert_close(moved, torch.tensor([0.0, 0, 1], dtype=torch.float64), atol=1e-12, rtol=0)
    assert math.isclose(float(_zxz(0.0, 90.0, 0.0)[0, 1, 0]), 1)
