"""Coloured noise is recognised and removed."""

import pytest
import torch
from blobs import Blobs
from fourier_problems import as_pairs, some_poses, white_batch

from torchsag.fourier import half_frequencies
from torchsag.geometry import Poses
from torchsag.likelihood.contenders import Contenders
from torchsag.likelihood.levels import Level
from torchsag.likelihood.noise_spectrum import residual_spectrum, total_spectrum, whitened
from torchsag.likelihood.observations import observe
from torchsag.optim import CurvatureSAG
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

BOX, SHELL = 24, 10


def _falling(shell):
    """Variance like that of ice and neighbours: falls smoothly by a factor of ten."""
    return 10 * (1 + shell) ** -1.0


def _coloured(count, blobs=None, poses=None):
    shell = half_frequencies((BOX, BOX, BOX), dtype=torch.float64).norm(dim=-1) * BOX
    return white_batch(
        count, BOX, blobs=blobs, poses=None if poses is None else as_pairs(poses), spectrum=_falling(shell).sqrt()
    )


def test_total_spectrum_is_that_of_the_noise():
    band = FourierBand.by_shell(BOX, SHELL)
    found = total_spectrum(observe(_coloured(6), band), band)
    expected = _falling(torch.arange(1, SHELL + 1, dtype=torch.float64))
    assert found.shape == (6, SHELL)
    torch.testing.assert_close(found.mean(0)[2:], expected[2:], rtol=0.06, atol=0)
    torch.testing.assert_close(found.mean(0)[:2], expected[:2], rtol=0.3, atol=0)


def test_each_particle_has_its_own():
    band = FourierBand.by_shell(BOX, SHELL)
    observed = observe(_coloured(3), band)
    alone = total_spectrum(observed[torch.tensor([1])], band)
    torch.testing.assert_close(alone[0], total_spectrum(observed, band)[1])


def test_residual_spectrum_leaves_the_particle_out():
    blobs, poses = Blobs(BOX), some_poses(6)
    band = FourierBand.by_shell(BOX, SHELL)
    observed = observe(_coloured(6, blobs, poses), band)
    table = FourierTable.from_density(blobs.density(), SHELL)
    expected = _falling(torch.arange(1, SHELL + 1, dtype=torch.float64))
    assert float(total_spectrum(observed, band).mean(0)[0]) > 2 * float(expected[0])
    found = residual_spectrum(observed, band, table, poses, torch.arange(6))
    torch.testing.assert_close(found.mean(0)[2:], expected[2:], rtol=0.08, atol=0)


def test_what_was_fitted_is_not_taken_for_less_noise():
    """At each particle's own optimum the residual is smaller than the noise, the spectrum is not."""
    band, all_blocks = FourierBand.by_shell(BOX, 5), FourierBand.of(BOX, 5, 4)
    blobs, truth = Blobs(BOX), some_poses(60)
    batch = white_batch(60, BOX, blobs=blobs, poses=as_pairs(truth), noise=0.3)
    table = FourierTable.from_density(blobs.density(), 5)
    level = Level(table, all_blocks, CurvatureSAG(batch_fraction=0.5, tolerance=1e-4), 20.0)
    start = Contenders.of(Poses(truth.rotations[:, None], truth.shifts[:, None]), torch.arange(60))
    observed = observe(batch, all_blocks)
    optimum = level.refine(observed, level.judge(observed, start)).poses
    found = residual_spectrum(observe(batch, band), band, table, optimum, torch.arange(60))
    weight = (2 * torch.arange(1, 6)).double().square()  # shells as large as they are
    assert float((found.mean(0) * weight).sum() / weight.sum()) == pytest.approx(0.09, rel=0.02)


def test_whitened_noise_is_white():
    by_shell, band = FourierBand.by_shell(BOX, SHELL), FourierBand.of(BOX, 8, 4)
    batch = _coloured(4)
    spectrum = total_spectrum(observe(batch, by_shell), by_shell)
    white = whitened(observe(batch, band), band, spectrum)
    weight = white.weights[white.weight_index]
    squares = torch.where(weight > 0, white.data.abs().square() / weight.clamp_min(1e-30), 0)
    for shell in (3, 5, 8):
        members = band.shells == shell
        assert float(squares[:, members].sum() / (2 * (weight[:, members] > 0).sum())) == pytest.approx(1, abs=0.15)
    torch.testing.assert_close(white.power.sum(1), squares.sum(1))
    assert float((white.power.sum(1) / (2 * white.support)).mean()) == pytest.approx(1, abs=0.04)


def test_whitening_changes_units_and_nothing_else():
    band = FourierBand.of(BOX, 8, 3)
    observed = observe(_coloured(3), band)
    white = whitened(observed, band, torch.full((3, 8), 4.0, dtype=torch.float64))
    torch.testing.assert_close(white.data, observed.data / 4)
    torch.testing.assert_close(white.weights[white.weight_index], observed.weights[observed.weight_index] / 4)
    torch.testing.assert_close(white.power, observed.power / 4)
    assert torch.equal(white.support, observed.support)


def test_nothing_measured_is_no_reason_to_fail():
    band = FourierBand.by_shell(BOX, SHELL)
    observed = observe(_coloured(2), band)
    observed.weights.zero_()
    observed.data.zero_()
    assert bool(total_spectrum(observed, band).isfinite().all())
