"""What torch's own optimizers do, ours does: the same tests run on both."""

import copy
import inspect
import io
import pickle

import pytest
import torch
from torch.optim import lr_scheduler

from torchsag.errors import InputError
from torchsag.optim import SAG

TARGETS = torch.tensor([[1.0, 2.0], [3.0, -4.0]])


class ToldSAG(SAG):
    """Visits terms in turn without being told: the terms are not part of torch's contract."""

    def __init__(self, params, lr=0.05, **settings):
        super().__init__(params, lr=lr, num_terms=2, **settings)
        self.visits = 0

    def step(self, closure=None):
        visits = getattr(self, "visits", 0)
        self.visits = visits + 1
        # Bare: torch hooks the step of every class of which an optimizer is made, and would call hooks for both.
        return inspect.unwrap(SAG.step)(self, closure, visits % 2)


OPTIMIZERS = [lambda p, lr=0.05, **k: torch.optim.SGD(p, lr=lr, **k), torch.optim.Adam, ToldSAG]
ours_and_torchs = pytest.mark.parametrize("make", OPTIMIZERS, ids=["SGD", "Adam", "SAG"])


def leaf(*values, dtype=torch.float32):
    return torch.tensor(values, dtype=dtype).requires_grad_()


def loss_of(x, term=0):
    return (x - TARGETS[term].to(x)).square().sum()


def train(optimizer, x, steps=3):
    for _ in range(steps):
        optimizer.zero_grad()
        loss_of(x).backward()
        optimizer.step()


@ours_and_torchs
def test_ordinary_loop_lowers_the_loss(make):
    x = leaf(0.0, 0.0)
    train(make([x], lr=0.1), x, 20)
    assert loss_of(x).item() < loss_of(torch.zeros(2)).item() / 2


@ours_and_torchs
def test_closure_is_called_once_with_gradients_enabled_and_its_loss_returned(make):
    x, calls = leaf(0.0, 0.0), []
    optimizer = make([x])

    def closure():
        optimizer.zero_grad()
        calls.append(torch.is_grad_enabled())
        loss = loss_of(x)
        loss.backward()
        return loss

    with torch.no_grad():
        returned = optimizer.step(closure)
    assert calls == [True]
    assert float(returned) == 21 - 16


@ours_and_torchs
def test_parameters_without_gradients_are_left_alone(make):
    x, idle = leaf(0.0, 0.0), leaf(1.0)
    optimizer = make([x, idle])
    optimizer.step()
    assert x.tolist() == [0.0, 0.0]
    train(optimizer, x)
    assert idle.item() == 1.0
    assert not optimizer.state[idle]


@ours_and_torchs
def test_a_closure_that_skips_its_step_changes_nothing(make):
    x = leaf(0.0, 0.0)
    optimizer = make([x], lr=0.1)
    train(optimizer, x)
    before, state = x.detach().clone(), str(optimizer.state_dict())
    assert optimizer.step(optimizer.zero_grad) is None
    assert torch.equal(x, before)
    assert str(optimizer.state_dict()) == state
    train(optimizer, x)
    assert not torch.equal(x, before)


@ours_and_torchs
def test_groups_keep_their_own_rate(make):
    slow, fast = leaf(0.0, 0.0), leaf(0.0, 0.0)
    optimizer = make([{"params": [slow], "lr": 0.0}, {"params": [fast]}])
    optimizer.zero_grad()
    (loss_of(slow) + loss_of(fast)).backward()
    optimizer.step()
    assert slow.tolist() == [0.0, 0.0]
    assert fast.tolist() != [0.0, 0.0]
    optimizer.add_param_group({"params": [leaf(5.0)]})
    assert len(optimizer.param_groups) == 3
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": [fast]})
    with pytest.raises(ValueError, match="empty parameter list"):
        make([])


SCHEDULERS = [
    lambda o: lr_scheduler.ExponentialLR(o, 0.5),
    lambda o: lr_scheduler.CosineAnnealingLR(o, 4),
    lambda o: lr_scheduler.LambdaLR(o, lambda epoch: 0.5**epoch),
    lambda o: lr_scheduler.ReduceLROnPlateau(o, patience=0),
    lambda o: lr_scheduler.OneCycleLR(o, 0.1, total_steps=9, cycle_momentum=False),
    lambda o: lr_scheduler.SequentialLR(o, [lr_scheduler.ConstantLR(o), lr_scheduler.ExponentialLR(o, 0.5)], [2]),
]


@pytest.mark.parametrize("schedule", SCHEDULERS)
@ours_and_torchs
def test_schedulers_change_the_rate(make, schedule):
    x = leaf(0.0, 0.0)
    optimizer = make([x])
    scheduler, rates = schedule(optimizer), []
    for _ in range(4):
        train(optimizer, x, 1)
        scheduler.step(1.0) if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau) else scheduler.step()
        rates.append(optimizer.param_groups[0]["lr"])
    assert len(set(rates)) > 1


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@ours_and_torchs
def test_continues_from_a_file(make, dtype):
    x = leaf(0.0, 0.0, dtype=dtype)
    optimizer = make([x])
    train(optimizer, x)
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    y = x.detach().clone().requires_grad_()
    resumed = make([y])
    resumed.load_state_dict(torch.load(file, weights_only=True))
    if isinstance(resumed, ToldSAG):
        resumed.visits = optimizer.visits
    train(optimizer, x)
    train(resumed, y)
    assert torch.equal(x, y)


