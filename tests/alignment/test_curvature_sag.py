"""Recovery of known poses by the default method."""

import csv
import dataclasses
import math
from functools import lru_cache

import pytest
import torch

from torchsag.alignment import coarse_to_fine
from torchsag.alignment.aligner import (
    Aligner,
    AlignmentResult,
    CalibratingAligner,
    LearningAligner,
    PosingAligner,
    PreparedAligner,
    calibrated,
    calibration_rows,
    posing,
)
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.alignment.sag import SAGAligner
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.errors import InputError
from torchsag.fourier.radial import apply_shell_curve
from torchsag.geometry import Poses, Symmetry, rotation_distance
from torchsag.io import read_map, read_particles
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.particles import DensityMap
from torchsag.search.local_grid import LocalGrid
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, groel_phantom, ribosome_phantom, simulate_particles

C1 = Symmetry("C1")


@lru_cache
def _simulated(box=32, count=8, snr=0.05):
    reference = density_of(ribosome_phantom(), box, 12.0, 20.0)
    return reference, *simulate_particles(reference, count, snr)


@lru_cache
def _aligned(box=32):
    reference, particles, _ = _simulated(box)
    aligner = CurvatureSAGAligner().prepare(reference, C1)
    return aligner, aligner(particles)


def _errors(poses, truth):
    turned = rotation_distance(poses.rotations, truth.rotations).rad2deg()
    return turned, (poses.shifts - truth.shifts).norm(dim=-1)


def test_converged_says_whether_a_pose_has_arrived():
    reference, particles, _ = _simulated()
    _, result = _aligned()
    assert result.converged.all()
    hasty = CurvatureSAGAligner(passes=(0.2, 0.2, 0.2)).prepare(reference, C1)(particles)
    assert not hasty.converged.all()


def test_the_last_step_leads_nearer_to_the_optimum(monkeypatch):
    """A step from sums that are known anyway; a long one is not taken."""
    reference, particles, _ = _simulated()
    few = CurvatureSAGAligner(passes=(2.0, 1.0, 0.5), calibration_particles=0).prepare(reference, C1)
    arrived = CurvatureSAGAligner(passes=(2.0, 1.0, 12.0), calibration_particles=0).prepare(reference, C1)(particles)
    left = {}
    for trusted in (3.0, 0.0):
        monkeypatch.setattr(coarse_to_fine, "_TRUSTED", trusted)
        move = few(particles).poses.move_to(arrived.poses)
        left[trusted] = torch.einsum("pi,pij,pj->p", move, torch.linalg.inv(arrived.covariances), move).mean()
    assert float(left[3.0]) < 0.25 * float(left[0.0])


@pytest.mark.parametrize("box", [32, 33])
def test_recovers_poses_from_nothing(box):
    _, particles, truth = _simulated(box)
    aligner, result = _aligned(box)
    assert isinstance(aligner, PreparedAligner)
    turned, moved = _errors(result.poses, truth)
    # The least root-mean-square error possible is 3.7 degrees.
    assert float(turned.max()) < 8
    assert float(turned.median()) < 5
    assert float(moved.max()) < 0.8
    assert len(result) == len(particles)
    assert bool(((result.scores > 0.05) & (result.scores < 1)).all())
    assert bool((result.ambiguity < 0.1).all())
    # The truth lies where the reported covariance says.
    miss = truth.move_to(result.poses).double()
    squared = torch.einsum("pi,pij,pj->p", miss, torch.linalg.inv(result.covariances.double()), miss)
    assert 2 < float(squared.mean()) < 14


def test_everything_is_single_precision():
    _, result = _aligned()
    for values in (result.poses.rotations, result.poses.shifts, result.scores, result.covariances, result.ambiguity):
        assert values.dtype == torch.float32


def test_batch_does_not_matter():
    _, particles, _ = _simulated()
    aligner, whole = _aligned()
    alone = AlignmentResult.concatenate([aligner(particles[i : i + 1]) for i in range(4)])
    torch.testing.assert_close(alone.poses.rotations, whole.poses.rotations[:4], atol=1e-4, rtol=0)
    torch.testing.assert_close(alone.poses.shifts, whole.poses.shifts[:4], atol=1e-4, rtol=0)
    torch.testing.assert_close(alone.scores, whole.scores[:4], atol=1e-4, rtol=0)


def test_scale_and_background_of_the_reference_do_not_matter():
    reference, particles, _ = _simulated()
    _, expected = _aligned()
    other = DensityMap(250 * reference.density + 3.0, reference.voxel_size)
    found = CurvatureSAGAligner().prepare(other, C1)(particles[:2])
    torch.testing.assert_close(found.poses.rotations, expected.poses.rotations[:2], atol=2e-3, rtol=0)


def _disturbed(particles, truth, degrees, voxels):
    generator = torch.Generator().manual_seed(0)
    turn, shift = torch.nn.functional.normalize(torch.randn(2, len(truth), 3, generator=generator), dim=-1)
    move = torch.cat([math.radians(degrees) * turn, voxels * shift], -1)
    return dataclasses.replace(particles, poses=truth.retract(move))


