import copy

import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares

from torchsag.errors import InputError
from torchsag.optim import SAG, LengthScaling, Preconditioned, SAGOneTerm


def _closure(problem, optimizer, parts, term):
    def closure():
        optimizer.zero_grad()
        loss = problem.values(torch.cat(parts)[None], torch.tensor([term]))[0, 0]
        loss.backward()
        return loss

    return closure


def _draws(seed, num_terms, count):
    generator = torch.Generator().manual_seed(seed)
    return [int(torch.randint(num_terms, (1,), generator=generator)) for _ in range(count)]


@pytest.mark.parametrize("kind", ["linear", "registration"])
def test_follows_batched_sag_with_groups_scaled_alike(kind):
    if kind == "linear":
        problem = LinearLeastSquares.random(problems=1, terms=12, units=[20.0] * 3 + [1.0] * 3)
    else:
        problem, _ = CloudRegistration.random(problems=1, terms=12, noise=0.5)
    start = torch.full((6,), 0.01).double()
    turn, slide = start[:3].clone().requires_grad_(), start[3:].clone().requires_grad_()
    ours = SAG([{"params": [turn], "scale": 1 / 20}, {"params": [slide]}], num_terms=12)
    batched = Preconditioned(SAGOneTerm(seed=7), LengthScaling(20.0))
    state = batched.init(start[None], 12)
    for term in _draws(7, 12, 50):
        state = batched.step(problem, state)
        ours.step(_closure(problem, ours, [turn, slide], term), term)
        torch.testing.assert_close(torch.cat([turn, slide]).detach(), state.move[0], rtol=1e-9, atol=1e-11)
    assert ours.param_groups[0]["lipschitz"] == pytest.approx(state.inner.lipschitz.item())


def test_continues_from_its_state_dict_as_if_never_stopped():
    problem = LinearLeastSquares.random(problems=1, terms=8)
    first = [torch.zeros(2).double().requires_grad_(), torch.zeros(4).double().requires_grad_()]
    optimizer = SAG(first, num_terms=8)
    draws = _draws(0, 8, 30)
    for term in draws[:5]:
        optimizer.step(_closure(problem, optimizer, first, term), term)
    second = [part.detach().clone().requires_grad_() for part in first]
    resumed = SAG(second, num_terms=8)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    for term in draws[5:]:
        optimizer.step(_closure(problem, optimizer, first, term), term)
        resumed.step(_closure(problem, resumed, second, term), term)
    assert torch.equal(torch.cat(first), torch.cat(second))
    assert torch.equal(resumed.state[second[0]]["memory"], optimizer.state[first[0]]["memory"])


def test_state_dict_survives_a_file(tmp_path):
    parts = [torch.zeros(6).double().requires_grad_()]
    problem, optimizer = LinearLeastSquares.random(problems=1, terms=8), SAG(parts, num_terms=8)
    optimizer.step(_closure(problem, optimizer, parts, 3), 3)
    torch.save(optimizer.state_dict(), tmp_path / "state.pt")
    loaded = torch.load(tmp_path / "state.pt", weights_only=True)
    assert loaded["state"][0]["seen"] == [False, False, False, True, False, False, False, False]


def test_minimises_an_ordinary_autograd_loss_of_a_module():
    torch.manual_seed(0)
    inputs, truth = torch.randn(6, 3, dtype=torch.float64), torch.tensor([[1.0, -2.0, 0.5]]).double()
    targets = inputs @ truth.T + 0.3
    model = torch.nn.Linear(3, 1).double()
    optimizer = SAG(model.parameters(), num_terms=6)
    for term in _draws(1, 6, 200):

        def closure(term=term):
            optimizer.zero_grad()
            loss = (model(inputs[term]) - targets[term]).square().mean()
            loss.backward()
            return loss

        optimizer.step(closure, term)
    torch.testing.assert_close(model.weight.detach(), truth, rtol=0, atol=0.02)
    assert model.bias.item() == pytest.approx(0.3, abs=0.02)


def test_parameters_without_a_gradient_stay_and_count_as_unseen():
    used, idle = torch.zeros(6).double().requires_grad_(), torch.ones(2).double().requires_grad_()
    problem = LinearLeastSquares.random(problems=1, terms=4)
    optimizer = SAG([used, idle], num_terms=4)
    loss = optimizer.step(_closure(problem, optimizer, [used], 1), 1)
    assert loss.item() == problem.values(torch.zeros(1, 6).double(), torch.tensor([1])).item()
    assert torch.equal(idle.detach(), torch.ones(2).double())
    assert not optimizer.state[idle]


def test_refuses_nonsense():
    parameter = torch.zeros(2, requires_grad=True)
    with pytest.raises(InputError, match="sum of at least 2 terms"):
        SAG([parameter], num_terms=1)
    with pytest.raises(InputError, match="scale"):
        SAG([{"params": [parameter], "scale": 0.0}], num_terms=2)
    with pytest.raises(InputError, match="start_lipschitz must be positive"):
        SAG([parameter], num_terms=2, lipschitz=-1.0)
    with pytest.raises(InputError, match="between 0 and 1"):
        SAG([parameter], num_terms=2).step(lambda: parameter.sum(), 2)
