"""Statistics of a band: units, supports, bookkeeping."""

import pytest
import torch
from blobs import Blobs
from fourier_problems import as_pairs, noisy, some_poses, white_batch

from torchsag.likelihood.observations import observe
from torchsag.spectra.fourier_band import FourierBand


@pytest.mark.parametrize("box", [16, 17])
def test_white_noise_has_unit_variance_in_each_component(box):
    band = FourierBand.of(box, 7, 3)
    observed = observe(white_batch(6, box), band)
    weight = observed.weights[observed.weight_index].sqrt()
    measured = weight > 0
    unit = (observed.data / weight.clamp_min(1e-9))[measured]
    assert float(unit.real.square().mean()) == pytest.approx(1.0, abs=0.06)
    assert float(unit.imag.square().mean()) == pytest.approx(1.0, abs=0.06)
    assert float(unit.mean().abs()) < 0.06
    assert float(observed.power.sum() / (2 * observed.support.sum())) == pytest.approx(1.0, abs=0.04)


def test_nothing_counts_where_nothing_was_measured():
    band = FourierBand.of(16, 6, 2)
    batch = white_batch(4, 16, num_weights=2)
    observed = observe(batch, band)
    measured = observed.weights[observed.weight_index] > 0
    assert (~measured).any()
    assert bool((observed.data[~measured] == 0).all())
    torch.testing.assert_close(observed.support, measured.sum(1).double())
    # What lies outside of the weight's support in a file must not reach the power.
    polluted = type(batch)(
        batch.spectra + 100 * (batch.weights[batch.weight_index] == 0),
        batch.weights,
        batch.weight_index,
        batch.names,
        1.0,
        batch.box,
    )
    torch.testing.assert_close(observe(polluted, band).power, observed.power)


def test_data_and_power_by_hand():
    band = FourierBand.of(12, 4, 3)
    batch = white_batch(2, 12, num_weights=2, seed=4)
    observed = observe(batch, band)
    own, weight = batch.spectra.flatten(1)[:, band.positions], batch.weights.flatten(1)[:, band.positions]
    weight = weight[batch.weight_index]
    torch.testing.assert_close(observed.data, own * weight * (2 / 12**3) ** 0.5)
    torch.testing.assert_close(observed.weights, batch.weights.flatten(1)[:, band.positions].square())
    squares = own.abs().square() * 2 / 12**3
    expected = torch.stack([squares[:, band.blocks == b].sum(1) for b in range(3)], 1)
    torch.testing.assert_close(observed.power, expected)


@pytest.mark.parametrize("num_weights", [1, 2, 4])
def test_some_of_the_particles(num_weights):
    """Whether they share weights or each has its own."""
    band = FourierBand.of(12, 4)
    batch = white_batch(4, 12, num_weights)
    observed, rows = observe(batch, band), torch.tensor([3, 1])
    chosen = observed[rows]
    assert len(chosen) == 2
    torch.testing.assert_close(chosen.data, observed.data[rows])
    torch.testing.assert_close(chosen.power, observed.power[rows])
    torch.testing.assert_close(chosen.support, observed.support[rows])
    torch.testing.assert_close(chosen.weights[chosen.weight_index], observed.weights[observed.weight_index][rows])


def test_least_squares_distance_follows_from_the_statistics():
    """``sum |Y - a W G|^2 = power - 2 a Re sum conj(G) D + a^2 sum W^2 |G|^2``."""
    blobs, band = Blobs(16), FourierBand.of(16, 5)
    observed, _ = noisy(blobs, 2, band)
    poses = some_poses(2, seed=9)
    model_batch = white_batch(2, 16, noise=0.0, blobs=blobs, poses=as_pairs(poses))
    model = observe(model_batch, band)
    weight = observed.weights[observed.weight_index]
    y = torch.where(weight > 0, observed.data / weight.sqrt().clamp_min(1e-9), 0)
    m = torch.where(weight > 0, model.data / weight.sqrt().clamp_min(1e-9), 0)
    direct = (y - 0.7 * m).abs().square().sum(1)
    bare = torch.where(weight > 0, model.data / weight.clamp_min(1e-9), 0)
    cross = (bare.conj() * observed.data).real.sum(1)
    energy = (weight * bare.abs().square()).sum(1)
    torch.testing.assert_close(direct, observed.power[:, 0] - 1.4 * cross + 0.49 * energy)