def test_local_search_comes_closer():
    reference, particles, truth = _simulated(snr=0.2)
    start = _disturbed(particles, truth, 5.0, 1.0)
    result = CurvatureSAGAligner(search=LocalGrid()).prepare(reference, C1)(start)
    turned, moved = _errors(result.poses, truth)
    assert bool((turned <= 5.0).all())
    assert float(turned.median()) < 2.5
    assert bool((moved <= 1.0).all())


def test_limits_hold():
    reference, particles, truth = _simulated()
    start = _disturbed(particles, truth, 6.0, 0.5)
    result = CurvatureSAGAligner(search=LocalGrid(cone_deg=20.0, max_shift=4.0)).prepare(reference, C1)(start)
    assert start.poses is not None
    turned, moved = _errors(result.poses, start.poses)
    assert bool((turned <= 20.0).all())
    assert bool((moved <= 4.0).all())


def test_a_score_is_a_correlation_even_where_refinement_wants_to_leave():
    reference, particles, truth = _simulated()
    start = _disturbed(particles, truth, 14.0, 1.0)
    result = CurvatureSAGAligner(search=LocalGrid(cone_deg=2.0, max_shift=0.3)).prepare(reference, C1)(start)
    assert start.poses is not None
    turned, moved = _errors(result.poses, start.poses)
    assert bool((turned <= 2.01).all())
    assert bool((moved <= 0.301).all())
    assert bool((result.scores.abs() <= 1).all())


@lru_cache
def _from_a_damped_reference():
    """How far poses from a damped map are from those of the exact one, degrees: uncalibrated and calibrated."""
    reference, particles, _ = _simulated()
    _, exact = _aligned()
    damped = apply_shell_curve(reference.density, torch.linspace(1.0, 0.1, 9))
    plain = CurvatureSAGAligner().prepare(DensityMap(damped, reference.voxel_size), C1)
    return [
        rotation_distance(aligner(particles).poses.rotations, exact.poses.rotations).rad2deg()
        for aligner in (plain, calibrated(plain, particles))
    ]


def test_calibration_makes_up_for_a_damped_reference():
    plain, found = _from_a_damped_reference()
    assert float(found.square().mean().sqrt()) < 0.7 * float(plain.square().mean().sqrt())


def test_bands_follow_what_particles_confirm():
    """Of a reference that is noise beyond a shell, that part is not looked at."""
    reference, particles, _ = _simulated(snr=0.3)
    noise = torch.randn(reference.density.shape, generator=torch.Generator().manual_seed(3))
    fine = apply_shell_curve(noise, torch.tensor([0.0] * 7 + [1.0] * 9))
    noisy = DensityMap(reference.density + 0.5 * reference.density.std() * fine, reference.voxel_size)
    aligner = CurvatureSAGAligner().prepare(noisy, C1)
    assert aligner.last_shell > 10
    assert aligner.calibrated(particles).last_shell < 10


@lru_cache
def _by_a_noisy_reference():
    """Aligners by a map in noise, uncalibrated and calibrated."""
    reference, particles, _ = _simulated(snr=0.3)
    noise = torch.randn(reference.density.shape, generator=torch.Generator().manual_seed(4))
    noisy = DensityMap(reference.density + 1.5 * reference.density.std() * noise, reference.voxel_size)
    plain = CurvatureSAGAligner().prepare(noisy, C1)
    return noisy, plain, plain.calibrated(particles)


def test_noise_around_the_reference_is_not_believed():
    """Uncertainties hold: the squared error in standard deviations is 6 on average where they are right."""
    _, particles, truth = _simulated(snr=0.3)
    _, plain, known = _by_a_noisy_reference()
    errors, lengths = [], []
    for aligner in (plain, known):
        found = aligner(particles)
        move = found.poses.move_to(truth)
        errors.append(float(move[:, :3].square().sum(-1).median()))
        inverse = torch.linalg.inv(found.covariances.double()).to(move)
        lengths.append(float(torch.einsum("pi,pij,pj->p", move, inverse, move).median()))
    assert errors[1] < 0.7 * errors[0]
    assert lengths[1] < 12 < lengths[0]


def test_what_was_learnt_of_one_reference_serves_another_like_it():
    _, particles, _ = _simulated(snr=0.3)
    noisy, plain, known = _by_a_noisy_reference()
    again = CurvatureSAGAligner().prepare(noisy, C1).calibrated_like(known)
    assert torch.equal(again(particles[:2]).poses.rotations, known(particles[:2]).poses.rotations)
    assert plain.calibrated_like(SAGAligner().prepare(noisy, C1)) is plain  # of another kind: nothing to take over


