"""The least error with a reference that is not exact."""

import torch

from torchsag.fourier import low_pass
from torchsag.fourier.radial import apply_shell_curve
from torchsag.likelihood.fisher import cramer_rao_bound
from torchsag.likelihood.reference_bound import KnownPart, bound_with_reference
from torchsag.particles import DensityMap
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom

_SNR = 0.01


def _rotation(covariances: torch.Tensor) -> float:
    return float(covariances.diagonal(dim1=1, dim2=2)[:, :3].sum(1).mean().sqrt())


def test_the_exact_map_times_a_curve_gives_the_bound_of_cramer_and_rao():
    structure = RibosomePhantom().density(32, 12.0)
    particles, truth = simulate_particles(structure, 4, _SNR, seed=2)
    variance = float(structure.density.var(correction=0)) / _SNR
    exact = cramer_rao_bound(particles, structure, truth, variance)
    found = _rotation(bound_with_reference(particles, structure, structure, truth))
    # Scale and noise are those that the particles show.
    assert abs(found / _rotation(exact) - 1) < 0.06
    damped = 5 * apply_shell_curve(structure.density, torch.linspace(1.0, 0.3, 17))
    again = _rotation(bound_with_reference(particles, structure, DensityMap(damped, structure.voxel_size), truth))
    assert abs(again / found - 1) < 0.03


def test_detail_and_noise_that_are_not_the_particles_cost_accuracy():
    structure = RibosomePhantom().density(32, 12.0)
    particles, truth = simulate_particles(structure, 4, _SNR, seed=2)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(structure.density.shape, generator=generator) * structure.density.std()
    references = [
        structure.density,
        low_pass(structure.density, 60.0, structure.voxel_size),
        structure.density + noise,
        noise,
    ]
    exact, smooth, noisy, nothing = (
        _rotation(bound_with_reference(particles, structure, DensityMap(one, structure.voxel_size), truth))
        for one in references
    )
    assert 1.5 * exact < smooth < 20 * exact
    assert 1.02 * exact < noisy < nothing


def test_what_is_known_and_what_is_missed_make_up_the_map():
    generator = torch.Generator().manual_seed(4)
    structure = torch.randn(16, 16, 16, generator=generator)
    noise = torch.randn(16, 16, 16, generator=generator)
    known = KnownPart.of(structure, structure + noise)
    # White maps of unit variance: half is predicted, half is missed, per coefficient half of the number of voxels.
    assert abs(float(known.missed[4:8].mean()) / (0.5 * 16**3) - 1) < 0.1
    inside = apply_shell_curve(known.density, torch.ones(8))
    true = apply_shell_curve(structure, torch.ones(8))
    missed = true - inside
    assert abs(float((inside * missed).mean())) < 0.03 * float(true.square().mean())


def test_a_noisy_reference_sets_a_limit_that_better_particles_do_not_move():
    structure = RibosomePhantom().density(32, 12.0)
    generator = torch.Generator().manual_seed(3)
    noise = torch.randn(structure.density.shape, generator=generator) * structure.density.std()
    noisy = DensityMap(structure.density + noise, structure.voxel_size)
    found = {}
    for snr in (1e2, 1e4):
        particles, truth = simulate_particles(structure, 2, snr, seed=2)
        covariances = (bound_with_reference(particles, structure, one, truth) for one in (structure, noisy))
        found[snr] = [_rotation(one) for one in covariances]
    assert found[1e4][0] < 0.3 * found[1e2][0]
    assert found[1e4][1] > 0.9 * found[1e2][1]
