import pytest
import torch

from torchsag.optim.lipschitz import initial_lipschitz, raise_lipschitz, relax_lipschitz

_CURVATURE = torch.tensor([0.01, 1.0, 300.0], dtype=torch.float64)


def _parabola(curvature):
    """h(x) = c x^2 / 2 at x = 1, along its gradient: sufficient decrease holds exactly from L = c on."""
    value, gradient = curvature / 2, curvature
    calls = []

    def value_at(lipschitz):
        calls.append(lipschitz)
        return curvature * (1 - gradient / lipschitz) ** 2 / 2

    return value_at, value, gradient**2, calls


def test_doubles_to_the_true_constant_and_no_further():
    value_at, value, squared, calls = _parabola(_CURVATURE)
    lipschitz, trials = raise_lipschitz(value_at, value, squared, torch.full_like(_CURVATURE, 0.3))
    assert lipschitz.tolist() == pytest.approx([0.3, 1.2, 0.3 * 1024])
    assert trials.tolist() == [1, 3, 11]
    assert len(calls) == 11


@pytest.mark.parametrize("guess", [1e-6, 1.0, 1e7])
def test_initial_search_is_within_a_factor_of_two_from_any_guess(guess):
    value_at, value, squared, calls = _parabola(_CURVATURE)
    lipschitz, trials = initial_lipschitz(value_at, value, squared, torch.full_like(_CURVATURE, guess))
    assert (lipschitz >= _CURVATURE * (1 - 1e-9)).all()
    assert (lipschitz < 2 * _CURVATURE * (1 + 1e-9)).all()
    assert trials.max() <= len(calls)


def test_leaves_vanishing_and_unusable_gradients_alone():
    value_at = lambda lipschitz: torch.full_like(lipschitz, torch.inf)  # noqa: E731
    guess = torch.ones(3, dtype=torch.float64)
    value = torch.tensor([1.0, torch.nan, 1.0], dtype=torch.float64)
    squared = torch.tensor([1e-9, 1.0, torch.nan], dtype=torch.float64)
    lipschitz, trials = initial_lipschitz(value_at, value, squared, guess)
    assert torch.equal(lipschitz, guess)
    assert (trials == 0).all()


def test_rounding_does_not_raise_the_constant():
    value = torch.full((1,), 1000.0)
    squared = torch.full((1,), 1e-5)
    value_at = lambda lipschitz: value + 1e-4  # noqa: E731  (one unit in the last place: the decrease is invisible)
    assert raise_lipschitz(value_at, value, squared, torch.ones(1))[0].item() == 1.0


def test_infinite_trial_values_double():
    value_at = lambda lipschitz: torch.where(lipschitz < 8, torch.nan, -10.0)  # noqa: E731
    lipschitz, _ = raise_lipschitz(value_at, torch.ones(1), torch.ones(1), torch.ones(1))
    assert lipschitz.item() == 8


def test_halves_once_a_pass():
    lipschitz = torch.ones(1, dtype=torch.float64)
    for batch in (5, 5, 2):
        lipschitz = relax_lipschitz(lipschitz, batch, 12)
    assert lipschitz.item() == pytest.approx(0.5)
