"""Truth: first and second derivatives of everything between a map and a loss, by every door torch has."""

import math
import subprocess
import sys

import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck
from torch.func import grad, hessian, jacfwd, jacrev, jvp, vmap

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, to_half_spectrum
from torchsag.geometry import Poses, random_rotations, rotvec_to_matrix, zyz_to_matrix
from torchsag.imaging import spline_operators
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.placement import place_spectrum
from torchsag.imaging.projection import TiltGeometry, project
from torchsag.imaging.sampling import place
from torchsag.imaging.trilinear import Trilinear
from torchsag.imaging.wedge import missing_wedge
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.cross_correlation import CrossCorrelation
from torchsag.losses.fourier_likelihood import FourierLikelihood
from torchsag.losses.local_correlation import LocalCorrelation
from torchsag.losses.phase_residual import PhaseResidual
from torchsag.losses.robust_distance import RobustDistance
from torchsag.losses.student_t import StudentT
from torchsag.nn import six_to_matrix
from torchsag.recording import is_recorded
from torchsag.spectra.gridding import ContinuousSpectrum

# Of grid_sample in 3D: none in 2.11, which is what Python 3.10 has; torch refuses them.
_GRID_SAMPLE_HAS_SECOND_DERIVATIVES = tuple(int(part) for part in torch.__version__.split(".")[:2]) >= (2, 14)
BOX = (5, 5, 5)
LOSSES = [
    ConstrainedDistance(), CrossCorrelation(), FourierLikelihood(), LocalCorrelation(3), PhaseResidual(),
    RobustDistance(), StudentT(),
]  # fmt: skip
ROTATIONS = {
    "identity": torch.zeros(3),
    "tilt 0": torch.tensor([0.4, 0.0, -1.1]),
    "tilt pi": torch.tensor([0.4, math.pi, -1.1]),
    "random": torch.tensor([1.0, 2.0, 0.5]),
}


def noise(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def leaf(tensor):
    return tensor.detach().clone().requires_grad_()


@pytest.fixture(params=list(ROTATIONS))
def zyz(request):
    return ROTATIONS[request.param].double()


def right(function, *inputs):
    inputs = tuple(leaf(one) for one in inputs)
    return gradcheck(function, inputs, fast_mode=True) and gradgradcheck(function, inputs, fast_mode=True)


def test_rotation_vectors_have_second_derivatives_at_zero_and_everywhere():
    for vector in (torch.zeros(3), torch.tensor([1e-3, 0, 2e-3]), torch.tensor([0.099, 0.01, 0]), torch.ones(3)):
        assert right(rotvec_to_matrix, vector.double())
    # exp([v]) = 1 + [v] + [v]^2 / 2: its second derivative at zero is known.
    bend = hessian(lambda v: rotvec_to_matrix(v)[0, 0])(torch.zeros(3, dtype=torch.float64))
    torch.testing.assert_close(bend, torch.diag(torch.tensor([0.0, -1.0, -1.0], dtype=torch.float64)))


def test_rotation_vectors_agree_with_the_matrix_exponential_on_both_sides_of_the_series():
    axis = torch.nn.functional.normalize(noise(50, 3, seed=2), dim=-1)
    angle = torch.linspace(0, math.pi, 50, dtype=torch.float64)[:, None]
    angle = torch.cat([angle, torch.linspace(0.0999, 0.1001, 50, dtype=torch.float64)[:, None]])
    turns = angle * axis.repeat(2, 1)
    generator = torch.linalg.cross(
        turns[:, None].expand(-1, 3, -1), torch.eye(3, dtype=torch.float64).expand(100, 3, 3)
    )
    torch.testing.assert_close(rotvec_to_matrix(turns), torch.linalg.matrix_exp(generator.mT))


def test_placement_in_map_angles_and_shift(zyz):
    def placed(volume, angles, shift):
        return place(CubicSpline(1).prepare(volume), Poses.from_zyz(angles[None], shift[None]), (3, 4, 3))

    assert right(placed, noise(3, 3, 4), zyz, torch.tensor([0.31, -0.4, 0.22], dtype=torch.float64))


def test_placement_in_a_move_from_the_pose(zyz):
    interpolant = CubicSpline(2).prepare(noise(*BOX))
    base = Poses(zyz_to_matrix(zyz)[None], torch.zeros(1, 3, dtype=torch.float64))
    for move in (torch.zeros(6), torch.full((6,), 0.2)):
        assert right(lambda m: place(interpolant, base.retract(m[None]), BOX), move.double())


def test_projection_in_map_angles_and_shift():
    tilts = torch.tensor([-0.7, 0.13], dtype=torch.float64)
    for angles in (torch.tensor([0.4, 0.02, -1.1]), torch.tensor([1.0, 2.0, 0.5])):
        assert right(
            lambda v, z, s: project(v, Poses.from_zyz(z[None], s[None]), tilts),
            noise(4, 4, 4), angles.double(), torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64),
        )  # fmt: skip


