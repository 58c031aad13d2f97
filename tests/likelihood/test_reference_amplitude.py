"""What particles say about the strength of a reference, shell by shell."""

from functools import cache

import torch

from torchsag.fourier import half_shells, shell_sums, to_half_spectrum
from torchsag.fourier.radial import apply_shell_curve
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import observe
from torchsag.likelihood.reference_amplitude import fit_by_shell, weighted_by_amplitude
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

BOX, SHELL = 32, 9
CERTAIN = 1e-8 * torch.eye(6)


@cache
def _particles(count=12, snr=0.3):
    structure = density_of(ribosome_phantom(), BOX, 12.0, 20.0)
    return structure.density, *simulate_particles(structure, count, snr)


def _amplitude(reference, ambiguity=0.0, covariance=CERTAIN):
    _, particles, truth = _particles()
    count = len(particles)
    table = FourierTable.from_density(reference, SHELL)
    return fit_by_shell(particles, [table], truth, covariance.expand(count, 6, 6), torch.full((count,), ambiguity))[
        0
    ].amplitude


def test_a_filter_on_the_reference_is_undone():
    structure, _, _ = _particles()
    filtered = torch.tensor([1.0, 1.0, 1.0, 1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.4])
    found = _amplitude(apply_shell_curve(structure, filtered))
    found = found / found[0]  # the particles' own scale goes to their amplitudes
    torch.testing.assert_close(found[:7], 1 / filtered[1:8], rtol=0.12, atol=0)


def test_noise_in_the_reference_is_told_from_signal():
    structure, _, _ = _particles()
    noise = torch.randn(structure.shape, generator=torch.Generator().manual_seed(1))
    noise *= 1.5 * structure.std()
    reference = structure + noise
    box = (BOX, BOX, BOX)
    true, given = to_half_spectrum(structure), to_half_spectrum(reference)
    expected = shell_sums((given.conj() * true).real, box) / shell_sums(given.abs().square(), box)
    found = _amplitude(reference)
    assert float(expected[SHELL]) < 0.2 < 0.8 < float(expected[2])
    torch.testing.assert_close(found / found[1] * expected[2], expected[1 : SHELL + 1], rtol=0, atol=0.12)


def test_poses_that_are_not_known_say_nothing():
    structure, _, _ = _particles()
    damped = apply_shell_curve(structure, torch.linspace(1, 0.2, SHELL + 2))
    assert torch.equal(_amplitude(damped, covariance=torch.full((6, 6), torch.nan)), torch.zeros(SHELL))
    assert torch.equal(_amplitude(damped, ambiguity=1.0), torch.zeros(SHELL))


def test_an_uncertain_pose_counts_with_all_that_it_may_be():
    """Where poses are uncertain by ten degrees, fine shells agree less than at the very best pose."""
    structure, _, _ = _particles()
    ten_degrees = torch.diag(torch.tensor([0.03] * 3 + [1e-8] * 3))
    ratio = _amplitude(structure, covariance=ten_degrees) / _amplitude(structure)
    assert float(ratio[SHELL - 2]) < 0.8 * float(ratio[0])


def test_weights_times_amplitude_are_as_good_as_a_reference_times_amplitude():
    structure, particles, truth = _particles()
    amplitude = torch.linspace(0.5, 2.0, SHELL)
    on_shells = torch.cat([amplitude[:1], amplitude])
    band, everyone = FourierBand.by_shell(BOX, SHELL - 1), torch.arange(len(particles))

    def correlations(reference, seen):
        table = FourierTable.from_density(reference, SHELL)
        sums = block_sums(table, band, observe(seen, band), truth, everyone, torch.arange(band.num_blocks))
        return sums.cross, sums.energy

    # A reference that is blurred in Fourier space by less than the curve changes over a shell.
    expected = correlations(apply_shell_curve(structure, on_shells), particles)
    found = correlations(structure, weighted_by_amplitude(particles, amplitude))
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0.02, atol=0.02 * float(other.abs().mean()))
    weights = weighted_by_amplitude(particles, amplitude).weights
    beyond = (half_shells((BOX, BOX, BOX)) > SHELL) & (particles.weights[0] > 0)
    assert float((weights[0][beyond] / particles.weights[0][beyond] - 2).abs().max()) < 1e-6


def test_what_particles_do_not_show_is_left_out():
    structure, _, _ = _particles()
    noise = torch.randn(structure.shape, generator=torch.Generator().manual_seed(2)) * structure.std()
    alien = apply_shell_curve(noise, torch.tensor([0.0] * 7 + [1.0] * 9))
    near = apply_shell_curve(structure, torch.tensor([1.0] * 6 + [0.0] * 10))
    found = _amplitude(near + alien)
    assert float(found[:5].min()) > 0.5
    assert float(found[7:].max()) < 0.2
