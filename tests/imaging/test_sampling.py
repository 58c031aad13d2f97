"""Truth: where a placed volume lies, against scipy and analytic blobs; gradients in every parametrisation."""

import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.sampling import place, plane_positions, source_points, voxel_positions
from torchsag.imaging.trilinear import Trilinear

BOXES = [(16, 16, 16), (15, 15, 15), (14, 17, 16)]
F64 = torch.float64


def generator(seed):
    return torch.Generator().manual_seed(seed)


def random_poses(count, seed=0, reach=1.5):
    shifts = reach * torch.randn(count, 3, generator=generator(seed + 1), dtype=F64)
    return Poses(random_rotations(count, generator(seed), F64), shifts)


def blob(box, centre, sigma):
    return torch.exp(-(voxel_positions(box, dtype=F64) - centre).square().sum(-1) / (2 * sigma**2))


@pytest.mark.parametrize("box", BOXES)
def test_identity_changes_nothing(box):
    volume = torch.randn(box, generator=generator(0), dtype=F64)
    placed = place(CubicSpline(1).prepare(volume), Poses.identity(2, F64), box)
    torch.testing.assert_close(placed, volume.expand(2, *box))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("interpolation", [Trilinear(2), CubicSpline(1), CubicSpline(2)])
def test_blob_goes_where_the_pose_says(interpolation, box):
    """Rotate about n // 2, then shift: a Gaussian at p must appear, unchanged in shape, at R p + t."""
    start, poses = torch.tensor([2.0, -1.0, 1.5], dtype=F64), random_poses(4, reach=0.8)
    placed = place(interpolation.prepare(blob(box, start, 1.3)), poses, box)
    ends = poses.rotations @ start + poses.shifts
    for one, end in zip(placed, ends, strict=True):
        torch.testing.assert_close(one, blob(box, end, 1.3), atol=0.04, rtol=0)
        assert not torch.allclose(one, blob(box, end + 0.3, 1.3), atol=0.04)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize(("interpolation", "order"), [(Trilinear(1), 1), (CubicSpline(1), 3)])
def test_agrees_with_scipy_affine_transform(interpolation, order, box):
    volume, poses = torch.randn(box, generator=generator(4), dtype=F64), random_poses(2, seed=5)
    placed = place(interpolation.prepare(volume), poses, box)
    padded, centre = np.pad(volume.numpy(), 16), np.array([n // 2 + 16 for n in box])
    for one, rotation, shift in zip(placed, poses.rotations.numpy(), poses.shifts.numpy(), strict=True):
        inverse = rotation.T[::-1, ::-1]  # acts on (z, y, x)
        moved = ndimage.affine_transform(padded, inverse, centre - inverse @ (centre + shift[::-1]), order=order)
        np.testing.assert_allclose(one.numpy(), moved[16:-16, 16:-16, 16:-16], atol=2e-7)


@pytest.mark.parametrize(("first", "second"), [((16, 16, 16), (13, 16, 17)), ((15, 15, 15), (16, 16, 16))])
def test_another_box_is_cut_about_the_same_centre(first, second):
    reference, poses = Trilinear(1).prepare(torch.randn(first, generator=generator(6), dtype=F64)), random_poses(1)
    there = place(reference, poses, second)[0]
    here = place(reference, poses, first)[0]
    common = [min(a, b) - 2 for a, b in zip(first, second, strict=True)]
    cut = [
        tuple(slice(n // 2 - c // 2, n // 2 - c // 2 + c) for n, c in zip(box, common, strict=True))
        for box in (first, second)
    ]
    torch.testing.assert_close(there[cut[1]], here[cut[0]])


@pytest.mark.parametrize("axis", ["x", "y", "z"])
@pytest.mark.parametrize("box", BOXES)
def test_planes_are_those_of_the_whole(axis, box):
    reference, poses = CubicSpline(1).prepare(torch.randn(box, generator=generator(7), dtype=F64)), random_poses(3)
    chosen = torch.tensor([4, 0, 9])
    whole = place(reference, poses, box).movedim(1 + "zyx".index(axis), 1)
    positions = plane_positions(box, axis, dtype=F64)[chosen]
    torch.testing.assert_close(reference(source_points(poses, positions)), whole[:, chosen])


def test_unknown_axis_is_refused():
    with pytest.raises(InputError, match="axis"):
        plane_positions((4, 4, 4), "w")


EULER = {
    "identity": (0.0, 0.0, 0.0),
    "tilt 0": (0.7, 0.0, -0.4),
    "tilt pi": (0.7, math.pi, -0.4),
    "general": (2.1, 1.2, -0.8),
}
SHIFT = (0.37, -0.21, 0.43)  # keeps the identity off trilinear's own kinks


@pytest.mark.parametrize("angles", EULER.values(), ids=EULER.keys())
@pytest.mark.parametrize("interpolation", [Trilinear(1), CubicSpline(1)])
def test_gradcheck_through_euler_angles(interpolation, angles):
    box = (5, 4, 4)
    reference = interpolation.prepare(torch.randn(box, generator=generator(8), dtype=F64))
    zyz = torch.tensor([angles], dtype=F64, requires_grad=True)
    shift = torch.tensor([SHIFT], dtype=F64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda a, t: place(reference, Poses.from_zyz(a, t), box), (zyz, shift))


@pytest.mark.parametrize("angles", EULER.values(), ids=EULER.keys())
@pytest.mark.parametrize("turn", [0.0, 0.3, math.pi])
def test_gradcheck_through_the_tangent(angles, turn):
    """The spline is smooth, so the untouched identity itself is checked, not a neighbour of it."""
    box = (5, 4, 4)
    reference = CubicSpline(1).prepare(torch.randn(box, generator=generator(9), dtype=F64))
    here = Poses.from_zyz(torch.tensor([angles], dtype=F64), torch.zeros(1, 3, dtype=F64))
    move = torch.zeros(1, 6, dtype=F64)
    move[0, :3] = turn * torch.tensor([0.6, 0.0, -0.8], dtype=F64)
    assert torch.autograd.gradcheck(lambda m: place(reference, here.retract(m), box), move.requires_grad_())


def test_gradcheck_through_the_volume():
    volume = torch.randn(3, 4, 2, generator=generator(10), dtype=F64, requires_grad=True)
    poses = random_poses(2, reach=0.3)
    assert torch.autograd.gradcheck(lambda v: place(CubicSpline(1).prepare(v), poses, (3, 4, 2)), volume)


def test_finite_differences_of_a_loss_over_a_batch():
    box = (15, 16, 14)
    reference = CubicSpline(2).prepare(blob(box, torch.tensor([2.0, 1.0, -2.0]), 1.5))
    poses, target = random_poses(3, reach=0.5), torch.randn(3, *box, generator=generator(11), dtype=F64)
    move = torch.zeros(3, 6, dtype=F64, requires_grad=True)

    def loss(step):
        return (place(reference, poses.retract(step), box) - target).square().sum((1, 2, 3))

    (slope,) = torch.autograd.grad(loss(move).sum(), move)
    for dof in range(6):
        step = torch.zeros(6, dtype=F64)
        step[dof] = 1e-5
        central = (loss(move.detach() + step) - loss(move.detach() - step)) / 2e-5
        torch.testing.assert_close(slope[:, dof], central, rtol=1e-5, atol=1e-6)