@ours_and_torchs
def test_state_follows_the_parameters_precision(make):
    x = leaf(0.0, 0.0)
    optimizer = make([x])
    train(optimizer, x)
    y = x.detach().double().requires_grad_()
    resumed = make([y])
    resumed.load_state_dict(optimizer.state_dict())
    train(resumed, y)
    floating = [v for v in resumed.state[y].values() if isinstance(v, torch.Tensor) and v.dim() > 0]
    assert all(value.dtype == torch.float64 for value in floating)
    with pytest.raises(ValueError, match="parameter group"):
        make([{"params": [leaf(0.0)]}, {"params": [leaf(0.0)]}]).load_state_dict(optimizer.state_dict())


@ours_and_torchs
def test_copies_and_pickles_go_on_by_themselves(make):
    x = leaf(0.0, 0.0)
    optimizer = make([x])
    train(optimizer, x)
    for twin in (copy.deepcopy(optimizer), pickle.loads(pickle.dumps(optimizer))):
        (y,) = twin.param_groups[0]["params"]
        assert y is not x
        train(twin, y, 1)
        assert not torch.equal(x, y)


@ours_and_torchs
def test_hooks_are_called(make):
    x, calls = leaf(0.0, 0.0), []
    optimizer = make([x])
    optimizer.register_step_pre_hook(lambda *a: calls.append("before"))
    optimizer.register_step_post_hook(lambda *a: calls.append("after"))
    train(optimizer, x, 1)
    assert calls == ["before", "after"]
    assert "lr: 0." in repr(optimizer)


@ours_and_torchs
def test_rates_may_be_tensors_and_negative_ones_are_refused(make):
    x = leaf(0.0, 0.0)
    train(make([x], lr=torch.tensor(0.05)), x, 1)
    assert x.tolist() != [0.0, 0.0]
    with pytest.raises(ValueError, match=r"lr|learning rate"):
        make([leaf(0.0)], lr=-0.1)


@ours_and_torchs
def test_weight_decay_and_ascent(make):
    x = leaf(10.0, 10.0)
    decayed = make([x], lr=0.05, weight_decay=10.0)
    train(decayed, x, 1)
    assert x.abs().max().item() < 10
    y = leaf(0.0, 0.0)
    train(make([y], lr=0.05, maximize=True), y, 2)
    assert loss_of(y).item() > loss_of(torch.zeros(2)).item()


@ours_and_torchs
def test_gradients_may_be_clipped_and_scaled(make):
    x = leaf(0.0, 0.0)
    optimizer, scaler = make([x]), torch.amp.GradScaler("cpu", init_scale=8.0)
    scaler.scale(loss_of(x)).backward()
    scaler.unscale_(optimizer)
    torch.nn.utils.clip_grad_norm_([x], 0.1)
    scaler.step(optimizer)
    scaler.update()
    assert x.tolist() != [0.0, 0.0]


# Beyond torch's contract: terms, line search, what must be refused.


def sag(x, **settings):
    return SAG([x], num_terms=2, **settings)


@pytest.mark.parametrize("lr", [0.1, None])
def test_converges_to_the_minimum_of_the_sum_by_every_way_of_naming_the_term(lr):
    for way in ("set_term", "argument", "return"):
        x = leaf(0.0, 0.0)
        optimizer = sag(x, lr=lr)

        def closure(term, x=x, optimizer=optimizer, way=way):
            optimizer.zero_grad()
            loss = loss_of(x, term)
            loss.backward()
            return (loss, term) if way == "return" else loss

        for step in range(150):
            term = step % 2
            if way == "set_term":
                optimizer.set_term(term)
            optimizer.step(lambda term=term: closure(term), *([term] if way == "argument" else []))
        torch.testing.assert_close(x.detach(), TARGETS.mean(0), rtol=0, atol=1e-2)


def test_line_search_leaves_the_gradient_as_it_found_it():
    x = leaf(0.0, 0.0)
    optimizer = sag(x)

    def closure():
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(x)
        loss.backward()
        return loss

    optimizer.step(closure, 0)
    assert x.grad is not None
    assert x.grad.tolist() == [-2.0, -4.0]


def test_schedulers_scale_the_step_of_the_line_search():
    def first_step(factor):
        x = leaf(0.0, 0.0)
        optimizer = sag(x)
        optimizer.param_groups[0]["lr"] *= factor

        def closure():
            optimizer.zero_grad()
            loss = loss_of(x)
            loss.backward()
            return loss

        optimizer.step(closure, 0)
        return x.detach()

    torch.testing.assert_close(first_step(0.25), first_step(1.0) / 4)


