import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares, WithoutCurvature

from torchsag.errors import InputError
from torchsag.optim import LeastSquaresObjective, LengthScaling, Scaling, Whitening, scale_objective
from torchsag.optim.scaling import whitening_basis

_TERMS = torch.arange(8)


def _scaled_cloud():
    problem, _ = CloudRegistration.random(problems=3, terms=8, noise=1.0)
    generator = torch.Generator().manual_seed(5)
    origin = 0.1 * torch.randn(3, 6, generator=generator).double()
    basis = torch.randn(3, 6, 6, generator=generator).double() * 0.1
    return problem, scale_objective(problem, origin, basis)


def test_scaled_gradients_are_derivatives_of_scaled_values():
    _, scaled = _scaled_cloud()
    move = torch.full((3, 6), 0.2).double()
    _, gradients = scaled.gradients(move, _TERMS)
    steps = 1e-6 * torch.eye(6).double()
    slopes = [(scaled.values(move + d, _TERMS) - scaled.values(move - d, _TERMS)) / 2e-6 for d in steps]
    torch.testing.assert_close(gradients, torch.stack(slopes, -1), rtol=1e-6, atol=1e-6)


def test_scaled_blocks_predict_the_change_of_scaled_gradients_of_linear_problems():
    problem = LinearLeastSquares.random(problems=2, terms=8)
    basis = torch.randn(2, 6, 6, generator=torch.Generator().manual_seed(1)).double()
    scaled = scale_objective(problem, torch.ones(2, 6).double(), basis)
    assert isinstance(scaled, LeastSquaresObjective)
    start, end = torch.zeros(2, 6).double(), torch.full((2, 6), 0.3).double()
    change = scaled.gradients(end, _TERMS)[1] - scaled.gradients(start, _TERMS)[1]
    blocks = scaled.curvature(start, _TERMS)[2]
    torch.testing.assert_close(change, (blocks @ end[:, None, :, None])[..., 0])


def test_scaling_adds_no_curvature_where_there_was_none():
    problem = WithoutCurvature(LinearLeastSquares.random(problems=1, terms=8))
    scaled = scale_objective(problem, torch.zeros(1, 6).double(), torch.eye(6).double()[None])
    assert not isinstance(scaled, LeastSquaresObjective)
    assert scaled.num_terms == 8


def test_whitening_makes_the_mean_block_the_identity():
    problem = LinearLeastSquares.random(problems=3, terms=8, units=[1000.0, 30.0, 1.0, 1.0, 0.1, 0.01])
    basis, evaluations = Whitening(damping=1e-9).basis(problem, torch.zeros(3, 6).double())
    whitened = basis.mT @ problem.mean_block @ basis
    torch.testing.assert_close(whitened, torch.eye(6).double().expand(3, 6, 6), rtol=1e-6, atol=1e-6)
    assert evaluations == problem.evaluated == 8


def test_whitening_bounds_undetermined_directions_and_survives_nan():
    curvature = torch.ones(3, 2, 2).double()
    curvature[1] = 0.0
    curvature[2] = torch.nan
    basis = whitening_basis(curvature, 0.01)
    assert basis[0].norm() < 1 / 0.01
    torch.testing.assert_close(basis[1:], torch.eye(2).double().expand(2, 2, 2))


def test_length_scaling_counts_rotations_in_voxels():
    basis, evaluations = LengthScaling(20.0).basis(LinearLeastSquares.random(2, 8), torch.zeros(2, 6).double())
    assert torch.equal(basis[1].diagonal(), torch.tensor([0.05] * 3 + [1.0] * 3, dtype=torch.float64))
    assert evaluations == 0
    longer, _ = LengthScaling(20.0).basis(LinearLeastSquares.random(2, 8, n=8), torch.zeros(2, 8).double())
    assert torch.equal(longer[0].diagonal(), torch.tensor([0.05] * 3 + [1.0] * 5, dtype=torch.float64))


def test_each_problem_may_have_a_length_of_its_own():
    basis, _ = LengthScaling(torch.tensor([20.0, 10.0])).basis(LinearLeastSquares.random(2, 8), torch.zeros(2, 6))
    assert torch.equal(basis[:, 0, 0], torch.tensor([0.05, 0.1]))
    with pytest.raises(InputError, match="length"):
        LengthScaling(torch.tensor([20.0, 0.0]))


def test_scalings_offer_the_protocol_and_refuse_nonsense():
    assert isinstance(Whitening(), Scaling)
    assert isinstance(LengthScaling(1.0), Scaling)
    with pytest.raises(InputError, match="length"):
        LengthScaling(0.0)
    with pytest.raises(InputError, match="damping"):
        Whitening(0.0)
    with pytest.raises(InputError, match="got 2 unknowns"):
        LengthScaling(1.0).basis(LinearLeastSquares.random(1, 8, n=2), torch.zeros(1, 2).double())
    with pytest.raises(InputError, match="Whitening needs a loss"):
        Whitening().basis(WithoutCurvature(LinearLeastSquares.random(1, 8)), torch.zeros(1, 6).double())
