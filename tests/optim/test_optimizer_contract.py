"""What every optimizer promises, for whatever is found under conf/optimizer."""

import dataclasses
import importlib
from pathlib import Path

import pytest
import torch
from finite_sums import CloudRegistration, LinearLeastSquares, WithoutCurvature

from torchsag.app.composition import compose_command
from torchsag.errors import InputError
from torchsag.optim import LengthScaling, Optimizer, Preconditioned, State, minimize

_STEMS = sorted(file.stem for file in (Path(__file__).parents[2] / "conf" / "optimizer").glob("*.yaml"))


_CONFIGS = compose_command(
    "align", ["particles=p", "reference=r", "out=o", *(f"+optimizer@tried.{stem}={stem}" for stem in _STEMS)]
)["tried"]


# Second-order methods are judged on an objective as it is; the others on scaled unknowns, as they are meant to be used.
_SECOND_ORDER = {"sag_curvature", "levenberg_marquardt"}
_NEEDS_CURVATURE = _SECOND_ORDER | {stem for stem in _STEMS if "Whitening" in str(_CONFIGS[stem])}
_NEEDS_TERMS = {s for s in _STEMS if any(m in str(_CONFIGS[s]) for m in (".sag.", ".sag_m", ".saga.", ".svrg."))}


def _imported(target):
    module, _, name = target.rpartition(".")
    return getattr(importlib.import_module(module), name)


def _built(node):
    if not isinstance(node, dict):
        return node
    fields = {key: _built(value) for key, value in node.items() if key != "_target_"}
    return _imported(node["_target_"])(**fields) if "_target_" in node else fields


def _optimizer(stem):
    return _built(_CONFIGS[stem])


def test_finds_the_optimizers():
    assert {"sag", "sag_minibatch", "sag_curvature", "saga", "svrg", "levenberg_marquardt"} <= set(_STEMS)


@pytest.mark.parametrize("stem", _STEMS)
def test_yaml_lists_every_field_and_builds_an_optimizer(stem):
    config = _CONFIGS[stem]
    fields = {field.name for field in dataclasses.fields(_imported(config["_target_"]))}
    assert set(config) - {"_target_"} == fields
    assert isinstance(_optimizer(stem), Optimizer)


@pytest.mark.parametrize("stem", _STEMS)
def test_start_is_a_state_that_has_cost_nothing(stem):
    start = torch.ones(3, 6)
    state = _optimizer(stem).init(start, 8)
    assert isinstance(state, State)
    assert torch.equal(state.move, start)
    assert state.passes == 0
    assert not state.converged.any()


@pytest.mark.parametrize("stem", _STEMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lowers_a_quadratic_and_counts_what_it_evaluates(stem, dtype):
    problem = LinearLeastSquares.random(problems=4, terms=16, dtype=dtype)
    optimizer, start = _optimizer(stem), torch.zeros(4, 6, dtype=dtype)
    state = optimizer.init(start, 16)
    while state.passes < 4:
        state = optimizer.step(problem, state)
    assert state.passes == pytest.approx(problem.evaluated / 16)
    assert state.move.dtype == dtype
    terms = torch.arange(16)
    assert (problem.values(state.move, terms).mean(1) < 0.9 * problem.values(start, terms).mean(1)).all()


@pytest.mark.parametrize("stem", [stem for stem in _STEMS if stem != "torch_lbfgs"])
def test_a_problem_does_not_depend_on_its_batch(stem):
    problem = LinearLeastSquares.random(problems=3, terms=16)
    shared, start = _optimizer(stem), torch.zeros(3, 6).double()
    together, alone = shared.init(start, 16), [shared.init(start[:1], 16) for _ in range(3)]
    for _ in range(24):
        together = shared.step(problem, together)
        alone = [shared.step(problem.problem(index), state) for index, state in enumerate(alone)]
    torch.testing.assert_close(together.move, torch.cat([state.move for state in alone]), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("stem", _STEMS)
def test_same_seed_same_answer(stem):
    problem = LinearLeastSquares.random(problems=2, terms=16)
    runs = [minimize(_optimizer(stem), problem, torch.zeros(2, 6).double(), max_passes=4).move for _ in range(2)]
    assert torch.equal(*runs)


@pytest.mark.parametrize("stem", _STEMS)
def test_registers_point_clouds(stem):
    problem, truth = CloudRegistration.random(problems=3, terms=6, angle=0.2, shift=2.0)
    optimizer = _optimizer(stem)
    if stem not in _SECOND_ORDER and "scaling" not in _CONFIGS[stem]:
        optimizer = Preconditioned(optimizer, LengthScaling(20.0))
    budget = 20 if stem in _SECOND_ORDER | {"torch_lbfgs"} else 50
    if "Adam" in str(_CONFIGS[stem]):
        budget = 250  # Adam walks at its own pace, whatever the slope.
    found = minimize(optimizer, problem, torch.zeros(3, 6).double(), budget)
    errors = (found.move - truth) * torch.tensor([20.0] * 3 + [1.0] * 3)
    assert (errors.norm(dim=-1) < 0.1 * 4.5).all()


@pytest.mark.parametrize("stem", sorted(_NEEDS_CURVATURE))
def test_refuses_an_objective_without_curvature(stem):
    problem = WithoutCurvature(LinearLeastSquares.random(problems=1, terms=4))
    optimizer = _optimizer(stem)
    with pytest.raises(InputError, match="needs a loss with Gauss-Newton curvature"):
        optimizer.step(problem, optimizer.init(torch.zeros(1, 6).double(), 4))


@pytest.mark.parametrize("stem", sorted(_NEEDS_TERMS))
def test_refuses_a_loss_that_is_no_sum(stem):
    with pytest.raises(InputError, match="sum of at least 2 terms, got 1"):
        _optimizer(stem).init(torch.zeros(1, 6), 1)


@pytest.mark.parametrize(
    ("stem", "field", "value"),
    [
        (stem, field, value)
        for stem in _STEMS
        for field, value in [
            ("batch_fraction", 0.0),
            ("batch_fraction", 1.5),
            ("start_lipschitz", 0.0),
            ("tolerance", -1.0),
            ("damping", -1.0),
            ("trust_radius", 0.0),
            ("start_damping", 0.0),
            ("inner_passes", 0),
            ("name", "os.system"),
            ("name", "torch.optim.lr_scheduler"),
            ("arguments", {"no_such_argument": 1}),
        ]
        if field in _CONFIGS[stem]
    ],
)
def test_refuses_values_out_of_range(stem, field, value):
    kind = _imported(_CONFIGS[stem]["_target_"])
    with pytest.raises(InputError):
        kind(**{field: value})