def test_projection_at_the_lattice_turns_as_the_exact_transform_does(zyz):
    """Gridding steps by 1e-3 where a sample enters its kernel: finite differences fail there, the derivative holds.

    To a few per cent: white noise up to the sampling limit is the hardest map there is.
    """
    volume = torch.zeros(12, 12, 12, dtype=torch.float64)
    volume[4:9, 4:9, 4:9] = noise(5, 5, 5)
    axes = torch.arange(12, dtype=torch.float64) - 6
    voxels = torch.stack(torch.meshgrid(axes, axes, axes, indexing="ij")[::-1], -1).reshape(-1, 3)
    k = half_frequencies((12, 12, 12), dtype=torch.float64).reshape(-1, 3)
    k = k[k.norm(dim=-1) < 0.4]
    base = zyz_to_matrix(zyz)

    def energy(transform):
        return lambda v: transform(k @ (rotvec_to_matrix(v) @ base)).mul(weights).real.sum()

    weights = torch.complex(noise(len(k), seed=3), noise(len(k), seed=4))
    exact = grad(energy(lambda u: torch.exp(-2j * math.pi * (u @ voxels.T)) @ volume.reshape(-1).to(torch.complex128)))
    gridded = grad(energy(ContinuousSpectrum.of(volume).at))
    here = torch.zeros(3, dtype=torch.float64)
    assert float((gridded(here) - exact(here)).norm() / exact(here).norm()) < 0.1


def test_back_projection_is_linear_and_exact_to_second_order():
    geometry = TiltGeometry(torch.tensor([-0.7, 0.0, 0.4], dtype=torch.float64), 4)
    real, imaginary = noise(3, 4, 3), noise(3, 4, 3, seed=1)
    assert right(lambda a, b: geometry.back_project(torch.complex(a, b)), real, imaginary)


def test_wedge_and_ctf_in_a_forward_model():
    wedge = missing_wedge((4, 4, 4), -60.0, 60.0).double()
    frequency = half_frequencies((4, 4, 4), dtype=torch.float64).norm(dim=-1) / 8.0

    def imaged(volume, defocus_um):
        transfer = Microscope().ctf(frequency, defocus_um)
        return from_half_spectrum(to_half_spectrum(volume) * wedge * transfer, (4, 4, 4))

    assert right(imaged, noise(4, 4, 4), torch.tensor(-2.0, dtype=torch.float64))


@pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: type(loss).__name__)
def test_losses_in_particle_and_model(loss):
    mask = (0.2 + noise(*BOX, seed=5).abs()).expand(2, *BOX)
    assert right(lambda f, g: loss.loss(f, g, mask), noise(2, *BOX), noise(2, *BOX, seed=1))


# One scalar of a pose, by every door.


@pytest.fixture
def of_move():
    volume, particle = noise(6, 6, 6), noise(6, 6, 6, seed=1)
    interpolant = CubicSpline(2).prepare(volume)
    base = Poses(random_rotations(1, torch.Generator().manual_seed(0), torch.float64), noise(1, 3, seed=2) / 4)
    return lambda move: (place(interpolant, base.retract(move[None]), (6, 6, 6)) * particle).sum()


MOVES = [torch.zeros(6, dtype=torch.float64), torch.full((6,), 0.07, dtype=torch.float64)]


def finite_difference(function, at, step=1e-4):
    steps = step * torch.eye(len(at), dtype=at.dtype)
    return torch.stack([(function(at + s) - function(at - s)) / (2 * step) for s in steps])


@pytest.mark.parametrize("move", MOVES)
def test_every_form_of_the_hessian_is_that_of_finite_differences(of_move, move):
    expected = finite_difference(grad(of_move), move)
    forms = {
        "hessian": hessian(of_move),
        "reverse over reverse": jacrev(jacrev(of_move)),
        "forward over forward": jacfwd(jacfwd(of_move)),
        "reverse over forward": jacrev(jacfwd(of_move)),
        "autograd": lambda at: torch.autograd.functional.hessian(of_move, at),
        "batched": lambda at: vmap(hessian(of_move))(torch.stack([at, at + 0.1]))[0],
    }
    for name, form in forms.items():
        assert float((form(move) - expected).abs().max() / expected.abs().max()) < 3e-5, name


