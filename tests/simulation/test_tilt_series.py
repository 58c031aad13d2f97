"""The tilt-series pipeline: SNR, whiteness, signal model, independence of the batch."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, half_frequencies, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.detector import PerfectDetector, PixelDetector
from torchsag.imaging.placement import place_spectrum
from torchsag.imaging.projection import to_images
from torchsag.simulation import density_of, groel_phantom
from torchsag.simulation.back_projection_filters import ExactFilter, MatchedFilter, RampFilter
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.tilt_scheme import ListedTilts, RegularTilts
from torchsag.simulation.tilt_series import TiltSeriesPipeline
from torchsag.spectra.gridding import ContinuousSpectrum

BOX = 32
TILTS = RegularTilts(60.0, step_deg=3.0)
FILTERS = [RampFilter(), ExactFilter(), MatchedFilter()]


@pytest.fixture(scope="module")
def reference():
    return density_of(groel_phantom(), BOX, 8.0, 6.0)


@pytest.fixture(scope="module")
def poses():
    return UniformPoses(2.0).draw(0, range(40)).to(torch.float32)


@pytest.mark.parametrize(("snr", "amplitude_contrast"), [(0.5, 0.07), (0.01, 1.0)])
def test_snr_is_the_requested_one(reference, poses, snr, amplitude_contrast):
    """Signal before the detector over noise before the detector, variances over whole images."""
    microscope = Microscope(amplitude_contrast=amplitude_contrast)
    pipeline = TiltSeriesPipeline(snr=snr, tilts=TILTS, detector=PerfectDetector(), microscope=microscope)
    prepared = pipeline.prepare(reference)
    signal = to_images(prepared.images(poses, -6.0), BOX).var(dim=(-1, -2)).mean()
    noise = to_images(prepared.noise(range(8), seed=0), BOX).var(dim=(-1, -2)).mean()
    assert float(signal / noise) == pytest.approx(snr, rel=0.05)


@pytest.mark.parametrize("weights", FILTERS, ids=lambda f: type(f).__name__)
def test_noise_of_the_particles_is_white_inside_their_weight(reference, weights):
    prepared = TiltSeriesPipeline(tilts=TILTS, filter=weights, readout_noise=0.2).prepare(reference)
    reconstruct = prepared.reconstruction(-6.0)
    noise = reconstruct(prepared.noise(range(24), seed=0))
    power = to_half_spectrum(noise).abs().square().mean(0)
    inside = reconstruct.factor != 0
    power = power / power[inside].mean()
    assert float(power[~inside].max()) < 1e-6
    radius = half_frequencies((BOX, BOX, BOX)).norm(dim=-1)
    for low, high in [(0.03, 0.1), (0.1, 0.2), (0.2, 0.3), (0.3, 0.5)]:
        band = inside & (radius > low) & (radius <= high)
        assert float(power[band].mean()) == pytest.approx(1.0, abs=0.06)


@pytest.mark.parametrize("weights", FILTERS, ids=lambda f: type(f).__name__)
def test_signal_is_the_weight_times_the_placed_reference(reference, poses, weights):
    """The weight describes the particle up to what the box's finite size blurs."""
    pipeline = TiltSeriesPipeline(snr=math.inf, tilts=TILTS, filter=weights, defocus_um=-3.0)
    particles = pipeline.prepare(reference)(poses[:6], range(6), seed=0)
    assert float(particles.weights.min()) >= 0
    placed = place_spectrum(ContinuousSpectrum.of(reference.density), poses[:6]) * particles.weights[0]
    found = to_half_spectrum(particles.volumes)
    shells = fourier_shell_correlation(found, placed, reference.box).mean(0)
    assert float(shells[1:9].min()) > 0.95  # the next shell holds the first zero of the CTF
    overall = (found * placed.conj()).real.sum() / (found.norm() * placed.norm())
    assert float(overall) > 0.97


def test_phases_are_flipped_beyond_the_first_zero_of_the_ctf(reference, poses):
    """At -6 um the CTF is negative from 34 A to 24 A: shells 8 to 10."""
    prepared = TiltSeriesPipeline(snr=math.inf, tilts=TILTS).prepare(reference)
    found = to_half_spectrum(prepared(poses[:6], range(6), seed=0).volumes)
    placed = place_spectrum(prepared.reference, poses[:6])
    shells = fourier_shell_correlation(found, placed, reference.box).mean(0)
    assert float(shells[9]) > 0.5


