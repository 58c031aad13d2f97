"""Truth: the left Jacobian against differences of the exponential map, at zero, near it, and beyond pi."""

import math

import pytest
import torch

from torchsag.geometry.rotations import cross_matrix, left_jacobian, matrix_to_rotvec, rotvec_to_matrix

AXIS = torch.tensor([0.48, -0.6, 0.64], dtype=torch.float64)


@pytest.mark.parametrize("angle", [0.0, 1e-5, 0.0099, 0.0101, 0.7, math.pi, 4.0])
def test_jacobian_of_the_exponential(angle):
    here, step = angle * AXIS, 1e-5
    base = rotvec_to_matrix(here)
    columns = []
    for axis in torch.eye(3, dtype=torch.float64):
        ahead, behind = (rotvec_to_matrix(here + sign * step * axis) @ base.mT for sign in (1, -1))
        columns.append((matrix_to_rotvec(ahead) - matrix_to_rotvec(behind)) / (2 * step))
    torch.testing.assert_close(left_jacobian(here), torch.stack(columns, -1), atol=1e-8, rtol=1e-7)


def test_single_precision_is_smooth_where_the_series_takes_over():
    angles = torch.linspace(0.005, 0.02, 200)
    single = left_jacobian(angles[:, None] * AXIS.float())
    torch.testing.assert_close(single.double(), left_jacobian(angles.double()[:, None] * AXIS), atol=3e-5, rtol=0)


def test_cross_matrix_is_the_cross_product():
    first, second = torch.randn(2, 5, 3, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        (cross_matrix(first) @ second[..., None])[..., 0], torch.linalg.cross(first, second, dim=-1)
    )
