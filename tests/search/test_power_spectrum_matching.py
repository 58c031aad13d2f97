"""Amplitudes find rotations whatever the shift, and ignore the wedge."""

import math
from dataclasses import replace
from functools import lru_cache

import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies, phase_ramp
from torchsag.geometry import Symmetry, rotation_distance
from torchsag.search.candidates import PreparedSearch, Search
from torchsag.search.power_spectrum_matching import PowerSpectrumMatching, _amplitudes
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

SMALL = PowerSpectrumMatching(degree=16, num_candidates=5, separation_deg=20.0)


@lru_cache
def prepared():
    reference = density_of(ribosome_phantom(), 32, 12.0)
    return reference, SMALL.prepare(reference, Symmetry("C1"))


def test_true_pose_is_among_the_first():
    reference, search = prepared()
    assert isinstance(SMALL, Search)
    assert isinstance(search, PreparedSearch)
    particles, truth = simulate_particles(reference, 8, 0.1, max_shift=3.0)
    found = search(particles)
    turned = rotation_distance(found.poses.rotations[:, 0], truth.rotations)
    assert int((turned < math.radians(12)).sum()) >= 7
    assert float((found.poses.shifts[:, 0] - truth.shifts).norm(dim=1).median()) < 0.7
    assert (found.scores.diff(dim=1) <= 0).all()


def test_rotations_do_not_depend_on_the_shift():
    reference, search = prepared()
    particles, _ = simulate_particles(reference, 3, 0.1)
    shift = torch.tensor([[2.5, -1.0, 3.0]])
    moved = replace(particles, spectra=particles.spectra * phase_ramp(half_frequencies(particles.box), shift))
    here, there = search(particles), search(moved)
    assert torch.equal(here.poses.rotations[:, 0], there.poses.rotations[:, 0])
    torch.testing.assert_close(
        there.poses.shifts[:, 0] - here.poses.shifts[:, 0], shift.expand(3, 3), atol=0.05, rtol=0
    )


def test_amplitudes_have_no_mean_where_measured():
    particles, _ = simulate_particles(prepared()[0], 2, 0.01)
    weights = particles.weights[particles.weight_index]
    amplitudes = _amplitudes(particles.spectra, weights, particles.box)
    assert (amplitudes[weights == 0] == 0).all()
    assert float(amplitudes.real.sum().abs() / amplitudes.abs().sum()) < 1e-4


@pytest.mark.parametrize("field", [{"max_shift": 0.0}, {"max_shell": 1}, {"degree": 1}, {"num_candidates": 0}])
def test_fields_are_checked(field):
    with pytest.raises(InputError, match=next(iter(field))):
        PowerSpectrumMatching(**field)
