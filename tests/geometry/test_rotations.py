import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from torchsag.geometry import matrix_to_zyz, random_rotations, rotation_distance, rotvec_to_matrix, zyz_to_matrix
from torchsag.geometry.rotations import (
    axis_rotation,
    left_jacobian,
    matrix_to_rotvec,
    mean_rotation,
    project_to_rotation,
)


def _generator(seed=0):
    return torch.Generator().manual_seed(seed)


def _rotations(count=50, seed=0):
    return random_rotations(count, _generator(seed), torch.float64)


def _relion(rot, tilt, psi):
    """`Euler_angles2matrix` of RELION's euler.cpp, angles in radians."""
    ca, cb, cg = math.cos(rot), math.cos(tilt), math.cos(psi)
    sa, sb, sg = math.sin(rot), math.sin(tilt), math.sin(psi)
    cc, cs, sc, ss = cb * ca, cb * sa, sb * ca, sb * sa
    rows = [
        [cg * cc - sg * sa, cg * cs + sg * ca, -cg * sb],
        [-sg * cc - cg * sa, -sg * cs + cg * ca, sg * sb],
        [sc, ss, cb],
    ]
    return torch.tensor(rows, dtype=torch.float64)


@pytest.mark.parametrize(
    "zyz", [(0.3, 0.7, -1.1), (2.9, 1.5, 3.0), (-2.0, 0.0, 0.4), (1.0, math.pi, 0.2), (0.0, 0.0, 0.0)]
)
def test_zyz_is_relions_euler_angles2matrix(zyz):
    torch.testing.assert_close(zyz_to_matrix(torch.tensor(zyz, dtype=torch.float64)), _relion(*zyz))


def test_dynamo_triple_is_the_documented_relion_triple():
    # One particle's angles as two programs write them. Dynamo's (tdrot, tilt, narot) is zxz: its matrix
    # Rz(narot) Rx(tilt) Rz(tdrot) takes the particle back to the reference.
    tdrot, tilt, narot = -47.2730, 1.1777, -132.3000
    dynamo = torch.from_numpy(Rotation.from_euler("ZXZ", [narot, tilt, tdrot], degrees=True).as_matrix())
    relion = torch.tensor([137.7000, 1.1777, 42.7270], dtype=torch.float64).deg2rad()
    torch.testing.assert_close(zyz_to_matrix(relion), dynamo.mT, atol=1e-5, rtol=0)


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_elementary_rotations_are_active_and_right_handed(axis):
    angle = torch.tensor([0.0, 0.5, -2.0, math.pi], dtype=torch.float64)
    expected = torch.from_numpy(Rotation.from_euler(axis, angle.numpy()[:, None]).as_matrix())
    torch.testing.assert_close(axis_rotation(axis, angle), expected)


def test_rotation_vectors_agree_with_scipy():
    rotvec = 2 * torch.randn(50, 3, generator=_generator(), dtype=torch.float64)
    matrix = rotvec_to_matrix(rotvec)
    torch.testing.assert_close(matrix, torch.from_numpy(Rotation.from_rotvec(rotvec.numpy()).as_matrix()))
    expected = torch.from_numpy(Rotation.from_matrix(matrix.numpy()).as_rotvec())
    torch.testing.assert_close(matrix_to_rotvec(matrix), expected)


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-4, math.pi - 1e-6, math.pi])
def test_rotation_vector_survives_the_hard_angles(angle):
    axis = torch.nn.functional.normalize(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64), dim=0)
    back = matrix_to_rotvec(rotvec_to_matrix(axis * angle))
    # At pi both signs of the axis are right.
    error = torch.minimum((back - axis * angle).norm(), (back + axis * angle).norm() + (angle < math.pi - 1e-9))
    assert float(error) < 1e-7


@pytest.mark.parametrize("angle", [0.0, 1e-8, 1.0, math.pi])
def test_rotation_vector_has_a_correct_gradient_also_at_zero_and_pi(angle):
    axis = torch.nn.functional.normalize(torch.tensor([0.3, 0.4, -0.8], dtype=torch.float64), dim=0)
    assert torch.autograd.gradcheck(rotvec_to_matrix, (axis * angle).requires_grad_())


