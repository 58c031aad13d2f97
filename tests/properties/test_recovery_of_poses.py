"""Simulate, then align: whatever the box, the wedge, the symmetry and the scales, poses end where they should."""

import dataclasses

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from random_problems import RandomProblem, errors_in_sigmas, random_problems
from recovery import SIGMAS, aligned, part, summary

FIXED = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip


@settings(FIXED, max_examples=2)
@given(random_problems(largest_box=26))
def test_poses_end_within_five_standard_errors(problem):
    found, truth = aligned(problem)
    sigmas = errors_in_sigmas(found.poses, found.covariances, truth, problem.symmetry)
    assert float(sigmas.max()) < SIGMAS, sigmas


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 200, 20))
def test_poses_end_within_five_standard_errors_in_boxes_up_to_100(first):
    """But for as many as the alignments themselves expect to be at another pose (`ambiguity`)."""
    found = part(first, 20, seed=2)
    assert len(found["sigmas"]) == 60
    assert summary(found)["chance_of_so_many"] > 1e-3, found["off"]


def test_poses_that_are_off_are_excused_by_doubt_alone():
    sure = {"sigmas": [1.0, 9.0], "ambiguity": [0.0, 1e-6], "off": [{"sigmas": 9.0}]}
    assert summary(sure)["chance_of_so_many"] < 1e-3
    assert summary({**sure, "ambiguity": [0.0, 0.1]})["chance_of_so_many"] > 1e-3
    assert summary({**sure, "off": []})["chance_of_so_many"] == 1


def test_a_pose_that_is_off_would_be_seen():
    problem = RandomProblem(18, 4.0, "D2", (-60, 50), 1.0, 1.0, 7)
    found, truth = aligned(problem)
    moved = dataclasses.replace(truth, shifts=truth.shifts + 1.0)
    assert float(errors_in_sigmas(found.poses, found.covariances, moved, "D2").min()) > SIGMAS
    assert float(errors_in_sigmas(found.poses, found.covariances, truth, "C1").max()) > SIGMAS
