import pytest
import torch

from torchsag.averaging import MapSums
from torchsag.errors import InputError
from torchsag.fourier import fourier_shell_correlation, shell_sums, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations


def _poses(count, seed=1, spread=1.0):
    generator = torch.Generator().manual_seed(seed)
    return Poses(random_rotations(count, generator), spread * torch.randn(count, 3, generator=generator))


def _fsc(first, second):
    box = tuple(first.shape)
    return fourier_shell_correlation(to_half_spectrum(first), to_half_spectrum(second), box)


def _sums(particles, poses, **kwargs):
    sums = MapSums.empty(particles.box, particles.voxel_size)
    sums.add(particles, poses, **kwargs)
    return sums


@pytest.mark.parametrize("n", [31, 32])
def test_noise_free_particles_give_the_structure_back(blobs, n):
    structure, poses = blobs(), _poses(20)
    average = _sums(structure.particles(poses, n), poses).finish()[0]
    truth = structure.map(n)
    assert (_fsc(average.density, truth)[: int(0.4 * n)] > 0.9999).all()
    # Same values, not only the same shape.
    middle = (slice(n // 4, -(n // 4)),) * 3
    assert float((average.density - truth)[middle].abs().max()) < 0.02 * float(truth.max())


def test_a_missing_wedge_is_made_up_for_by_the_other_particles(blobs):
    n, structure, poses = 32, blobs(6.0), _poses(40)
    average = _sums(structure.particles(poses, n, tilt_deg=60), poses).finish()[0]
    spectrum, truth = to_half_spectrum(average.density), to_half_spectrum(structure.map(n))
    assert (_fsc(average.density, structure.map(n))[:11] > 0.985).all()
    gain = shell_sums((spectrum * truth.conj()).real, (n, n, n)) / shell_sums(truth.abs() ** 2, (n, n, n))
    # At the wedge's edge the weight is interpolated more bluntly than the transform: a few per cent at low shells.
    assert ((gain[1:11] - 1).abs() < 0.1).all()


def test_weights_and_strengths_enter_as_in_the_least_squares_formula(blobs):
    n, structure, poses = 16, blobs(4.0), Poses.identity(2)
    particles = structure.particles(poses, n)
    particles.spectra[1] *= 3.0  # a particle that is three times as bright for its weight
    strength = torch.tensor([1.0, 0.25])
    average = _sums(particles, poses, strength=strength).finish()[0].density
    inner = (slice(4, -4),) * 3
    expected = (1.0 + 0.25 * 3.0) / 1.25 * structure.map(n)
    torch.testing.assert_close(average[inner], expected[inner], atol=0.02, rtol=0.02)


def test_groups_are_kept_apart_and_pool_to_the_whole(blobs):
    n, structure, poses = 16, blobs(4.0), _poses(6)
    particles = structure.particles(poses, n, tilt_deg=60, noise=0.3)
    groups = torch.tensor([0, 1, 0, 1, 1, 0])
    both = MapSums.empty(particles.box, 6.0, groups=2)
    both.add(particles, poses, groups)
    alone = MapSums.empty(particles.box, 6.0)
    for i in (0, 2, 5):
        alone.add(particles[i : i + 1], poses[i : i + 1])
    # One particle and several go through differently vectorised float32 transforms.
    torch.testing.assert_close(both.numerator[:1], alone.numerator, rtol=1e-4, atol=1e-2)
    torch.testing.assert_close(both.denominator[:1], alone.denominator, rtol=1e-6, atol=1e-9)
    whole = _sums(particles, poses)
    torch.testing.assert_close(both.pooled().numerator, whole.numerator, rtol=1e-4, atol=1e-2)
    assert both.counts.tolist() == [3, 3]


def test_sums_of_parts_equal_the_sum_of_the_whole(blobs):
    n, structure, poses = 16, blobs(4.0), _poses(20)
    particles = structure.particles(poses, n)
    first, second = _sums(particles[:7], poses[:7]), _sums(particles[7:], poses[7:])
    whole = _sums(particles, poses)
    torch.testing.assert_close((first + second).numerator, whole.numerator, rtol=1e-4, atol=1e-2)
    doubled = whole.reduce(lambda tensor: 2 * tensor)
    torch.testing.assert_close(doubled.numerator, 2 * whole.numerator)
    assert doubled.counts.tolist() == [40]


@pytest.mark.parametrize("name", ["C3", "D2", "O"])
def test_symmetry_at_the_end_equals_adding_every_equivalent_pose(blobs, name):
    n, structure, poses, symmetry = 32, blobs(6.0), _poses(30), Symmetry(name)
    particles = structure.particles(poses, n, tilt_deg=60)
    once = _sums(particles, poses).finish(symmetry)[0].density
    every = MapSums.empty(particles.box, 6.0)
    for rotation in symmetry.rotations.float():
        every.add(particles, Poses(poses.rotations @ rotation, poses.shifts))
    assert (_fsc(once, every.finish()[0].density)[:8] > 0.985).all()


def test_a_symmetrised_map_has_the_symmetry(blobs):
    n, poses = 32, _poses(3)
    average = _sums(blobs(6.0).particles(poses, n), poses).finish(Symmetry("C2"))[0].density[1:, 1:, 1:]
    turned = average.flip(-1, -2)  # half a turn about z; without the first plane the flip keeps the box centre
    assert float((average - turned).abs().max()) < 0.02 * float(average.abs().max())


def test_wiener_regularisation_scales_a_shell_by_its_signal_to_noise(blobs):
    n, structure, poses = 16, blobs(4.0), _poses(5)
    sums = _sums(structure.particles(poses, n), poses)
    plain = to_half_spectrum(sums.finish()[0].density)
    ratio = torch.full((1, n // 2 + 1), 3.0)
    damped = to_half_spectrum(sums.finish(signal_to_noise=ratio)[0].density)
    inside = torch.zeros_like(plain.real).flatten()
    inside[sums.sphere.flat] = 1
    inside[0] = 0
    kept = (inside.view_as(plain.real) > 0) & (plain.abs() > 1e-3 * plain.abs().max())
    # Without a wedge the denominator is the same everywhere: the Wiener factor is s / (s + 1).
    torch.testing.assert_close((damped / plain)[kept].real, torch.full((int(kept.sum()),), 0.75), atol=2e-3, rtol=0)


def test_coefficients_nobody_measured_are_zero_not_huge(blobs):
    n, structure, poses = 32, blobs(), Poses.identity(1)
    particles = structure.particles(poses, n, tilt_deg=40, noise=1.0)
    average = _sums(particles, poses).finish(floor=0.05)[0].density
    spectrum = to_half_spectrum(average)
    cone = spectrum[1:13, 0, 0]  # the beam's direction, k_z
    assert float(cone.abs().max()) < 0.05 * float(to_half_spectrum(particles.volumes[0]).abs().max())


def test_last_shell_limits_the_map(blobs):
    n, structure, poses = 32, blobs(), _poses(5)
    particles = structure.particles(poses, n)
    sums = MapSums.empty(particles.box, 6.0, last_shell=8)
    sums.add(particles, poses)
    power = shell_sums(to_half_spectrum(sums.finish()[0].density).abs() ** 2, (n, n, n))
    assert float(power[10:].max()) < 1e-6 * float(power[1:8].max())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda p: MapSums.empty((16, 16, 18), 6.0), "cubic box"),
        (lambda p: MapSums.empty((16, 16, 16), 6.0, last_shell=9), "last_shell in 1 .. 8"),
        (lambda p: MapSums.empty((18, 18, 18), 6.0).add(p, p.poses), "particle 0"),
        (lambda p: MapSums.empty((16, 16, 16), 5.0).add(p, p.poses), "at 5 angstrom"),
        (lambda p: MapSums.empty((16, 16, 16), 6.0, groups=2).finish(), r"none in \[0, 1\]"),
    ],
)
def test_unusable_input_is_refused_in_one_sentence(blobs, call, message):
    particles = blobs(4.0).particles(Poses.identity(1), 16)
    with pytest.raises(InputError, match=message):
        call(particles)
