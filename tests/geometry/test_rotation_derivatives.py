"""Truth: derivatives of every conversion of rotations, along moves that keep them rotations, and what is said at tips.

At the identity, tilt 0, tilt pi, a half-turn, tilt pi / 2 (where single entries vanish) and at random.
"""

import math

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, vmap

from torchsag.geometry import Poses, matrix_to_zyz, random_rotations, rotation_distance, rotvec_to_matrix, zyz_to_matrix
from torchsag.geometry.cross_product import cross_matrix, twice_sine_axis
from torchsag.geometry.nearest_rotation import nearest_rotation
from torchsag.geometry.rotations import (
    axis_rotation,
    left_jacobian,
    matrix_to_rotvec,
    mean_rotation,
    project_to_rotation,
    rotation_angle,
)
from torchsag.nn import six_to_matrix

ANGLES = {
    "identity": (0.0, 0.0, 0.0),
    "tilt 0": (0.4, 0.0, -1.1),
    "tilt pi": (0.4, math.pi, -1.1),
    "tilt pi/2": (0.0, math.pi / 2, 0.0),
    "half-turn": (0.3, math.pi, 0.3),
    "random": (1.0, 2.0, 0.5),
}
OTHER = random_rotations(1, torch.Generator().manual_seed(5), torch.float64)[0]


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


STRETCH = torch.eye(3, dtype=torch.float64) + 0.2 * noise(3, 3, seed=1)
# From a rotation; those with a derivative there everywhere, and those with one away from tips and jumps.
SMOOTH = {
    "project_to_rotation": project_to_rotation,
    "project_to_rotation of stretched": lambda r: project_to_rotation(r @ STRETCH),
    "project_to_rotation of a tiny matrix": lambda r: project_to_rotation(1e-3 * r),
    "mean_rotation": lambda r: mean_rotation(torch.stack([r, r @ STRETCH]), torch.tensor([1.0, 0.5]).double()),
    "six_to_matrix": lambda r: six_to_matrix(r[:, :2].mT.flatten()),
    "twice_sine_axis": twice_sine_axis,
    "distance to another": lambda r: rotation_distance(r, OTHER),
    "rotvec from another": lambda r: matrix_to_rotvec(OTHER.mT @ r),
}
BETWEEN_TIPS = {"matrix_to_zyz": matrix_to_zyz, "matrix_to_rotvec": matrix_to_rotvec, "rotation_angle": rotation_angle}
VECTORS = {
    "rotvec_to_matrix": rotvec_to_matrix,
    "left_jacobian": left_jacobian,
    "cross_matrix": cross_matrix,
    "zyz_to_matrix": zyz_to_matrix,
    "axis_rotation": lambda v: axis_rotation("x", v),
}


@pytest.fixture(params=list(ANGLES))
def place(request):
    return request.param


def rotation_at(place):
    return zyz_to_matrix(torch.tensor(ANGLES[place], dtype=torch.float64))


def right(function, start):
    start = start.detach().clone().requires_grad_()
    return gradcheck(function, start, fast_mode=True) and gradgradcheck(function, start, fast_mode=True)


@pytest.mark.parametrize("name", SMOOTH)
def test_first_and_second_derivatives_by_the_rotation(name, place):
    base = rotation_at(place)
    assert right(lambda move: SMOOTH[name](rotvec_to_matrix(move) @ base), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("name", BETWEEN_TIPS)
@pytest.mark.parametrize("where", ["tilt pi/2", "random", "near tilt 0", "near tilt pi"])
def test_derivatives_of_what_has_tips_between_them(name, where):
    near = {"near tilt 0": (0.4, 0.02, -1.1), "near tilt pi": (0.4, math.pi - 0.02, -1.4)}
    base = zyz_to_matrix(torch.tensor(near.get(where) or ANGLES[where], dtype=torch.float64))
    assert right(lambda move: BETWEEN_TIPS[name](rotvec_to_matrix(move) @ base), torch.zeros(3, dtype=torch.float64))


@pytest.mark.parametrize("name", VECTORS)
@pytest.mark.parametrize("angle", [0.0, 1e-6, 0.0999, 0.1001, 1.0, math.pi, 5.0])
def test_first_and_second_derivatives_by_a_vector(name, angle):
    axis = torch.nn.functional.normalize(noise(3, seed=3), dim=0)
    assert right(VECTORS[name], angle * axis)


def test_angles_to_matrices_are_smooth_at_the_poles(place):
    assert right(zyz_to_matrix, torch.tensor(ANGLES[place], dtype=torch.float64))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("pole", "sign"), [("identity", 1), ("tilt 0", 1), ("tilt pi", -1)])
