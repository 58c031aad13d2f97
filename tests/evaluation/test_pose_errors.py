import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.evaluation.pose_errors import RemoveCommonTransform, SameFrame, common_transform, compare_poses, expand
from torchsag.geometry import Poses, Symmetry, random_rotations, rotvec_to_matrix

COUNT = 40


def poses(seed, count=COUNT):
    generator = torch.Generator().manual_seed(seed)
    shifts = torch.randn(count, 3, generator=generator, dtype=torch.float64) * 3
    return Poses(random_rotations(count, generator, torch.float64), shifts)


def moved(true, degrees, voxels, seed=1):
    """Poses off by exactly this much in random directions."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.randn(2, len(true), 3, generator=generator, dtype=torch.float64)
    axes = axes / axes.norm(dim=-1, keepdim=True)
    return true.retract(torch.cat([axes[0] * math.radians(degrees), axes[1] * voxels], -1))


@pytest.mark.parametrize("name", ["C1", "C7", "D7", "T", "O", "I"])
@pytest.mark.parametrize("degrees", [0.0, 1e-4, 1.0, 5.0])
def test_errors_are_the_true_ones_for_any_equivalent_pose(name, degrees):
    symmetry, true = Symmetry(name), poses(0)
    index = torch.arange(COUNT) % symmetry.order
    estimated = moved(Poses(true.rotations @ symmetry.rotations[index], true.shifts), degrees, 0.7)
    errors = compare_poses(estimated, true, symmetry)
    torch.testing.assert_close(errors.rotation_deg, torch.full((COUNT,), degrees).double(), atol=1e-5, rtol=1e-6)
    torch.testing.assert_close(errors.shift_voxels, torch.full((COUNT,), 0.7).double())


def test_half_turn():
    true = Poses.identity(1, torch.float64)
    turned = Poses(rotvec_to_matrix(torch.tensor([[0.0, math.pi, 0.0]], dtype=torch.float64)), true.shifts)
    assert compare_poses(turned, true, Symmetry("C1")).rotation_deg.item() == pytest.approx(180)
    assert compare_poses(turned, true, Symmetry("D2")).rotation_deg.item() == pytest.approx(0, abs=1e-6)


def test_different_numbers_are_refused():
    with pytest.raises(InputError, match="as many true poses as estimated ones, 3, got 2"):
        compare_poses(poses(0, 3), poses(0, 2), Symmetry())


def test_same_frame_changes_nothing():
    estimated = poses(0)
    assert SameFrame()(estimated, poses(1), Symmetry()) is estimated


@pytest.mark.parametrize("name", ["C1", "D7", "O"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_common_transform_is_found_among_noise_symmetry_and_outliers(name, dtype):
    symmetry, true = Symmetry(name), poses(0)
    common = poses(5, 1)
    index = torch.arange(COUNT) % symmetry.order
    equivalent = Poses(true.rotations @ symmetry.rotations[index], true.shifts)
    estimated = moved(equivalent.compose(expand(common, COUNT)), 1.0, 0.1)
    wrong = poses(9, COUNT // 4)
    estimated = Poses.concatenate([wrong, estimated[COUNT // 4 :]])
    found = common_transform(estimated.to(dtype), true.to(dtype), symmetry)
    assert found.rotations.dtype == dtype
    # The frame is known up to an operation of the symmetry on its left.
    off = compare_poses(found.inverse(), common.inverse(), symmetry)
    assert off.rotation_deg.item() < 0.6
    judged = RemoveCommonTransform()(estimated.to(dtype), true.to(dtype), symmetry)
    errors = compare_poses(judged, true, symmetry)
    assert errors.rotation_deg[COUNT // 4 :].median() < 1.3
    assert errors.shift_voxels[COUNT // 4 :].median() < 0.2
    assert errors.rotation_deg[: COUNT // 4].median() > 5


def test_exact_common_transform_leaves_no_error():
    true, common = poses(0), poses(5, 1)
    estimated = true.compose(expand(common, COUNT))
    errors = compare_poses(RemoveCommonTransform()(estimated, true, Symmetry()), true, Symmetry())
    assert errors.rotation_deg.max() < 1e-5
    assert errors.shift_voxels.max() < 1e-9
    assert compare_poses(estimated, true, Symmetry()).rotation_deg.min() > 1