def test_gradient_penalty_is_twice_hessian_times_gradient(of_move):
    move = leaf(MOVES[1])
    (slope,) = torch.autograd.grad(of_move(move), move, create_graph=True)
    (penalty,) = torch.autograd.grad(slope.square().sum(), move)
    expected = 2 * finite_difference(grad(of_move), move.detach()) @ slope.detach()
    torch.testing.assert_close(penalty, expected, rtol=1e-4, atol=1e-4)


def test_batches_and_directions_agree_with_single_gradients(of_move):
    moves = torch.stack([*MOVES, MOVES[1] * 2])
    singles = torch.stack([grad(of_move)(move) for move in moves])
    torch.testing.assert_close(vmap(grad(of_move))(moves), singles)
    torch.testing.assert_close(vmap(of_move)(moves), torch.stack([of_move(move) for move in moves]))
    value, slope = jvp(of_move, (moves[1],), (moves[2],))
    torch.testing.assert_close(slope, singles[1] @ moves[2])
    torch.testing.assert_close(value, of_move(moves[1]))
    torch.testing.assert_close(jacrev(of_move)(moves[1]), jacfwd(of_move)(moves[1]))


def test_batches_of_maps_agree_with_single_maps():
    poses, maps = (
        Poses(random_rotations(2, torch.Generator().manual_seed(0), torch.float64), noise(2, 3)),
        noise(3, *BOX),
    )

    def energy(volume):
        return place(CubicSpline(1).prepare(volume), poses, BOX).square().sum()

    torch.testing.assert_close(vmap(grad(energy))(maps), torch.stack([grad(energy)(one) for one in maps]))
    direction = noise(*BOX, seed=7)
    slopes = vmap(lambda one: jvp(grad(energy), (one,), (direction,))[1])(maps)
    torch.testing.assert_close(slopes, torch.stack([2 * grad(energy)(direction) / 2] * 3))


def test_gridding_is_transformed_too():
    spectrum, k = ContinuousSpectrum.of(noise(6, 6, 6)), half_frequencies((6, 6, 6), dtype=torch.float64)[1, 2]
    single = ContinuousSpectrum.of(noise(6, 6, 6).float())

    def energy(vector, reference):
        turn = rotvec_to_matrix(vector)
        return place_spectrum(reference, Poses(turn[None], vector[None])).abs().square().sum()

    at = noise(3) / 3
    expected = finite_difference(lambda v: grad(energy)(v, spectrum), at)
    torch.testing.assert_close(
        hessian(energy)(at, spectrum), expected, rtol=1e-4, atol=1e-4 * float(expected.abs().max())
    )
    many = torch.stack([at, 2 * at]).float()
    batched = vmap(lambda v: energy(v, single))(many)
    torch.testing.assert_close(batched, torch.stack([energy(one, single) for one in many]), rtol=1e-4, atol=1e-4)
    assert len(k) == 4


# Run on its own: the run-time type checks of the test suite cannot be compiled.
COMPILED = """
import torch
from torch.func import grad, hessian
from torchsag.geometry import Poses
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.sampling import place

volume = torch.randn(6, 6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
interpolant, base = CubicSpline(1).prepare(volume), Poses.identity(1, torch.float64)
def energy(move):
    return (place(interpolant, base.retract(move[None]), (6, 6, 6)) * volume.flip(0)).sum()
def alike(one, other):
    torch.testing.assert_close(one, other)
def compiled(function):
    return torch.compile(function, backend="aot_eager", fullgraph=True)
move = torch.full((6,), 0.07, dtype=torch.float64)
leaf = move.clone().requires_grad_()
value = compiled(energy)(leaf)
alike(value, energy(move))
alike(torch.autograd.grad(value, leaf)[0], grad(energy)(move))
alike(compiled(hessian(energy))(move), hessian(energy)(move))
print("alike")
"""


@pytest.mark.slow
def test_compiled_code_gives_the_same_value_gradient_and_hessian():
    done = subprocess.run([sys.executable, "-c", COMPILED], capture_output=True, text=True, check=False)
    assert done.stdout == "alike\n", done.stderr


