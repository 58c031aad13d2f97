import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares

from torchsag.errors import InputError
from torchsag.optim import (
    SAGA,
    SVRG,
    CurvatureSAG,
    LengthScaling,
    LevenbergMarquardt,
    Preconditioned,
    SAGMinibatch,
    SAGOneTerm,
    State,
    TorchOptimizer,
    Whitening,
    minimize,
)


def test_stops_when_all_have_converged_within_budget():
    problem = LinearLeastSquares.random(problems=4, terms=16)
    found = minimize(CurvatureSAG(trust_radius=100.0), problem, torch.zeros(4, 6).double(), 50)
    assert isinstance(found, State)
    assert found.converged.all()
    assert found.passes == 2  # One pass to be exact, one to see that nothing moves any more.
    assert torch.equal(found.settled_after, torch.full((4,), 2.0).double())


def test_budget_ends_what_has_not_converged():
    problem = LinearLeastSquares.random(problems=4, terms=16)
    found = minimize(CurvatureSAG(batch_fraction=0.25), problem, torch.zeros(4, 6).double(), 0.5)
    assert not found.converged.any()
    assert found.passes == 0.5
    assert (found.settled_after == 0.5).all()


def test_whoever_watches_sees_every_step():
    problem, seen = LinearLeastSquares.random(problems=4, terms=16), []
    start, optimizer = torch.zeros(4, 6).double(), CurvatureSAG(batch_fraction=0.25)
    found = minimize(optimizer, problem, start, 1, lambda spent, move: seen.append((spent, move)))
    assert [float(spent.max()) for spent, _ in seen] == [0.25, 0.5, 0.75, 1.0]
    assert torch.equal(seen[-1][1], found.move)


def test_a_settled_problem_waits_for_the_others_unmoved():
    easy, _ = CloudRegistration.random(problems=1, terms=16, angle=0.01, shift=0.1, noise=5.0, seed=1)
    hard, _ = CloudRegistration.random(problems=1, terms=16, angle=2.5, shift=6.0, noise=5.0, seed=2)
    both = CloudRegistration(torch.cat([easy.points, hard.points]), torch.cat([easy.targets, hard.targets]))
    optimizer, start = CurvatureSAG(tolerance=1e-3), torch.zeros(2, 6).double()
    alone, together = minimize(optimizer, easy, start[:1], 40), minimize(optimizer, both, start, 40)
    assert together.converged.all()
    assert together.settled_after[0] < together.settled_after[1]
    assert torch.equal(together.settled_after[:1], alone.settled_after)
    torch.testing.assert_close(together.move[:1], alone.move, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("method", [SAGOneTerm(), SAGMinibatch(), SAGA(), SVRG()])
def test_a_budget_does_not_depend_on_whose_line_search_shares_the_batch(method):
    even = LinearLeastSquares.random(problems=1, terms=8)
    steep = LinearLeastSquares.random(problems=1, terms=8, units=[30.0, 1, 1, 1, 1, 1], seed=2)
    both = LinearLeastSquares(torch.cat([even.matrices, steep.matrices]), torch.cat([even.targets, steep.targets]))
    start = torch.zeros(2, 6).double()
    together = minimize(method, both, start, 6)
    for row, alone in enumerate([even, steep]):
        found = minimize(method, alone, start[:1], 6)
        assert torch.equal(found.settled_after[0], together.settled_after[row])
        torch.testing.assert_close(found.move[0], together.move[row], rtol=1e-9, atol=1e-12)
    assert not torch.equal(together.settled_after[0], together.settled_after[1])


def test_nan_problem_neither_converges_nor_disturbs():
    problem = LinearLeastSquares.random(problems=3, terms=8)
    problem.targets[1] = torch.nan
    start = torch.zeros(3, 6).double()
    for optimizer in (CurvatureSAG(trust_radius=50.0), LevenbergMarquardt(), Preconditioned(SAGA(), Whitening())):
        found = minimize(optimizer, problem, start, 25)
        assert (found.move[[0, 2]] - problem.minimum[[0, 2]]).abs().max() < 0.02


def test_refuses_an_empty_budget():
    with pytest.raises(InputError, match="max_passes"):
        minimize(LevenbergMarquardt(), LinearLeastSquares.random(1, 4), torch.zeros(1, 6).double(), 0)


@pytest.mark.parametrize(
    "optimizer",
    [
        SAGA(tolerance=1e-7),
        SVRG(tolerance=1e-7),
        TorchOptimizer("torch.optim.SGD", {"lr": 0.1}, tolerance=1e-8),
        TorchOptimizer("torch.optim.LBFGS", {"line_search_fn": "strong_wolfe"}, tolerance=1e-8),
    ],
)
def test_first_order_methods_reach_the_minimum(optimizer):
    problem = LinearLeastSquares.random(problems=2, terms=32)
    found = minimize(optimizer, problem, torch.zeros(2, 6).double(), 60)
    assert (found.move - problem.minimum).abs().max() < 0.02


def test_lbfgs_counts_every_closure_call():
    problem = LinearLeastSquares.random(problems=2, terms=8, units=[20.0] * 3 + [1.0] * 3)
    optimizer = Preconditioned(TorchOptimizer("torch.optim.LBFGS", {"max_iter": 5}), LengthScaling(20.0))
    state = optimizer.step(problem, optimizer.init(torch.zeros(2, 6).double(), 8))
    assert state.passes == problem.evaluated / 8 >= 5
