"""Noise that varies within shells or is shared by neighbours, against noise made with known power and covariance."""

import pytest
import torch
from placed_blobs import Blobs

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.fourier import from_half_spectrum, half_frequencies, half_shells, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.geometry.rotations import matrix_to_rotvec
from torchsag.imaging.masks import centred_radius
from torchsag.imaging.placement import place_spectrum
from torchsag.imaging.wedge import missing_wedge
from torchsag.likelihood.noise_shape import Model, NoiseShape, believed, noise_shape, relative_power, residuals
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.spectra.gridding import ContinuousSpectrum

N, BOX, COUNT = 24, (24, 24, 24), 24
LAST = 9


def _structure():
    generator = torch.Generator().manual_seed(1)
    centres = 2.2 * torch.randn(10, 3, generator=generator, dtype=torch.float64).clamp(-1.6, 1.6)
    return Blobs(centres, torch.rand(10, generator=generator, dtype=torch.float64) + 0.5).map(N).float()


STRUCTURE = _structure()


def _uneven():
    """Three times the noise along z that there is along x."""
    waves = half_frequencies(BOX)
    radius = waves.norm(dim=-1).clamp_min(1e-6)
    return 1 + 2 * (waves[..., 2] / radius).square()


def _window():
    """Noise that is stronger where the particle is."""
    return 0.6 + 0.8 * torch.exp(-(centred_radius(BOX) / 9).square())


def _particles(kind, count=COUNT, snr=0.05, seed=0):
    generator = torch.Generator().manual_seed(seed)
    poses = Poses(random_rotations(count, generator), torch.randn(count, 3, generator=generator))
    noise = torch.randn(count, *BOX, generator=generator) * float(STRUCTURE.std()) / snr**0.5
    if kind == "shared":
        noise = noise * _window()
    spectra = to_half_spectrum(noise)
    if kind == "uneven":
        spectra = spectra * _uneven().sqrt()
    wedge = missing_wedge(BOX, -60.0, 60.0)
    spectra = (spectra + place_spectrum(ContinuousSpectrum.of(STRUCTURE), poses)) * wedge
    names = tuple(map(str, range(count)))
    return ParticleBatch(spectra, wedge[None], torch.zeros(count, dtype=torch.long), names, 8.0, BOX), poses


def _shape(kind):
    particles, poses = _particles(kind)
    return noise_shape(particles, STRUCTURE, FourierTable.from_density(STRUCTURE, LAST), poses)


def _expected_excess():
    """Variance of the log-likelihood's gradient in noise of the window, over that in noise of its mean square.

    The gradient is the sum of the noise times the derivative of the placed structure by each degree of freedom.
    """
    window, generator = _window(), torch.Generator().manual_seed(2)
    band = (half_frequencies(BOX).norm(dim=-1) * N).round() <= LAST
    seen = band * missing_wedge(BOX, -60.0, 60.0)
    ratios = []
    for _ in range(16):
        aside = 1.2 * torch.randn(1, 3, generator=generator)
        pose = Poses(random_rotations(1, generator).expand(12, 3, 3), aside.expand(12, 3))
        moved = pose.retract(torch.cat([torch.eye(6), -torch.eye(6)]) * 0.02)
        there = place_spectrum(ContinuousSpectrum.of(STRUCTURE), moved)
        slopes = from_half_spectrum((there[:6] - there[6:]) * seen, BOX)
        ratios.append((slopes * window).square().sum((1, 2, 3)) / slopes.square().sum((1, 2, 3)))
    return float(torch.cat(ratios).mean() / window.square().mean())


def test_white_noise_is_left_alone():
    shape = _shape("white")
    assert shape.power is None
    assert shape.excess == 1
    particles, _ = _particles("white", 2)
    assert shape.whitened(particles) is particles


def test_power_that_varies_within_shells_is_found_and_what_is_noisier_damped():
    particles, poses = _particles("uneven")
    model = Model(STRUCTURE, FourierTable.from_density(STRUCTURE, LAST), FourierBand.by_shell(N, LAST))
    power = relative_power(residuals(particles, model, poses), LAST)
    assert power is not None
    shells, inside = half_shells(BOX), missing_wedge(BOX, -55.0, 55.0) > 0
    true = _uneven()
    for shell in (4, 7, 9):
        here = (shells == shell) & inside
        expected = true[here] / true[(shells == shell) & (missing_wedge(BOX, -60.0, 60.0) > 0)].mean()
        assert (power[here] / expected - 1).square().mean().sqrt() < 0.12
    shape = _shape("uneven")
    assert shape.excess == pytest.approx(1, abs=0.15)
    assert shape.power is not None
    assert shape.power.min() == 1
    assert (shape.power - power.clamp_min(1)).abs().mean() < 0.05


def test_noise_that_neighbours_share_is_told_by_how_much():
    shape = _shape("shared")
    assert shape.power is None
    expected = _expected_excess()
    assert expected > 1.4
    assert shape.excess == pytest.approx(expected, rel=0.1)


def test_a_ratio_is_believed_less_what_chance_may_have_added():
    assert believed(1.5, 0.001) == pytest.approx(1.5, abs=1e-3)
    assert believed(0.6, 0.001) == pytest.approx(0.6, abs=1e-3)
    assert believed(1.2, 0.04) == pytest.approx(1 + 0.2 * (1 - 2 / 25))
    assert believed(1.05, 0.04) == 1  # within chance
    assert believed(1.04, 0.001) == 1  # too little to matter
    assert believed(1.5, float("inf")) == 1
    assert believed(1.0, 0.0001) == 1


def test_a_few_particles_say_nothing_of_the_noise():
    particles, poses = _particles("uneven", 7)
    shape = noise_shape(particles, STRUCTURE, FourierTable.from_density(STRUCTURE, LAST), poses)
    assert shape.power is None
    assert shape.excess == 1


def test_whitening_divides_particle_and_weight_alike():
    particles, _ = _particles("uneven", 2)
    power = _uneven()
    done = NoiseShape(power).whitened(particles)
    torch.testing.assert_close(done.spectra, particles.spectra * power.rsqrt())
    torch.testing.assert_close(done.weights, particles.weights * power.rsqrt())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["white", "uneven", "shared"])
def test_uncertainties_hold_in_noise_of_every_shape(kind):
    particles, poses = _particles(kind, count=200, snr=0.3, seed=5)
    aligner = CurvatureSAGAligner().prepare(DensityMap(STRUCTURE, 8.0), Symmetry("C1"), "cpu")
    aligner = aligner.calibrated(particles.take(range(0, 200, 8)))
    found = aligner(particles)
    turned = matrix_to_rotvec(found.poses.rotations.double() @ poses.rotations.double().mT)
    off = torch.cat([turned, (found.poses.shifts - poses.shifts).double()], -1)
    near = off[:, :3].norm(dim=-1) < 0.3
    assert near.double().mean() > 0.9
    length = torch.einsum("pi,pij,pj->p", off, torch.linalg.inv(found.covariances.double()), off)[near]
    assert 0.9 <= float((length < 12.592).double().mean()) <= 0.99
    assert float(length.mean() / 6) == pytest.approx(1, abs=0.25)
