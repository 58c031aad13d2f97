"""The search over all rotations: its scores are matched filters, its best candidates lie at the truth."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotation_distance
from torchsag.imaging.reference import isolated
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.observations import observe
from torchsag.particles import DensityMap
from torchsag.search.candidates import PreparedSearch, Search
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, groel_phantom, ribosome_phantom, simulate_particles
from torchsag.spectra.fourier_table import FourierTable

C1 = Symmetry("C1")


@pytest.fixture(scope="module", params=[24, 25])
def problem(request):
    reference = density_of(ribosome_phantom(), request.param, 16.0, 20.0)
    return reference, *simulate_particles(reference, 3, 0.2, max_shift=2.0)


def test_scores_are_matched_filters(problem):
    """At every rotation, up to a factor, but for the degree at which the model ends and the smoothing of its shells."""
    reference, particles, _ = problem
    prepared = RotationalMatching(degree=8).prepare(reference, C1)
    observed = observe(particles, prepared.band)
    scores = prepared.scores(observed)
    table = FourierTable.from_density(isolated(reference.density), prepared.max_shell)
    rotations = prepared._rotations[::13]
    shift = 5
    shifts = rotations @ prepared.shifts[shift]
    for particle in range(3):
        which = torch.full((len(rotations),), particle)
        sums = block_sums(table, prepared.band, observed, Poses(rotations, shifts), which, torch.arange(1))
        exact = sums.cross[:, 0] / sums.energy[:, 0].sqrt()
        found = scores[particle, ::13, shift]
        assert float(torch.corrcoef(torch.stack([found, exact]))[0, 1]) > 0.99
        # Both halves of the transform are counted here, one in the blocks.
        assert float((found * exact).sum() / exact.square().sum()) == pytest.approx(math.sqrt(2), rel=0.1)


@pytest.mark.parametrize("name", ["C3", "D7", "O"])
def test_scores_of_symmetric_references_are_matched_filters_at_every_shift(name):
    """A reference that is shifted off its axis has no symmetry: what its axis forbids must not be left out of it."""
    symmetry = Symmetry(name)
    blobs = symmetry.rotations.float() @ torch.tensor([7.0, 2.0, 4.0])
    axis = torch.arange(24.0) - 12
    x, y, z = (torch.exp(-((axis - blobs[:, k, None]) ** 2) / 8) for k in range(3))
    reference = DensityMap(torch.einsum("gz,gy,gx->zyx", z, y, x), 10.0)
    particles, _ = simulate_particles(reference, 2, 1.0, max_shift=2.0)
    prepared = RotationalMatching(degree=12, max_shell=5).prepare(reference, symmetry)
    observed = observe(particles, prepared.band)
    scores = prepared.scores(observed)
    table = FourierTable.from_density(isolated(reference.density), prepared.max_shell)
    rotations = prepared._rotations[::13]
    which = torch.zeros(len(rotations), dtype=torch.long)
    for shift in (0, 5, len(prepared.shifts) - 1):
        placed = Poses(rotations, rotations @ prepared.shifts[shift])
        exact = block_sums(table, prepared.band, observed, placed, which, torch.arange(1)).matched_filter[:, 0]
        assert float(torch.corrcoef(torch.stack([scores[0, ::13, shift], exact]))[0, 1]) > 0.98


def test_candidates_include_the_truth(problem):
    reference, particles, truth = problem
    search = RotationalMatching(num_candidates=6)
    assert isinstance(search, Search)
    prepared = search.prepare(reference, C1)
    assert isinstance(prepared, PreparedSearch)
    found = prepared(particles)
    assert found.poses.rotations.shape == (3, 6, 3, 3)
    assert bool((found.scores.diff(dim=1) <= 0).all())
    turned = rotation_distance(found.poses.rotations, truth.rotations[:, None].expand_as(found.poses.rotations))
    closest = turned.argmin(1)
    assert math.degrees(float(turned.amin(1).max())) < 15
    shifts = found.poses.shifts[torch.arange(3), closest]
    assert float((shifts - truth.shifts).norm(dim=-1).max()) < 2.0
    apart = rotation_distance(found.poses.rotations[:, :1].expand(-1, 5, 3, 3), found.poses.rotations[:, 1:])
    assert math.degrees(float(apart.min())) > 15 - 1e-3


def test_references_share_what_does_not_depend_on_them(problem):
    """An averaging run prepares many at a time."""
    reference, particles, _ = problem
    first, second = (RotationalMatching().prepare(reference, C1) for _ in range(2))
    assert first._analysis is second._analysis
    assert torch.equal(first(particles).scores, second(particles).scores)
    assert RotationalMatching(degree=8).prepare(reference, C1)._analysis is not first._analysis


def test_limits_admit_every_rotation_and_the_ball_of_shifts(problem):
    reference, particles, _ = problem
    found = RotationalMatching(max_shift=0.1, num_candidates=2).prepare(reference, C1)(particles)
    everything = Poses(found.poses.rotations.flatten(0, 1), found.poses.shifts.flatten(0, 1))
    assert bool(found.limits.allow(everything, torch.arange(3).repeat_interleave(2)).all())
    far = Poses.identity(1).retract(torch.tensor([[0, 0, 0, 20.0, 0, 0]]))
    assert not bool(found.limits.allow(far, torch.zeros(1, dtype=torch.long)))


def test_batches_do_not_matter(problem):
    reference, particles, _ = problem
    prepared = RotationalMatching(num_candidates=3).prepare(reference, C1)
    whole, alone = prepared(particles), prepared(particles[1:2])
    torch.testing.assert_close(alone.scores[0], whole.scores[1])
    torch.testing.assert_close(alone.poses.rotations[0], whole.poses.rotations[1])


def test_one_search_tells_the_best_scores_of_a_reference_and_of_its_negative(problem):
    reference, particles, _ = problem
    search = RotationalMatching(num_candidates=1)
    prepared = search.prepare(reference, C1)
    upright, opposite = prepared.best_of_both_signs(particles)
    negative = search.prepare(DensityMap(-reference.density, reference.voxel_size), C1)
    torch.testing.assert_close(upright, prepared(particles).scores[:, 0])
    torch.testing.assert_close(opposite, negative(particles).scores[:, 0])


def test_symmetry_shrinks_the_grid_and_finds_the_pose():
    symmetry = Symmetry("D7")
    reference = density_of(groel_phantom(), 24, 10.0, 10.0)
    particles, truth = simulate_particles(reference, 3, 0.5, max_shift=1.0)
    prepared = RotationalMatching(degree=14, num_candidates=4).prepare(reference, symmetry)
    full = RotationalMatching(degree=14, num_candidates=4).prepare(reference, C1)
    assert len(prepared._rotations) < len(full._rotations) / 5
    found = prepared(particles)
    turned = symmetry.distance(truth.rotations[:, None], found.poses.rotations).amin(1)
    assert math.degrees(float(turned.max())) < 12


def test_no_shift_is_the_centre_alone(problem):
    reference, particles, _ = problem
    prepared = RotationalMatching(max_shift=0.0, num_candidates=2).prepare(reference, C1)
    assert len(prepared.shifts) == 1
    assert float(prepared(particles).poses.shifts.abs().max()) == 0


@pytest.mark.parametrize("fields", [{"degree": 1}, {"degree": 65}, {"max_shift": 0.6}, {"num_candidates": 0}])
def test_fields_are_checked(fields):
    with pytest.raises(InputError, match=f"^{next(iter(fields))}: expected"):
        RotationalMatching(**fields)