def test_a_full_series_without_optics_is_the_density(reference):
    """Noise-free back-projection of +-90 degrees against the input: FSC above 0.95 to half Nyquist."""
    tilts = ListedTilts([float(a) for a in range(-89, 91)])
    pipeline = TiltSeriesPipeline(snr=math.inf, tilts=tilts, detector=PerfectDetector(), filter=ExactFilter())
    prepared = pipeline.prepare(reference)
    images = prepared.geometry.project(prepared.reference, Poses.identity(1))
    for weights in (RampFilter(), ExactFilter()):
        flat = torch.ones(len(tilts.angles_deg), *images.shape[-2:])
        count = weights.weights(prepared.geometry, flat, flat[0])
        volume = prepared.geometry.back_project(images * count)[0]
        shells = fourier_shell_correlation(to_half_spectrum(volume), to_half_spectrum(reference.density), reference.box)
        assert float(shells[: BOX // 4 + 1].min()) > 0.95
        if isinstance(weights, ExactFilter):
            continue
        assert float((volume - reference.density).norm() / reference.density.norm()) < 0.1


def test_a_particle_does_not_depend_on_its_batch(reference, poses):
    prepared = TiltSeriesPipeline(snr=0.1, tilts=TILTS, defocus_spread_um=0.5).prepare(reference)
    together = prepared(poses[:3], range(3), seed=5)
    alone = prepared(poses[2:3], range(2, 3), seed=5)
    torch.testing.assert_close(alone.volumes[0], together.volumes[2], atol=1e-4 * float(alone.volumes.std()), rtol=1e-4)
    torch.testing.assert_close(alone.weights[alone.weight_index[0]], together.weights[together.weight_index[2]])


def test_each_particle_may_have_its_own_defocus(reference, poses):
    prepared = TiltSeriesPipeline(tilts=TILTS, defocus_spread_um=1.0).prepare(reference)
    particles = prepared(poses[:4], range(4), seed=0)
    assert len(particles.weights) == 4
    assert sorted(particles.weight_index.tolist()) == [0, 1, 2, 3]
    defoci = prepared.defoci(range(200), seed=0)
    assert -7 <= min(defoci) < -6.8
    assert -5.2 < max(defoci) <= -5


def test_zeros_of_the_images_are_the_zeros_of_the_ctf(reference, poses):
    prepared = TiltSeriesPipeline(snr=math.inf, tilts=TILTS, detector=PixelDetector()).prepare(reference)
    plain = prepared.geometry.project(prepared.reference, poses[:2])
    ratio = prepared.images(poses[:2], -6.0).abs() / plain.abs().clamp_min(1e-6 * float(plain.abs().max()))
    frequency = prepared.geometry.image_frequencies.norm(dim=-1)
    expected = prepared.settings.microscope.ctf(frequency / 8.0, -6.0).abs() * PixelDetector().mtf(frequency)
    strong = (plain.abs() > 1e-4 * plain.abs().max()) & prepared.geometry.measured
    torch.testing.assert_close(ratio[strong], expected.expand_as(ratio)[strong], atol=1e-4, rtol=1e-3)


def test_damage_takes_the_late_images(reference):
    tilts = RegularTilts(60.0, step_deg=3.0, dose_per_image=3.0)
    prepared = TiltSeriesPipeline(tilts=tilts).prepare(reference)
    fresh = TiltSeriesPipeline(tilts=TILTS).prepare(reference)
    left = prepared.modulation(-6.0).norm(dim=(1, 2)) / fresh.modulation(-6.0).norm(dim=(1, 2))
    assert int(left.argmax()) == 20
    assert float(left[20]) > 0.9
    assert float(left[0]) < 0.6 * float(left[20])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"snr": 0.0}, "snr: expected a number above 0"),
        ({"readout_noise": 2.0}, "readout_noise in 0 to 1"),
        ({"defocus_um": float("nan")}, "finite defocus_um, got nan"),
        ({"defocus_spread_um": -1.0}, "defocus_spread_um >= 0"),
    ],
)
def test_refuses_nonsense(settings, message):
    with pytest.raises(InputError, match=message):
        TiltSeriesPipeline(**settings)
