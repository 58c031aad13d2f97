"""Entries whose score is known beforehand."""

from dataclasses import replace

import pytest
import torch

from torchsag.bench.entry import Entry
from torchsag.bench.making import make
from torchsag.bench.scoring import score
from torchsag.bench.task import task_named
from torchsag.geometry import Poses
from torchsag.geometry.rotations import rotvec_to_matrix
from torchsag.likelihood.fisher import cramer_rao_bound


def everyone(problem, poses, **more):
    return Entry(torch.ones(problem.task.particles, dtype=torch.bool), poses, **more)


def drawn_at_the_bound(problem):
    """Poses off by as much as the bound says, and the bound."""
    truth = problem.truth.poses
    bound = cramer_rao_bound(
        problem.particles, problem.structures[0], truth.to(torch.float32), problem.noise_variance
    ).double()
    noise = torch.randn(len(truth), 6, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    return truth.retract((torch.linalg.cholesky(bound) @ noise)[..., 0]), bound


def test_the_truth_is_right(aligned):
    found = score(aligned, everyone(aligned, aligned.truth.poses)).measures
    assert found["within_10_deg"].value == found["listed"].value == 1
    assert found["within_10_deg"].low == pytest.approx(0.886, abs=2e-3)
    assert found["median_rotation_error_deg"].value == pytest.approx(0, abs=1e-4)
    assert found["rms_shift_error_angstrom"].value == pytest.approx(0, abs=1e-9)


def test_errors_of_the_size_of_the_bound_are_one(aligned):
    found = score(aligned, everyone(aligned, drawn_at_the_bound(aligned)[0])).measures
    for name in ("rotation_error_by_bound", "shift_error_by_bound"):
        assert found[name].value == pytest.approx(1, abs=0.2)  # 90 degrees of freedom: 0.075


def test_a_particle_that_is_not_listed_is_a_failure(aligned):
    entry = everyone(aligned, aligned.truth.poses)
    entry.listed[:10] = False
    found = score(aligned, entry)
    assert found.measures["within_10_deg"].value == pytest.approx(2 / 3)
    assert found.particles["rotation_error_deg"][:11].count(None) == 10


def test_wrong_poses_are_wrong(aligned):
    turned = Poses(aligned.truth.poses.rotations.mT, -aligned.truth.poses.shifts)
    found = score(aligned, everyone(aligned, turned)).measures
    assert found["within_10_deg"].value < 0.2
    assert found["median_shift_error_angstrom"].value > 20


def test_an_average_in_another_frame_is_as_good(averaged):
    poses, _ = drawn_at_the_bound(averaged)
    turn = rotvec_to_matrix(torch.tensor([0.4, -1.0, 2.0], dtype=torch.float64)).expand(30, 3, 3)
    turned = poses.compose(Poses(turn, torch.tensor([1.5, -2, 0.5], dtype=torch.float64).expand(30, 3)))
    here, there = (score(averaged, everyone(averaged, one)).measures for one in (poses, turned))
    for name in ("within_10_deg", "truth_0.5_angstrom", "half_maps_0.143_angstrom"):
        assert there[name].value == pytest.approx(here[name].value, rel=0.02)
    assert here["truth_0.5_angstrom"].value < 25


def test_an_average_at_random_poses_is_none(averaged):
    entry = everyone(averaged, averaged.truth.poses[torch.arange(30).roll(1)])
    assert score(averaged, entry).measures["truth_0.5_angstrom"].value > 45


def test_the_entrant_s_halves_are_taken(averaged):
    """Particles of one half turned upside down: only there do the halves disagree."""
    poses, halves = averaged.truth.poses, 1 + (torch.arange(30) >= 15).long()
    upside = torch.diag(torch.tensor([1.0, -1, -1], dtype=torch.float64))
    turned = Poses(poses.rotations @ upside, poses.shifts).where(halves == 1, poses)
    found = [score(averaged, everyone(averaged, turned, halves=given)).measures for given in (halves, None)]
    assert found[0]["half_maps_0.143_angstrom"].value > 1.5 * found[1]["half_maps_0.143_angstrom"].value


def test_classes_count_whatever_they_are_called(classified):
    truth = classified.truth.classes
    found = score(classified, everyone(classified, Poses.identity(12), classes=3 - truth)).measures
    assert found["adjusted_rand_index"].value == found["right_class"].value == 1
    found = score(classified, everyone(classified, Poses.identity(12), classes=torch.ones(12).long())).measures
    assert found["adjusted_rand_index"].value == 0
    assert found["classes_found"].value == 1
    entry = everyone(classified, Poses.identity(12), classes=truth)
    entry.listed[:4] = False
    assert score(classified, entry).measures["right_class"].value == pytest.approx(8 / 12)
    rejected = torch.where(torch.arange(12) < 3, 0, truth)
    found = score(classified, everyone(classified, Poses.identity(12), classes=rejected)).measures
    assert found["right_class"].value == pytest.approx(9 / 12)
    found = score(classified, everyone(classified, Poses.identity(12), classes=truth - 1)).measures
    assert found["right_class"].value == pytest.approx(float((truth == 2).sum()) / 12)


def test_honest_uncertainties_are_told_from_others():
    problem = make(replace(task_named("calibrate_easy"), particles=60))
    poses, bound = drawn_at_the_bound(problem)
    honest, bold = (score(problem, everyone(problem, poses, covariances=scale * bound)).measures for scale in (1, 0.25))
    expected = {"inside_50": 0.5, "inside_95": 0.95, "z_rms": 1, "z_rms_rotation": 1, "z_rms_shift": 1}
    for name, level in expected.items():
        assert honest[name].low < level < honest[name].high
    assert bold["inside_95"].high < 0.6
    assert bold["z_rms"].value == pytest.approx(2 * honest["z_rms"].value)
    silent = score(problem, everyone(problem, poses)).measures
    assert silent["with_uncertainty"].value == 0
    assert silent["inside_95"].value is None
    none = bound.clone()
    none[:10] = torch.nan
    none[10:20] *= -1
    partly = score(problem, everyone(problem, poses, covariances=none)).measures
    assert partly["with_uncertainty"].value == pytest.approx(50 / 60)
    assert partly["inside_99"].value <= 0.8
