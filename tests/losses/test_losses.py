"""Truth: losses against their formulas; contract: what the interfaces promise, for every loss in conf/."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from torchsag.app.components import build
from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, half_shells, to_half_spectrum
from torchsag.losses.constrained import constrained_correlation, filter_volume, masked_deviation
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.cross_correlation import CrossCorrelation
from torchsag.losses.fourier_likelihood import FourierLikelihood
from torchsag.losses.local_correlation import LocalCorrelation
from torchsag.losses.loss import Loss, PointwiseLoss, require_additive
from torchsag.losses.phase_residual import PhaseResidual
from torchsag.losses.robust_distance import RobustDistance
from torchsag.losses.student_t import StudentT

LOSSES = sorted((Path(__file__).parents[2] / "conf" / "loss").glob("*.yaml"))


def load(path):
    return build(OmegaConf.to_container(OmegaConf.load(path)))


def sample(seed=0, batch=3, box=(6, 5, 4)):
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.randn(2, batch, *box, generator=generator, dtype=torch.float64)
    return first, 0.5 * first + second + 0.3, torch.rand(batch, *box, generator=generator, dtype=torch.float64)


def flat(parts):
    return [part.flatten(1) for part in parts]


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_contract(path):
    loss = load(path)
    assert isinstance(loss, Loss)
    observed, model, mask = sample()
    assert loss.loss(observed, model, mask).shape == (3,)
    perfect = loss.loss(model, model, mask)
    torch.testing.assert_close(perfect, torch.zeros_like(perfect))
    assert (loss.loss(observed, model, mask) > 1e-3).all()


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_additive_losses_add_up_and_others_say_so(path):
    loss, (observed, model, mask) = load(path), sample()
    slices = [loss.loss(*(part[:, :, [y]] for part in (observed, model, mask))) for y in range(observed.shape[2])]
    assert torch.allclose(torch.stack(slices).sum(0), loss.loss(observed, model, mask)) == loss.additive


@pytest.mark.parametrize("path", LOSSES, ids=lambda path: path.stem)
def test_penalty_is_the_loss_with_its_derivative_and_weight(path):
    loss = load(path)
    if not isinstance(loss, PointwiseLoss):
        pytest.skip("not a sum over voxels")
    observed, model, mask = sample()
    residual = (mask * (observed - model)).requires_grad_()
    value, derivative, weight = loss.penalty(residual)
    torch.testing.assert_close(value.sum((1, 2, 3)), loss.loss(observed, model, mask))
    torch.testing.assert_close(torch.autograd.grad(value.sum(), residual)[0], derivative)
    torch.testing.assert_close(weight * residual, derivative)


def test_correlation_and_distance_are_the_papers():
    """``d^2 = |f*/|f*| - g*/|g*||^2 = 2 - 2 CCC``."""
    first, second, mask = flat(sample())
    stars = [masked_deviation(voxels, mask) for voxels in (first, second)]
    unit = [star / star.norm(dim=-1, keepdim=True) for star in stars]
    distance = (unit[0] - unit[1]).square().sum(-1)
    torch.testing.assert_close(distance, 2 - 2 * constrained_correlation(first, second, mask))
    torch.testing.assert_close(distance, 2 * CrossCorrelation().loss(*sample()))
    torch.testing.assert_close(stars[0].sum(-1), torch.zeros(3).double(), atol=1e-12, rtol=0)


def test_best_amplitude_and_offset_give_one_minus_squared_correlation():
    """With a binary mask the sum of squares at its best a and b is ``|f*|^2 (1 - CCC^2)``."""
    first, second, mask = sample()
    mask = (mask > 0.4).double()
    for box in zip(first, second, mask, strict=True):
        f, g, m = (volume.flatten() for volume in box)
        columns = torch.stack([m * g, m], -1)
        a, b = torch.linalg.lstsq(columns, (m * f)[:, None]).solution[:, 0]
        expected = masked_deviation(f, m).square().sum() * (1 - constrained_correlation(f, g, m) ** 2)
        torch.testing.assert_close(ConstrainedDistance().loss(box[0], a * box[1] + b, box[2]), expected)


def test_correlation_ignores_scale_and_offset_and_flat_volumes():
    first, second, mask = flat(sample())
    torch.testing.assert_close(
        constrained_correlation(first, 3 * second - 7, mask), constrained_correlation(first, second, mask)
    )
    assert (constrained_correlation(first, torch.full_like(first, 2.5), mask).abs() < 1e-6).all()


def test_robust_distance_is_square_near_zero_and_linear_far_away():
    loss = RobustDistance(1.5)
    small, far = torch.tensor([1e-3, -1e-3]).double(), torch.tensor([1e3, 2e3]).double()
    torch.testing.assert_close(loss.penalty(small)[0], small.square(), rtol=1e-5, atol=0)
    torch.testing.assert_close(loss.penalty(far)[1], torch.full((2,), 3.0).double(), rtol=1e-5, atol=0)
    with pytest.raises(InputError, match="scale"):
        RobustDistance(0.0)


def test_student_t_is_twice_the_negative_log_likelihood():
    """Of unit variance, up to a constant; with many degrees of freedom the constrained distance."""
    residual = torch.linspace(-9, 9, 7).double()
    scale = (3 / 5) ** 0.5
    exact = -2 * torch.distributions.StudentT(5.0, 0.0, scale).log_prob(residual)
    value = StudentT(5.0).penalty(residual)[0]
    torch.testing.assert_close(value - value[0], exact - exact[0])
    torch.testing.assert_close(StudentT(1e9).penalty(residual)[0], residual.square(), rtol=1e-6, atol=1e-6)
    with pytest.raises(InputError, match="freedom"):
        StudentT(2.0)


def test_fourier_likelihood_counts_each_shell_by_its_own_noise():
    """Noise a hundred times as strong in some shells does not matter there, but does to the constrained distance."""
    generator = torch.Generator().manual_seed(2)
    box, mask = (12, 12, 12), torch.ones(1, 12, 12, 12).double()
    signal, noise = torch.randn(2, 1, *box, generator=generator, dtype=torch.float64)
    shells = half_shells(box)
    loud = from_half_spectrum(to_half_spectrum(noise) * torch.where(shells == 5, 10.0, 0.1), box)
    loss, quiet = FourierLikelihood(1e-3), from_half_spectrum(to_half_spectrum(noise) * 0.1, box)
    same = loss.loss(signal + loud, signal, mask) / loss.loss(signal + quiet, signal, mask)
    plain = ConstrainedDistance().loss(signal + loud, signal, mask) / ConstrainedDistance().loss(
        signal + quiet, signal, mask
    )
    assert float(plain) > 500
    assert float(same) < 60
    torch.testing.assert_close(loss.loss(signal + loud, 3 * signal - 2, mask), loss.loss(signal + loud, signal, mask))
    with pytest.raises(InputError, match="least_power"):
        FourierLikelihood(0.0)


def test_phase_residual_sees_no_amplitudes_of_the_particle():
    observed, model, _ = sample(box=(8, 8, 8))
    mask, factor = torch.ones_like(observed), 0.1 + half_frequencies((8, 8, 8), dtype=torch.float64).norm(dim=-1)
    loss, filtered = PhaseResidual(), from_half_spectrum(to_half_spectrum(observed) * factor, (8, 8, 8))
    expected = loss.loss(observed, model, mask)
    torch.testing.assert_close(loss.loss(filtered, model, mask), expected)
    torch.testing.assert_close(loss.loss(observed, 2 * model + 1, mask), expected)
    torch.testing.assert_close(loss.loss(-model, model, mask), torch.full((3,), 2.0).double())


def test_local_correlation_sees_no_change_of_contrast():
    """A tenfold contrast in half of the box leaves it nearly as it was; the correlation falls."""
    generator = torch.Generator().manual_seed(1)
    model = torch.randn(1, 24, 12, 12, generator=generator, dtype=torch.float64)
    mask, contrast = torch.ones_like(model), torch.ones_like(model)
    contrast[:, :12] = 10
    observed = contrast * model + 4
    assert float(LocalCorrelation(5).loss(observed, model, mask)) < 0.05
    assert float(CrossCorrelation().loss(observed, model, mask)) > 0.2
    for window in (1, 4):
        with pytest.raises(InputError, match="window"):
            LocalCorrelation(window)


def test_a_loss_that_is_no_sum_is_refused_in_one_sentence():
    require_additive(ConstrainedDistance(), "SAG")
    with pytest.raises(InputError, match=r"^SAG needs a loss that is a sum over terms, which CrossCorrelation is not"):
        require_additive(CrossCorrelation(), "SAG")


@pytest.mark.parametrize("box", [(6, 6, 6), (5, 7, 6)])
def test_filter_of_all_ones_changes_nothing(box):
    volume = torch.randn(2, *box, generator=torch.Generator().manual_seed(0))
    ones = torch.ones(1, box[0], box[1], box[2] // 2 + 1)
    torch.testing.assert_close(filter_volume(volume, ones.expand(2, -1, -1, -1)), volume)