def test_what_was_learnt_can_be_read():
    reference, _, _ = _simulated()
    _, plain, known = _by_a_noisy_reference()
    assert isinstance(known, LearningAligner)
    exact = CurvatureSAGAligner().prepare(reference, C1)
    assert exact.learnt.at_its_word
    assert exact.learnt.finest_angstrom == pytest.approx(reference.box[0] * reference.voxel_size / exact.last_shell)
    assert plain.learnt.at_its_word
    record = known.learnt.record()
    assert record["taken_at_its_word"] is False
    assert record["surroundings_left_out"] is True
    assert len(record["amplitude_by_shell"]) == known.last_shell
    assert record["amplitude_by_shell"][-1] < 0.8  # where its noise is as strong as itself
    shared = exact.with_noise(NoiseShape(excess=1.5)).learnt
    assert shared.variances_times == 1.5
    assert shared.at_its_word


def test_posing_finds_the_same_poses_without_the_cost_of_their_uncertainties():
    _, particles, _ = _simulated()
    aligner, whole = _aligned()
    assert isinstance(aligner, PosingAligner)
    quick = posing(aligner)(particles)
    assert torch.equal(quick.poses.rotations, whole.poses.rotations)
    assert torch.equal(quick.poses.shifts, whole.poses.shifts)
    assert torch.equal(quick.scores, whole.scores)
    assert not torch.allclose(quick.covariances, whole.covariances, rtol=0.01)  # bounds
    assert bool((quick.passes < whole.passes).all())
    plain = SAGAligner().prepare(_simulated()[0], C1)
    assert posing(plain) is plain


def test_who_is_calibrated_and_with_whom():
    reference, _, _ = _simulated()
    aligner = CurvatureSAGAligner(calibration_particles=4).prepare(reference, C1)
    assert isinstance(aligner, CalibratingAligner)
    assert list(calibration_rows(aligner, 10)) == [0, 2, 4, 6]
    assert list(calibration_rows(aligner, 3)) == []  # they would show their own noise
    assert list(calibration_rows(aligner, 0)) == []
    trusting = CurvatureSAGAligner(calibration_particles=0).prepare(reference, C1)
    assert list(calibration_rows(trusting, 10)) == []
    plain = SAGAligner().prepare(reference, C1)
    assert list(calibration_rows(plain, 10)) == []
    assert calibrated(plain, _simulated()[1]) is plain


def test_symmetric_reference():
    symmetry = Symmetry("D7")
    reference = density_of(groel_phantom(), 32, 8.0, 8.0)
    particles, truth = simulate_particles(reference, 4, 0.1, max_shift=2.0)
    search = RotationalMatching(degree=14)
    result = CurvatureSAGAligner(search=search).prepare(reference, symmetry)(particles)
    turned = symmetry.distance(result.poses.rotations, truth.rotations).rad2deg()
    assert float(turned.max()) < 5
    assert float((result.poses.shifts - truth.shifts).norm(dim=-1).max()) < 0.6
    assert bool((result.ambiguity < 0.5).all())  # symmetric copies are no other optimum


def test_a_mask_that_holds_the_reference_does_no_harm():
    reference, particles, truth = _simulated()
    masked = CurvatureSAGAligner(mask_diameter_angstrom=340.0)
    turned, _ = _errors(masked.prepare(reference, C1)(particles[:4]).poses, truth[:4])
    assert float(turned.max()) < 8


def test_yaml_lists_every_field_and_builds():
    config = compose_command("align", ["particles=p", "reference=r", "out=o", "method=curvature_sag"])["method"]
    method = build(config)
    assert isinstance(method, Aligner)
    assert set(config) == {"_target_", *(field.name for field in dataclasses.fields(method))}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("information", 0.0),
        ("information", 1.1),
        ("basin_deg", 0.5),
        ("mask_diameter_angstrom", 0.0),
        ("passes", (1.0,)),
        ("margin", 0.0),
    ],
)
def test_fields_are_checked(field, value):
    with pytest.raises(InputError, match=rf"^{field}"):
        CurvatureSAGAligner(**{field: value})


@pytest.mark.slow
def test_real_ribosomes_are_found(shared_data):
    folder = shared_data / "ribosome70s"
    with open(folder / "poses.csv") as lines:
        rows = list(csv.DictReader(lines))
    rotations = torch.tensor([[float(row[f"R{i}{j}"]) for i in range(3) for j in range(3)] for row in rows])
    truth = Poses(rotations.unflatten(1, (3, 3)), torch.tensor([[float(row[f"t{a}"]) for a in "xyz"] for row in rows]))
    listed = read_particles(folder / "particles.csv")
    particles = listed.load(range(len(listed)))
    result = CurvatureSAGAligner().prepare(read_map(folder / "reference.mrc"), C1)(particles)
    turned, _ = _errors(result.poses, truth)
    assert int((turned < 10).sum()) >= 17


def test_equivalent_poses_are_reported_as_one():
    reference = density_of(groel_phantom(), 32, 12.0, 6.0)
    particles, truth = simulate_particles(reference, 3, 0.2, max_shift=1.0, seed=4)
    symmetry = Symmetry("D7")
    poses = CurvatureSAGAligner().prepare(reference, symmetry)(particles).poses
    identity = Poses.identity(3).rotations
    assert (symmetry.distance(poses.rotations, truth.rotations) < 0.15).all()
    torch.testing.assert_close(symmetry.nearest(poses.rotations, identity), poses.rotations, atol=1e-5, rtol=0)
