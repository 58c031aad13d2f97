"""SAG against the paper's Algorithm 1 in plain Python, and its rate."""

import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares

from torchsag.optim import Preconditioned, SAGMinibatch, SAGOneTerm, Whitening, minimize
from torchsag.optim.gradient_memory import GradientMemory
from torchsag.optim.sag_minibatch import later_step_fraction


def _sag_naive(objective, start, lipschitz, draws):
    """Algorithm 1 of Lü et al. 2019 for one problem: dictionaries and numbers, no batch."""
    n, move, direction, memory = objective.num_terms, start.clone(), torch.zeros_like(start), {}
    path = []

    def value(at, i):
        return objective.values(at[None], torch.tensor([i]))[0, 0].item()

    for i in draws:
        gradient = objective.gradients(move[None], torch.tensor([i]))[1][0, 0]
        square = gradient.dot(gradient).item()
        if square > 1e-8:
            while value(move - gradient / lipschitz, i) > value(move, i) - square / (2 * lipschitz):
                lipschitz *= 2
        direction = direction + gradient - memory.get(i, torch.zeros_like(start))
        memory[i] = gradient
        move = move - direction / (lipschitz * len(memory))
        lipschitz *= 2 ** (-1 / n)
        path.append((move, lipschitz))
    return path


@pytest.mark.parametrize("kind", ["linear", "nonlinear"])
def test_is_algorithm_1_step_by_step(kind):
    if kind == "linear":
        problem = LinearLeastSquares.random(problems=3, terms=12)
        truth_scale = torch.ones(6)
    else:
        problem, _ = CloudRegistration.random(problems=3, terms=12, noise=0.5)
        truth_scale = torch.tensor([0.1] * 3 + [1.0] * 3)
    optimizer = SAGOneTerm(seed=4)
    start = 0.1 * truth_scale.double() * torch.arange(1.0, 4.0).double()[:, None]
    state = optimizer.step(problem, optimizer.init(start, 12))
    # The paper starts from a given L: take the one found by the first step, before it was relaxed.
    first = state.lipschitz * 2 ** (1 / 12)
    generator = torch.Generator().manual_seed(4)
    draws = [torch.randint(12, (1,), generator=generator).item() for _ in range(60)]
    paths = [_sag_naive(_alone(problem, p), start[p], first[p].item(), draws) for p in range(3)]
    for step in range(60):
        for p in range(3):
            move, lipschitz = paths[p][step]
            torch.testing.assert_close(state.move[p], move, rtol=1e-9, atol=1e-11)
            assert state.lipschitz[p].item() == pytest.approx(lipschitz, rel=1e-12)
        state = optimizer.step(problem, state)


def _alone(problem, p):
    one = slice(p, p + 1)
    if isinstance(problem, LinearLeastSquares):
        return problem.problem(p)
    return CloudRegistration(problem.points[one], problem.targets[one])


def test_two_terms_by_hand():
    # h_0 = x^2 / 2 and h_1 = (x - 2)^2 / 2: L = 1 passes every search, so from x = 4 the gradients are 4 - {0, 2}.
    problem = LinearLeastSquares(torch.ones(1, 2, 1, 1).double(), torch.tensor([[[0.0], [2.0]]]).double())
    optimizer = SAGOneTerm(start_lipschitz=1.0, seed=0)
    state = optimizer.init(torch.tensor([[4.0]]).double(), 2)
    state = optimizer.step(problem, state)
    first = int(torch.randint(2, (1,), generator=torch.Generator().manual_seed(0)))
    assert state.move.item() == pytest.approx(4.0 - (4.0 - 2.0 * first))
    assert state.lipschitz.item() == pytest.approx(2**-0.5)


def test_converges_linearly_to_the_minimum():
    problem = LinearLeastSquares.random(problems=4, terms=6, noise=1.0)
    optimizer = SAGOneTerm()
    state, errors = optimizer.init(torch.zeros(4, 6).double(), 6), []
    for _ in range(3):
        for _ in range(120):
            state = optimizer.step(problem, state)
        errors.append((state.move - problem.minimum).norm(dim=-1))
    # A constant factor over every 120 steps, where a gradient of one term without memory would stall at its noise.
    assert (torch.stack(errors).log().diff(dim=0) < -0.5).all()


@pytest.mark.parametrize("fraction", [1 / 16, 1 / 8, 1 / 4, 1 / 2, 1.0])
def test_minibatches_of_every_size_converge(fraction):
    problem = LinearLeastSquares.random(problems=3, terms=16)
    found = minimize(SAGMinibatch(batch_fraction=fraction, tolerance=1e-8), problem, torch.zeros(3, 6).double(), 30)
    assert (found.move - problem.minimum).abs().max() < 0.02


def test_shuffled_memory_is_stable_up_to_the_stated_length():
    # Equal terms, curvature c = L = 1: the worst case of the analysis in `later_step_fraction`.
    def growth(batches, fraction):
        move, memory = 1.0, torch.zeros(batches, dtype=torch.float64)
        memory += move
        for step in range(60 * batches):
            memory[step % batches] = move
            move -= fraction * memory.mean().item()
        return abs(move)

    for batches in (4, 8, 16, 64):
        assert growth(batches, later_step_fraction(batches)) < 1e-3
        assert growth(batches, 6.5 / batches) > 1e3


def test_first_pass_divides_by_the_terms_seen():
    memory = GradientMemory.empty(torch.zeros(1, 2), 4)
    memory.remember(torch.tensor([1, 3]), torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]))
    assert torch.equal(memory.average, torch.tensor([[2.0, 3.0]]))
    memory.remember(torch.tensor([3]), torch.tensor([[[5.0, 6.0]]]))
    assert torch.equal(memory.average, torch.tensor([[3.0, 4.0]]))


def test_scaling_rescues_mixed_units():
    problem = LinearLeastSquares.random(problems=3, terms=8, units=[100.0] * 3 + [1.0] * 3)
    start = torch.zeros(3, 6).double()
    units = torch.tensor([100.0] * 3 + [1.0] * 3).double()

    def error(optimizer):
        move = minimize(optimizer, problem, start, 40).move
        return ((move - problem.minimum) * units).norm() / (problem.minimum * units).norm()

    assert error(Preconditioned(SAGOneTerm(), Whitening())) < 0.05 < 0.3 < error(SAGOneTerm())