@pytest.mark.parametrize("tilt", [0.0, 0.6, math.pi])
def test_zyz_to_matrix_has_a_correct_gradient_also_at_the_poles(tilt):
    zyz = torch.tensor([0.4, tilt, -1.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(zyz_to_matrix, zyz)


def test_zyz_round_trip_of_random_rotations():
    matrix = _rotations(200)
    zyz = matrix_to_zyz(matrix)
    assert ((zyz[:, 1] >= 0) & (zyz[:, 1] <= math.pi)).all()
    torch.testing.assert_close(zyz_to_matrix(zyz), matrix)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("tilt", [0.0, math.pi])
def test_zyz_at_the_poles_puts_all_of_the_turn_into_rot(tilt, dtype):
    matrix = zyz_to_matrix(torch.tensor([0.9, tilt, 0.5], dtype=dtype))
    zyz = matrix_to_zyz(matrix)
    assert float(zyz[2]) == 0
    torch.testing.assert_close(zyz_to_matrix(zyz), matrix, atol=1e-5 if dtype == torch.float32 else 1e-12, rtol=0)


def test_distance_is_the_angle_between_rotations():
    first, second = _rotations(50), _rotations(50, seed=1)
    expected = (Rotation.from_matrix(first.numpy()).inv() * Rotation.from_matrix(second.numpy())).magnitude()
    torch.testing.assert_close(rotation_distance(first, second), torch.from_numpy(expected))


@pytest.mark.parametrize("angle", [0.0, 1e-9, 1e-3, math.pi])
def test_distance_is_accurate_for_tiny_and_for_half_turns(angle):
    first = _rotations(1)[0]
    second = rotvec_to_matrix(torch.tensor([0.0, angle, 0.0], dtype=torch.float64)) @ first
    assert float(rotation_distance(first, second)) == pytest.approx(angle, abs=2e-8)


def test_random_rotations_are_rotations_uniform_and_reproducible():
    matrix = _rotations(4000)
    torch.testing.assert_close(matrix @ matrix.mT, torch.eye(3, dtype=torch.float64).expand_as(matrix))
    assert (torch.linalg.det(matrix) > 0).all()
    assert float(matrix.mean(0).abs().max()) < 0.04
    # Haar measure: the angle's density is (1 - cos a) / pi, its mean pi / 2 + 2 / pi.
    angle = rotation_distance(torch.eye(3, dtype=torch.float64).expand_as(matrix), matrix)
    assert float(angle.mean()) == pytest.approx(math.pi / 2 + 2 / math.pi, abs=0.05)
    assert torch.equal(matrix, _rotations(4000))
    assert random_rotations(2).dtype == torch.float32


def test_mean_rotation_is_the_middle_of_a_symmetric_spread():
    centre = _rotations(1)[0]
    spread = torch.tensor([0.2, -0.2, 0.0], dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.0, 0.0]).double()
    torch.testing.assert_close(mean_rotation(rotvec_to_matrix(spread) @ centre), centre)


def test_mean_rotation_follows_its_weights():
    pair = _rotations(2)
    torch.testing.assert_close(mean_rotation(pair, torch.tensor([0.0, 2.0], dtype=torch.float64)), pair[1])


def test_projection_removes_rounding():
    matrix = _rotations(10)
    noisy = matrix + 1e-4 * torch.randn(10, 3, 3, generator=_generator(2), dtype=torch.float64)
    clean = project_to_rotation(noisy)
    torch.testing.assert_close(clean @ clean.mT, torch.eye(3, dtype=torch.float64).expand_as(clean))
    assert float(rotation_distance(clean, matrix).max()) < 1e-3


@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.0099, 0.0101, 0.5, 2.0, math.pi, 5.0])
def test_left_jacobian_is_how_a_rotation_responds_to_its_vector(angle):
    axis = torch.nn.functional.normalize(torch.tensor([0.3, -0.9, 0.5], dtype=torch.float64), dim=0)
    vector, h = angle * axis, 1e-6
    columns = []
    for step in h * torch.eye(3, dtype=torch.float64):
        turn = rotvec_to_matrix(vector + step) @ rotvec_to_matrix(vector - step).mT
        columns.append(matrix_to_rotvec(turn) / (2 * h))
    torch.testing.assert_close(left_jacobian(vector), torch.stack(columns, -1), atol=1e-8, rtol=0)


def test_left_jacobian_keeps_batch_and_precision():
    jacobian = left_jacobian(torch.zeros(2, 5, 3))
    assert jacobian.dtype == torch.float32
    torch.testing.assert_close(jacobian, torch.eye(3).expand(2, 5, 3, 3))
