"""Second-order methods, their memory, and their linear algebra."""

import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares

from torchsag.optim import CurvatureSAG, LengthScaling, LevenbergMarquardt, Preconditioned, minimize
from torchsag.optim.normal_equations import cap_step, damped_step


@pytest.mark.parametrize("fraction", [1 / 32, 1 / 8, 1.0])
def test_curvature_sag_is_exact_after_one_pass_on_linear_problems(fraction):
    problem = LinearLeastSquares.random(problems=5, terms=32, noise=3.0, units=[100.0] * 3 + [1.0] * 3)
    optimizer = CurvatureSAG(batch_fraction=fraction, damping=0.0, trust_radius=1e6)
    state = optimizer.init(torch.zeros(5, 6).double(), 32)
    while state.passes < 1:
        state = optimizer.step(problem, state)
    assert state.passes == 1
    torch.testing.assert_close(state.move, problem.minimum, rtol=1e-9, atol=1e-10)


def test_a_first_batch_moves_by_its_share():
    """Terms that all agree: after a quarter of them a quarter of the way, not all of it."""
    one = LinearLeastSquares.random(problems=3, terms=1, rows=8)
    same = LinearLeastSquares(one.matrices.expand(3, 8, 8, 6), one.targets.expand(3, 8, 8))
    optimizer = CurvatureSAG(batch_fraction=0.25, damping=0.0, trust_radius=1e6)
    state = optimizer.step(same, optimizer.init(torch.zeros(3, 6).double(), 8))
    torch.testing.assert_close(state.move, 0.25 * one.minimum)


def test_running_sums_are_the_sums_of_what_is_remembered():
    problem, _ = CloudRegistration.random(problems=2, terms=10, noise=1.0)
    optimizer = CurvatureSAG(batch_fraction=0.3)
    state = optimizer.init(torch.zeros(2, 6).double(), 10)
    for _ in range(25):
        state = optimizer.step(problem, state)
    torch.testing.assert_close(state.memory.block_sum, state.memory.blocks.sum(1))
    torch.testing.assert_close(state.memory.offset_sum, state.memory.offsets.sum(1))


def test_float32_sums_do_not_drift():
    single = LinearLeastSquares.random(problems=4, terms=64, dtype=torch.float32)
    found = minimize(CurvatureSAG(batch_fraction=1 / 64, tolerance=0.0), single, torch.zeros(4, 6), 20)
    assert (found.move - single.minimum).abs().max() < 1e-5


@pytest.mark.parametrize("angle", [0.5, 1.5, 2.5])
def test_poor_starts_reach_the_same_minimum(angle):
    problem, truth = CloudRegistration.random(problems=20, terms=16, angle=angle, shift=6.0, noise=10.0)
    terms, start = torch.arange(16), torch.zeros(20, 6).double()
    best = minimize(LevenbergMarquardt(tolerance=1e-9), problem, truth, 100)
    for optimizer in (CurvatureSAG(tolerance=1e-6), LevenbergMarquardt(tolerance=1e-6)):
        found = minimize(Preconditioned(optimizer, LengthScaling(20.0)), problem, start, 40)
        excess = problem.values(found.move, terms).mean(1) - problem.values(best.move, terms).mean(1)
        assert found.converged.all()
        assert excess.abs().max() < 1e-6


def test_curvature_sag_takes_no_step_longer_than_its_radius():
    problem = LinearLeastSquares.random(problems=5, terms=8)
    optimizer = CurvatureSAG(trust_radius=0.1)
    state = optimizer.init(torch.zeros(5, 6).double(), 8)
    for _ in range(8):
        before, state = state.move, optimizer.step(problem, state)
        assert ((state.move - before).norm(dim=-1) <= 0.1 * (1 + 1e-9)).all()


class _Valley:
    """Rosenbrock's function as least squares: r = (10 (y - x^2), 1 - x); two terms, minimum at (1, 1)."""

    num_terms = 2

    def values(self, move, terms):
        return self.curvature(move, terms)[0]

    def gradients(self, move, terms):
        return self.curvature(move, terms)[:2]

    def curvature(self, move, terms):
        x, y = move.unbind(-1)
        residuals = torch.stack([10 * (y - x**2), 1 - x], 1)[:, terms]
        slope_x, slope_y = torch.stack([-20 * x, -torch.ones_like(x)], 1), torch.tensor([10.0, 0.0]).expand_as(move)
        jacobian = torch.stack([slope_x, slope_y.to(slope_x)], -1)[:, terms]
        return residuals**2 / 2, residuals[..., None] * jacobian, jacobian[..., None] * jacobian[..., None, :]


def test_levenberg_marquardt_descends_a_curved_valley_without_ever_rising():
    starts = torch.tensor([[-1.2, 1.0], [-3.0, -4.0], [2.0, 2.0], [0.0, 0.0]]).double()
    problem, optimizer, terms = _Valley(), LevenbergMarquardt(tolerance=1e-10), torch.arange(2)
    state = optimizer.init(starts, 2)
    value = problem.values(starts, terms).mean(1)
    for _ in range(60):
        state = optimizer.step(problem, state)
        lower = problem.values(state.move, terms).mean(1)
        assert (lower <= value).all()
        value = lower
    assert (state.move - 1).abs().max() < 1e-8
    assert state.converged.all()


def test_levenberg_marquardt_raises_its_damping_where_a_step_fails():
    problem, optimizer = _Valley(), LevenbergMarquardt(start_damping=1e-6)
    start = torch.tensor([[-1.2, 1.0]]).double()
    state = optimizer.step(problem, optimizer.init(start, 2))
    # The full Gauss-Newton step from here lands far up the valley's wall: it is refused.
    assert torch.equal(state.move, start)
    assert state.damping.item() == pytest.approx(2e-6)
    assert state.growth.item() == 4


def test_damped_step_solves_marquardts_system():
    generator = torch.Generator().manual_seed(3)
    root = torch.randn(4, 6, 6, generator=generator).double() * torch.tensor([100.0] * 3 + [1.0] * 3)
    curvature, gradient = root.mT @ root, torch.randn(4, 6, generator=generator).double()
    system = curvature + 0.1 * torch.diag_embed(curvature.diagonal(dim1=-2, dim2=-1))
    torch.testing.assert_close(damped_step(curvature, gradient, 0.1), -torch.linalg.solve(system, gradient))


def test_damped_step_stands_still_where_nothing_is_known():
    curvature = torch.diag(torch.tensor([1.0, 0.0])).repeat(3, 1, 1)
    curvature[1] = torch.nan
    step = damped_step(curvature, torch.tensor([[2.0, 0.0], [1.0, 1.0], [torch.nan, 1.0]]), 0.0)
    torch.testing.assert_close(step, torch.tensor([[-2.0, 0.0], [0.0, 0.0], [0.0, 0.0]]), rtol=1e-4, atol=0)


def test_a_rank_deficient_block_still_gives_a_descent_step():
    row = torch.arange(1.0, 7.0)
    step = damped_step(torch.outer(row, row)[None], row[None], 0.0)
    assert step.isfinite().all()
    assert (step @ row).item() == pytest.approx(-1.0, rel=1e-3)


def test_cap_step_keeps_direction_and_short_steps():
    steps = torch.tensor([[3.0, 4.0], [0.3, 0.4], [0.0, 0.0]])
    torch.testing.assert_close(cap_step(steps, 1.0), torch.tensor([[0.6, 0.8], [0.3, 0.4], [0.0, 0.0]]))
