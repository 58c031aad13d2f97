"""The unit distance's derivatives are those of the correlation itself."""

import torch

from torchsag.alignment.xu_alber.unit_distance import UnitDistance
from torchsag.imaging.reference import isolated
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import observe
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


def field():
    reference = density_of(ribosome_phantom(), 32, 12.0)
    particles, truth = simulate_particles(reference, 3, 0.1)
    band = FourierBand.of(32, 9)
    table, observed = FourierTable.from_density(isolated(reference.density), 9), observe(particles, band)

    def at(poses):
        sums = block_sums(table, band, observed, poses, torch.arange(3), torch.arange(1))
        return UnitDistance.of(sums, observed.power.sum(1))

    return at, truth


def test_gradient_is_the_slope_of_the_correlation():
    at, truth = field()
    start = truth.retract(torch.tensor([0.1, -0.05, 0.08, 0.5, -0.3, 0.4]).expand(3, 6))
    gradient = at(start).gradient
    for direction in range(6):
        move = torch.zeros(3, 6)
        move[:, direction] = 0.02
        slope = (at(start.retract(move)).correlation - at(start.retract(-move)).correlation) / 0.04
        torch.testing.assert_close(gradient[:, direction], -slope, atol=0.02 * float(gradient.abs().max()), rtol=0.05)


def test_gauss_newton_is_the_curvature_without_noise():
    """At the truth of noise-free data the correlation falls as ``1 - move.H move / 2``."""
    reference = density_of(ribosome_phantom(), 32, 12.0)
    particles, truth = simulate_particles(reference, 2, float("inf"))
    band = FourierBand.of(32, 9)
    table, observed = FourierTable.from_density(isolated(reference.density), 9), observe(particles, band)
    two, power = torch.arange(2), observed.power.sum(1)
    here = UnitDistance.of(block_sums(table, band, observed, truth, two, torch.arange(1)), power)
    move = 0.3 * torch.tensor([0.1, 0.05, -0.05, 0.5, 0.3, -0.4]).expand(2, 6)
    there = UnitDistance.of(block_sums(table, band, observed, truth.retract(move), two, torch.arange(1)), power)
    fall = 0.5 * torch.einsum("pi,pij,pj->p", move, here.gauss_newton, move)
    torch.testing.assert_close(here.correlation - there.correlation, fall, rtol=0.1, atol=1e-4)
    torch.testing.assert_close(here.distance.square(), 2 - 2 * here.correlation)
