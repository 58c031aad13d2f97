"""Shifts found for given rotations are those of the exact correlation."""

import dataclasses

import torch

from torchsag.geometry import Poses
from torchsag.imaging.reference import isolated
from torchsag.likelihood.observations import observe
from torchsag.search.translational_matching import TranslationalMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable


def matching(max_shell=10, max_shift=6.0, snr=0.3, box=32):
    reference = density_of(ribosome_phantom(), box, 12.0)
    particles, truth = simulate_particles(reference, 6, snr, max_shift=4.0)
    density = isolated(reference.density)
    band = FourierBand.of(box, max_shell)
    matcher = TranslationalMatching(FourierTable.from_density(density, max_shell), band, max_shift)
    return matcher, observe(particles, band), truth


def test_true_shifts_at_true_rotations():
    for box in (31, 32):
        matcher, observed, truth = matching(snr=float("inf"), box=box)
        found = matcher(observed, truth.rotations, torch.arange(6))
        assert float((found.shifts - truth.shifts).abs().max()) < 0.05


def test_no_other_shift_correlates_better():
    matcher, observed, truth = matching()
    every = torch.arange(6)
    found = matcher(observed, truth.rotations, every)
    best = matcher.scores(observed, found, every)
    generator = torch.Generator().manual_seed(1)
    for reach in (0.05, 0.5, 3.0):
        for _ in range(5):
            offset = torch.nn.functional.normalize(torch.randn(6, 3, generator=generator), dim=1)
            moved = Poses(found.rotations, found.shifts + reach * offset)
            assert (matcher.scores(observed, moved, every) < best).all()


def test_shifts_stay_in_the_ball():
    matcher, observed, truth = matching()
    narrow = dataclasses.replace(matcher, max_shift=1.0)
    found = narrow(observed, truth.rotations, torch.arange(6))
    assert float(found.shifts.norm(dim=1).max()) <= 1 + 2 * matcher.band.box / matcher.samples
    assert float(truth.shifts.norm(dim=1).max()) > 2
