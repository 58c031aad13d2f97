import math

import pytest
import torch

from torchsag.geometry import Poses, random_rotations, rotvec_to_matrix


def _poses(count=20, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return Poses(
        random_rotations(count, generator, torch.float64),
        3 * torch.randn(count, 3, generator=generator, dtype=torch.float64),
    )


def _apply(poses, points):
    """Where a pose puts points of the reference: rotate, then shift."""
    return torch.einsum("pij,gj->pgi", poses.rotations, points) + poses.shifts[:, None]


def _points():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def test_compose_applies_the_inner_pose_first():
    outer, inner = _poses(), _poses(seed=1)
    inside = _apply(inner, _points())
    expected = torch.einsum("pij,pgj->pgi", outer.rotations, inside) + outer.shifts[:, None]
    torch.testing.assert_close(_apply(outer.compose(inner), _points()), expected)


def test_inverse_undoes_from_both_sides():
    poses, nothing = _poses(), Poses.identity(20, torch.float64)
    for both in (poses.compose(poses.inverse()), poses.inverse().compose(poses)):
        torch.testing.assert_close(both.rotations, nothing.rotations)
        torch.testing.assert_close(both.shifts, nothing.shifts, atol=1e-12, rtol=0)


def test_retract_turns_about_the_particles_own_centre():
    poses = _poses()
    move = torch.tensor([0.1, -0.3, 0.2, 1.0, 2.0, 3.0], dtype=torch.float64).expand(20, 6)
    moved = poses.retract(move)
    torch.testing.assert_close(moved.shifts, poses.shifts + move[:, 3:])
    torch.testing.assert_close(moved.rotations, rotvec_to_matrix(move[:, :3]) @ poses.rotations)


def test_move_to_is_the_inverse_of_retract():
    poses, other = _poses(), _poses(seed=2)
    back = poses.retract(poses.move_to(other))
    torch.testing.assert_close(back.rotations, other.rotations)
    torch.testing.assert_close(back.shifts, other.shifts)
    assert float(poses.move_to(poses).abs().max()) < 1e-7


@pytest.mark.parametrize("angle", [0.0, math.pi])
def test_retract_has_a_correct_gradient_also_at_no_move_and_a_half_turn(angle):
    poses = _poses(2)
    move = torch.zeros(2, 6, dtype=torch.float64)
    move[:, 1] = angle

    def placed(m):
        return _apply(poses.retract(m), _points())

    assert torch.autograd.gradcheck(placed, move.requires_grad_())


def test_batches_are_cut_joined_and_converted():
    poses = _poses(5)
    joined = Poses.concatenate([poses[:2], poses[2:]])
    assert torch.equal(joined.rotations, poses.rotations)
    assert len(poses[torch.tensor([0, 3])]) == 2
    single = poses.to(torch.float32)
    assert single.rotations.dtype == single.shifts.dtype == torch.float32


def test_poses_from_angles_give_the_angles_back():
    zyz = torch.tensor([[0.4, 1.0, -2.0], [3.0, 0.1, 1.0]], dtype=torch.float64)
    torch.testing.assert_close(Poses.from_zyz(zyz, torch.zeros_like(zyz)).zyz, zyz)


def test_identity_leaves_points_where_they_are():
    torch.testing.assert_close(_apply(Poses.identity(1, torch.float64), _points())[0], _points())


def test_candidates_in_one_row_and_back():
    generator = torch.Generator().manual_seed(0)
    poses = Poses(torch.randn(2, 3, 3, 3, generator=generator), torch.randn(2, 3, 3, generator=generator))
    flat = poses.flatten()
    assert len(flat) == 6
    assert torch.equal(flat.rotations[4], poses.rotations[1, 1])
    back = flat.unflatten((2, 3))
    assert torch.equal(back.rotations, poses.rotations)
    assert torch.equal(back.shifts, poses.shifts)


def test_poses_where_a_condition_holds_and_others_elsewhere():
    still, moved = Poses.identity(2), Poses(-torch.ones(2, 3, 3), torch.ones(2, 3))
    mixed = still.where(torch.tensor([True, False]), moved)
    assert torch.equal(mixed.shifts, torch.tensor([[0.0, 0, 0], [1, 1, 1]]))
    assert torch.equal(mixed.rotations[0], torch.eye(3))