def test_nothing_of_the_compiler_is_imported_with_the_operators():
    code = "import sys, torchsag.imaging.spline_operators; print('torch._dynamo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_operators_have_right_shapes_and_derivatives():
    table, points = leaf(noise(5, 6, 7)), leaf(1 + 3 * torch.rand(4, 3, dtype=torch.float64))
    for operator, inputs in (
        (torch.ops.torchsag.spline_values, (table, points)),
        (torch.ops.torchsag.spline_jet, (table, points)),
        (torch.ops.torchsag.spline_scatter, (points, leaf(noise(4)), [5, 6, 7])),
    ):
        torch.library.opcheck(
            operator, inputs, test_utils=("test_schema", "test_faketensor", "test_autograd_registration")
        )
    assert gradgradcheck(spline_operators.values, (table, points), fast_mode=True)
    assert gradgradcheck(spline_operators.jet, (table, points), fast_mode=True)


def test_linear_interpolation_has_the_second_derivatives_of_its_pieces_and_refuses_forward_mode():
    interpolant, at = Trilinear(2).prepare(noise(6, 6, 6)), noise(3)

    def value(point):
        return interpolant(point[None])[0]

    if _GRID_SAMPLE_HAS_SECOND_DERIVATIVES:
        torch.testing.assert_close(jacrev(jacrev(value))(at), finite_difference(grad(value), at), rtol=1e-6, atol=1e-6)
    else:
        with pytest.raises(RuntimeError):
            jacrev(jacrev(value))(at)
    with pytest.raises(NotImplementedError, match="forward AD"):
        hessian(value)(at)


@pytest.mark.parametrize("kind", [CubicSpline(2), Trilinear(2)], ids=lambda kind: type(kind).__name__)
def test_autocast_leaves_coordinates_in_single_precision(kind):
    """Also in a backward pass inside of it, which lowers the gradient of a matrix product taken anywhere."""
    volume = noise(8, 8, 8).float()
    poses = Poses(random_rotations(2, torch.Generator().manual_seed(0)), noise(2, 3).float())
    tilts = torch.tensor([0.1, 0.5])

    def everything():
        move, density = leaf((0.1 * noise(2, 6)).float()), leaf(volume)
        moved = poses.retract(move).compose(poses).inverse()
        zyz = Poses.from_zyz(moved.zyz, moved.shifts)
        made = place(kind.prepare(density), zyz, (8, 8, 8)), project(volume, zyz, tilts)
        gradients = torch.autograd.grad(sum(one.square().sum() for one in made), [move, density])
        return *made, *gradients

    plain = everything()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (volume[0] @ volume[0]).dtype == torch.bfloat16
        lowered = everything()
    for one, other in zip(plain, lowered, strict=True):
        assert other.dtype == torch.float32
        torch.testing.assert_close(one, other, rtol=0, atol=2e-5 * float(one.detach().abs().max()))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_poses_in_half_precision_are_refused_with_what_to_do(dtype):
    numbers = noise(2, 6).to(dtype)
    with pytest.raises(InputError, match=r"rotation vectors: expected float32 or float64.*needs \.float\(\)"):
        Poses.identity(2).retract(numbers)
    with pytest.raises(InputError, match="Euler angles: expected float32 or float64"):
        Poses.from_zyz(numbers[:, :3], numbers[:, 3:])
    with pytest.raises(InputError, match="six numbers of a rotation: expected float32 or float64"):
        six_to_matrix(numbers)


@pytest.mark.parametrize("kind", [CubicSpline(1), Trilinear(1)], ids=lambda kind: type(kind).__name__)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_maps_and_points_are_refused(kind, dtype):
    with pytest.raises(InputError, match="float32 or float64"):
        kind.prepare(noise(4, 4, 4).to(dtype))
    with pytest.raises(InputError, match="float32 or float64"):
        kind.prepare(noise(4, 4, 4))(torch.zeros(1, 3, dtype=dtype))


@pytest.mark.parametrize("kind", [CubicSpline(1), Trilinear(1)], ids=lambda kind: type(kind).__name__)
def test_precisions_that_differ_are_joined_at_the_finer(kind):
    single, points = kind.prepare(noise(4, 4, 4).float()), noise(5, 3)
    values, gradients = single.with_gradient(points)
    assert single(points).dtype == values.dtype == gradients.dtype == torch.float64
    torch.testing.assert_close(single(points).float(), single(points.float()))
    fine = kind.prepare(noise(4, 4, 4))
    assert fine(points.float()).dtype == torch.float64
    poses = Poses.identity(1, dtype=torch.float64)
    assert place(single, poses, (4, 4, 4)).dtype == torch.float64


def test_who_is_watching_is_known():
    tensor = torch.zeros(2)
    assert not is_recorded(tensor)
    assert is_recorded(leaf(tensor))
    with torch.no_grad():
        assert not is_recorded(leaf(tensor))
    seen = []
    vmap(lambda one: (seen.append(is_recorded(one)), one)[1])(tensor)
    assert seen == [True]