def test_half_precision_sums_do_not_drift_and_survive_loading():
    x = leaf(0.0, 0.0, dtype=torch.bfloat16)
    optimizer = sag(x, lr=0.05)
    for step in range(40):
        optimizer.zero_grad()
        loss_of(x, step % 2).backward()
        optimizer.step(term=step % 2)
    state = optimizer.state[x]
    torch.testing.assert_close(state["total"], state["memory"].float().sum(0))
    resumed = sag(x.detach().clone().requires_grad_(), lr=0.05)
    resumed.load_state_dict(optimizer.state_dict())
    (again,) = resumed.state.values()
    assert again["total"].dtype == torch.float32
    assert again["memory"].dtype == torch.bfloat16
    torch.testing.assert_close(again["total"], state["total"])


def test_terms_must_be_named_once():
    x = leaf(0.0, 0.0)
    optimizer = sag(x, lr=0.1)
    loss_of(x).backward()
    with pytest.raises(InputError, match="which term"):
        optimizer.step()
    optimizer.set_term(1)
    with pytest.raises(InputError, match=r"\[0, 1\]"):
        optimizer.step(term=0)
    optimizer.step()
    with pytest.raises(InputError, match="which term"):
        optimizer.step()
    for wrong in (2, -1, 0.5, "a", torch.tensor([0, 1])):
        with pytest.raises(InputError, match="between 0 and 1"):
            optimizer.set_term(wrong)
    optimizer.set_term(torch.tensor(1))
    assert x.tolist() != [0.0, 0.0]


class Wrapper:
    """Of an optimizer, as trainers make it: of its class too, so that methods run on the wrapper, with its own dict."""

    def __init__(self, optimizer):
        self.wrapped = optimizer
        self.__class__ = type("Wrapped", (Wrapper, type(optimizer)), {})

    def __getattr__(self, name):
        return getattr(self.wrapped, name)


def test_a_term_told_to_a_wrapper_is_heard():
    x = leaf(0.0, 0.0)
    optimizer = sag(x, lr=0.1)
    loss_of(x, 1).backward()
    Wrapper(optimizer).set_term(1)
    optimizer.step()
    assert optimizer.state[x]["seen"] == [False, True]


@pytest.mark.parametrize("lr", [0.1, None])
def test_a_skipped_step_forgets_its_term(lr):
    x = leaf(0.0, 0.0)
    optimizer = sag(x, lr=lr)
    optimizer.set_term(1)
    optimizer.step(lambda: None)
    loss_of(x).backward()
    with pytest.raises(InputError, match="which term" if lr else "give lr"):
        optimizer.step()
    assert x.tolist() == [0.0, 0.0]


def test_a_line_search_needs_a_closure_and_its_loss():
    x = leaf(0.0)
    with pytest.raises(InputError, match="give lr"):
        sag(x).step()
    with pytest.raises(InputError, match="needs the loss"):
        sag(x).step(lambda: x.square().sum().backward(), 0)


@pytest.mark.parametrize("lr", [0.1, None])
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_loss_that_is_no_number_changes_nothing(lr, bad):
    x = leaf(1.0, 2.0)
    optimizer = sag(x, lr=lr)

    def closure(factor):
        optimizer.zero_grad()
        loss = factor * loss_of(x)
        loss.backward()
        return loss

    optimizer.step(lambda: closure(1.0), 1)
    before, memory = x.detach().clone(), copy.deepcopy(optimizer.state_dict())
    with pytest.raises(InputError, match="term 0 or its gradient is not finite"):
        optimizer.step(lambda: closure(bad), 0)
    assert torch.equal(x, before)
    assert str(optimizer.state_dict()) == str(memory)


def test_settings_that_conflict_or_make_no_sense_are_refused():
    x = leaf(0.0, 0.0)
    with pytest.raises(InputError, match="one num_terms for all"):
        SAG([{"params": [x], "num_terms": 3}], num_terms=2)
    with pytest.raises(InputError, match="one num_terms for all"):
        sag(x).add_param_group({"params": [leaf(0.0)], "num_terms": 3})
    with pytest.raises(InputError, match="one maximize for all"):
        sag(x).add_param_group({"params": [leaf(0.0)], "maximize": True})
    for number in (1, True):
        with pytest.raises(InputError, match="terms"):
            SAG([x], num_terms=number)
    for settings in ({"lr": -1.0}, {"lr": float("nan")}, {"weight_decay": -1.0}, {"scale": 0.0}, {"scale": -1.0}):
        with pytest.raises(InputError, match=next(iter(settings))):
            SAG([x], num_terms=2, **settings)
    other = SAG([leaf(0.0, 0.0)], num_terms=3, lr=0.1)
    with pytest.raises(InputError, match="sum of 2 terms, got one of 3"):
        sag(x).load_state_dict(other.state_dict())


def test_sparse_gradients_are_refused():
    table = torch.nn.Embedding(4, 2, sparse=True)
    optimizer = SAG(table.parameters(), lr=0.1, num_terms=2)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(InputError, match="sparse"):
        optimizer.step(term=0)
