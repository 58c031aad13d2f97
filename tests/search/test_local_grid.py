"""Turns around a prior pose."""

import dataclasses
import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import Symmetry, random_rotations, rotation_distance, rotvec_to_matrix
from torchsag.geometry.rotations import matrix_to_rotvec
from torchsag.search.candidates import PreparedSearch, Search
from torchsag.search.local_grid import LocalGrid, turns_in_cone
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles


@pytest.fixture(scope="module")
def particles():
    reference = density_of(ribosome_phantom(), 24, 16.0, 20.0)
    batch, truth = simulate_particles(reference, 3, 0.1)
    return reference, dataclasses.replace(batch, poses=truth), truth


def test_prior_first_then_turns_about_it(particles):
    reference, batch, truth = particles
    search = LocalGrid(cone_deg=30.0, max_shift=3.0, step_deg=15.0)
    assert isinstance(search, Search)
    prepared = search.prepare(reference, Symmetry("C1"))
    assert isinstance(prepared, PreparedSearch)
    found = prepared(batch)
    torch.testing.assert_close(found.poses.rotations[:, 0], truth.rotations)
    away = rotation_distance(found.poses.rotations, truth.rotations[:, None].expand_as(found.poses.rotations))
    assert math.degrees(float(away.max())) <= 37.5 + 1e-3
    torch.testing.assert_close(found.poses.shifts, truth.shifts[:, None].expand_as(found.poses.shifts))
    assert found.limits.angle == pytest.approx(math.radians(30.0))
    assert found.limits.shift == 3.0
    torch.testing.assert_close(found.limits.centres.shifts, truth.shifts)


def test_cone_is_covered_by_turns():
    """Every rotation within the cone is within the step of a trial turn, at its rim within one and a half steps."""
    cone, step = math.radians(45), math.radians(15)
    every = random_rotations(20000, torch.Generator().manual_seed(0))
    angle = matrix_to_rotvec(every).norm(dim=-1)
    trial = rotvec_to_matrix(turns_in_cone(cone, step))
    for reach, allowed in [(cone - step / 2, step), (cone, 1.5 * step)]:
        inside = every[angle < reach]
        assert len(inside) > 100
        away = rotation_distance(inside[:, None].expand(-1, len(trial), 3, 3), trial.expand(len(inside), -1, 3, 3))
        assert float(away.amin(1).max()) < allowed


def test_a_cone_no_wider_than_the_step_is_the_prior_alone():
    assert turns_in_cone(0.2, 0.2).tolist() == [[0.0, 0.0, 0.0]]
    assert len(turns_in_cone(0.3, 0.2)) > 1


def test_needs_a_prior(particles):
    reference, batch, _ = particles
    bare = dataclasses.replace(batch, poses=None)
    with pytest.raises(InputError, match="expected a prior pose"):
        LocalGrid().prepare(reference, Symmetry("C1"))(bare)


@pytest.mark.parametrize("fields", [{"cone_deg": 0.0}, {"max_shift": -1.0}, {"step_deg": 0.0}, {"cone_deg": 90.0}])
def test_fields_are_checked(fields):
    with pytest.raises(InputError, match=f"^{next(iter(fields))}: expected"):
        LocalGrid(**fields)