def test_angles_at_a_pole_turn_about_z_and_no_more(pole, sign, dtype):
    zyz = torch.tensor(ANGLES[pole], dtype=dtype)
    rows = torch.autograd.functional.jacobian(lambda a: Poses.from_zyz(a[None], torch.zeros(1, 3).to(a)).zyz[0], zyz)
    torch.testing.assert_close(rows, torch.tensor([[1.0, 0, sign], [0, 0, 0], [0, 0, 0]], dtype=dtype))
    bends = torch.autograd.functional.hessian(lambda a: matrix_to_zyz(zyz_to_matrix(a)).sum(), zyz)
    assert bool(bends.isfinite().all())


def test_one_pose_at_a_pole_leaves_its_neighbours_their_gradients():
    zyz = torch.tensor([ANGLES["tilt 0"], ANGLES["random"], ANGLES["tilt pi/2"]], dtype=torch.float64).requires_grad_()
    matrix_to_zyz(zyz_to_matrix(zyz)).sum().backward()
    torch.testing.assert_close(zyz.grad[1:], torch.ones(2, 3, dtype=torch.float64))


@pytest.mark.parametrize("function", [rotation_angle, lambda r: rotation_distance(r, r.detach())])
@pytest.mark.parametrize("angle", [0.0, math.pi])
def test_distances_at_their_tips_have_zero_for_a_derivative(function, angle):
    base = axis_rotation("x", torch.tensor(angle, dtype=torch.float64))
    if angle and function is not rotation_angle:
        function = lambda r: rotation_distance(r, torch.eye(3, dtype=torch.float64))  # noqa: E731
    move = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    distance = function(rotvec_to_matrix(move) @ base)
    assert float(distance.detach()) == pytest.approx(angle)
    (slope,) = torch.autograd.grad(distance, move, create_graph=True)
    (bend,) = torch.autograd.grad(slope.sum(), move)
    assert slope.abs().max() < 1e-12
    assert bend.isfinite().all()


def test_squared_distance_by_rotation_vectors_has_its_second_derivative_at_zero(place):
    base = rotation_at(place)
    bends = hessian(lambda move: matrix_to_rotvec(rotvec_to_matrix(move) @ base @ base.mT).square().sum())(
        torch.zeros(3, dtype=torch.float64)
    )
    torch.testing.assert_close(bends, 2 * torch.eye(3, dtype=torch.float64))


def test_rotation_vectors_at_half_turns_have_the_derivative_of_their_side():
    # exp(log(R)) = R: the derivative of log inverts that of exp, whichever side it takes.
    for axis in (*torch.eye(3, dtype=torch.float64), torch.nn.functional.normalize(noise(3, seed=4), dim=0)):
        vector = math.pi * axis
        back = torch.autograd.functional.jacobian(lambda v: matrix_to_rotvec(rotvec_to_matrix(v)), vector)
        torch.testing.assert_close(back @ axis, axis)
        assert bool(back.isfinite().all())


def test_where_several_rotations_are_nearest_the_derivative_is_zero():
    matrix = torch.diag(torch.tensor([1.0, 0, 0], dtype=torch.float64)).requires_grad_()
    found = nearest_rotation(matrix)
    torch.testing.assert_close(found @ found.mT, torch.eye(3, dtype=torch.float64))
    found.sum().backward()
    assert matrix.grad.abs().max() == 0


def test_nearest_rotation_is_the_same_with_and_without_a_gradient():
    matrices = noise(50, 3, 3, seed=6)
    torch.testing.assert_close(nearest_rotation(matrices.clone().requires_grad_()), nearest_rotation(matrices))
    assert bool((torch.linalg.det(nearest_rotation(matrices)) > 0).all())


@pytest.mark.parametrize("name", [*SMOOTH, *BETWEEN_TIPS])
def test_functorch_gives_the_same_numbers(name):
    function = {**SMOOTH, **BETWEEN_TIPS}[name]
    bases = torch.stack([rotation_at("random"), rotation_at("tilt pi/2")])

    def total(move, base):
        return function(rotvec_to_matrix(move) @ base).sum()

    moves = torch.zeros(2, 3, dtype=torch.float64)
    together = vmap(grad(total))(moves, bases)
    for move, base, found in zip(moves, bases, together, strict=True):
        move = move.clone().requires_grad_()
        (expected,) = torch.autograd.grad(total(move, base), move)
        torch.testing.assert_close(found, expected)
        torch.testing.assert_close(jacfwd(total)(move.detach(), base), expected)
