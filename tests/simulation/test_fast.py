"""The fast pipeline: what it promises about poses, signal, noise and wedge."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, half_frequencies, hermitian_multiplicity, phase_ramp, to_half_spectrum
from torchsag.imaging.wedge import missing_wedge
from torchsag.simulation import (
    FastPipeline,
    TiltSeriesPipeline,
    UniformPoses,
    density_of,
    groel_phantom,
    ribosome_phantom,
    simulate_particles,
)
from torchsag.simulation.tilt_scheme import RegularTilts


@pytest.fixture(scope="module")
def reference():
    return density_of(groel_phantom(), 32, 8.0)


@pytest.mark.parametrize("box", [40, 41])
def test_noise_free_particles_are_the_structure_at_its_pose(box):
    """Truth: the point model itself turned, its density summed anew, shifted by a phase."""
    model = ribosome_phantom()
    reference = density_of(model, box, 8.0)
    particles, poses = simulate_particles(reference, 3, math.inf, -90.0, 90.0, max_shift=2.0, seed=4)
    for i in range(3):
        turned = density_of(model.turned(poses.rotations[i].double()), box, 8.0).density
        ramp = phase_ramp(half_frequencies(reference.box), poses.shifts[i])
        expected = from_half_spectrum(to_half_spectrum(turned) * ramp, reference.box)
        assert (particles.volumes[i] - expected).norm() / expected.norm() < 2e-3


def test_snr_is_the_requested_one(reference):
    clean, _ = simulate_particles(reference, 4, math.inf, -90.0, 90.0, seed=1)
    noisy, _ = simulate_particles(reference, 4, 0.02, -90.0, 90.0, seed=1)
    measured = clean.volumes.var(dim=(1, 2, 3)).mean() / (noisy.volumes - clean.volumes).var(dim=(1, 2, 3)).mean()
    assert float(measured) == pytest.approx(0.02, rel=0.05)


def test_noise_is_white_inside_the_wedge(reference):
    clean, _ = simulate_particles(reference, 8, math.inf, -60.0, 60.0, seed=1)
    noisy, _ = simulate_particles(reference, 8, 0.01, -60.0, 60.0, seed=1)
    power = to_half_spectrum(noisy.volumes - clean.volumes).abs().square().mean(0)
    sigma_squared = reference.density.var(correction=0) / 0.01
    inside = noisy.weights[0] > 0
    radius = half_frequencies(reference.box).norm(dim=-1)
    for low, high in [(0.0, 0.2), (0.2, 0.35), (0.35, 0.5), (0.5, 0.9)]:
        band = inside & (radius > low) & (radius <= high)
        assert float(power[band].mean() / sigma_squared / 32**3) == pytest.approx(1.0, rel=0.05)


def test_nothing_outside_the_wedge(reference):
    particles, _ = simulate_particles(reference, 3, 0.1, -50.0, 60.0, seed=2)
    power = to_half_spectrum(particles.volumes).abs().square() * hermitian_multiplicity(reference.box)
    wedge = missing_wedge(reference.box, -50.0, 60.0)
    assert torch.equal(particles.weights[0], wedge)
    assert float((power * (1 - wedge)).sum() / (power * wedge).sum()) < 1e-6


def test_a_particle_does_not_depend_on_its_batch(reference):
    together, poses = simulate_particles(reference, 6, 0.1, seed=3)
    alone, pose = simulate_particles(reference, 1, 0.1, seed=3, start=4)
    assert torch.equal(pose.rotations[0], poses.rotations[4])
    assert torch.equal(pose.shifts[0], poses.shifts[4])
    torch.testing.assert_close(alone.volumes[0], together.volumes[4])
    assert alone.names[0] == together.names[4]


def test_another_seed_is_another_set(reference):
    first, poses = simulate_particles(reference, 1, 0.1, seed=0)
    second, other = simulate_particles(reference, 1, 0.1, seed=1)
    assert not torch.allclose(poses.rotations, other.rotations)
    assert not torch.allclose(first.volumes, second.volumes)


def test_poses_survive_a_change_of_noise(reference):
    _, poses = simulate_particles(reference, 2, 0.1, seed=5)
    _, again = simulate_particles(reference, 2, 10.0, seed=5)
    assert torch.equal(poses.rotations, again.rotations)


@pytest.mark.parametrize("snr", [0.0, -1.0, math.nan])
def test_refuses_a_useless_snr(reference, snr):
    with pytest.raises(InputError, match="snr: expected a number above 0"):
        simulate_particles(reference, 1, snr)


def test_refuses_a_tilt_range_beyond_a_right_angle(reference):
    with pytest.raises(InputError, match="tilt range: expected angles from -90 to 90 degrees"):
        simulate_particles(reference, 1, 1.0, -100.0, 60.0)


@pytest.mark.gpu
@pytest.mark.parametrize("pipeline", [FastPipeline(0.1), TiltSeriesPipeline(0.1, RegularTilts(60.0, step_deg=5.0))])
def test_the_device_does_not_matter(reference, pipeline):
    poses = UniformPoses().draw(0, range(2))
    on_cpu = pipeline.prepare(reference)(poses, range(2), 0)
    on_gpu = pipeline.prepare(reference.to("cuda"))(poses, range(2), 0).to("cpu")
    assert float((on_cpu.volumes - on_gpu.volumes).norm() / on_cpu.volumes.norm()) < 1e-4
    torch.testing.assert_close(on_cpu.weights, on_gpu.weights, atol=1e-4, rtol=1e-3)
