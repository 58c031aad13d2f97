"""Contract of the slice methods' yaml files; recovery of known poses, simulated and real."""

import csv
import dataclasses
import math
from functools import lru_cache

import pytest
import torch

from torchsag.alignment.aligner import Aligner, PreparedAligner
from torchsag.alignment.candidate_refinement import CandidateRefinement
from torchsag.alignment.sag import SAGAligner
from torchsag.alignment.sag_basic import BasicSAGAligner
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, rotation_distance
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.io import read_map, read_particles
from torchsag.losses.constrained_distance import ConstrainedDistance
from torchsag.losses.cross_correlation import CrossCorrelation
from torchsag.losses.fourier_likelihood import FourierLikelihood
from torchsag.losses.local_correlation import LocalCorrelation
from torchsag.losses.phase_residual import PhaseResidual
from torchsag.losses.robust_distance import RobustDistance
from torchsag.optim import CurvatureSAG, LengthScaling, LevenbergMarquardt, Preconditioned, TorchOptimizer
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles
from torchsag.slices.planes import TiltAxisSlices, XSlices
from torchsag.slices.whole_volume import WholeVolume

C1 = Symmetry("C1")
STAY = LocalGrid(cone_deg=15.0, max_shift=5.0, step_deg=15.0)  # the prior itself is the only candidate


@lru_cache
def simulated(count=4, box=32, voxel_size=12.0, snr=0.3):
    reference = density_of(ribosome_phantom(), box, voxel_size)
    particles, truth = simulate_particles(reference, count, snr, max_shift=2.0)
    return reference, particles, truth


def disturbed(particles, truth, degrees, voxels, seed=0):
    """The particles with priors exactly this far from the truth."""
    generator = torch.Generator().manual_seed(seed)
    turn, shift = torch.nn.functional.normalize(torch.randn(2, len(truth), 3, generator=generator), dim=-1)
    move = torch.cat([math.radians(degrees) * turn, voxels * shift], -1)
    return dataclasses.replace(particles, poses=truth.retract(move))


def errors(poses, truth):
    turned = rotation_distance(poses.rotations, truth.rotations).rad2deg()
    return turned, (poses.shifts - truth.shifts).norm(dim=-1)


def general(**fields):
    given = {
        "search": STAY,
        "loss": ConstrainedDistance(),
        "partition": TiltAxisSlices(),
        "optimizer": CurvatureSAG(batch_fraction=0.25, tolerance=1e-3),
        "interpolation": CubicSpline(),
    }
    return CandidateRefinement(**{**given, **fields})


@pytest.mark.parametrize("name", ["sag", "sag_basic", "candidate_refinement", "volume_refinement"])
def test_yaml_lists_every_field_and_builds(name):
    config = compose_command("align", ["particles=p", "reference=r", "out=o", f"method={name}"])["method"]
    method = build(config)
    assert isinstance(method, Aligner)
    assert set(config) == {"_target_", *(field.name for field in dataclasses.fields(method))}
    if isinstance(method, SAGAligner):
        assert method == type(method)()  # the yaml's values are the class's defaults


@pytest.mark.parametrize(
    "method",
    [
        SAGAligner(search=STAY),
        pytest.param(BasicSAGAligner(search=STAY, max_passes=20.0), marks=pytest.mark.slow),
        SAGAligner(search=STAY, partition=XSlices()),
        SAGAligner(search=STAY, loss=RobustDistance()),
        general(),
        general(optimizer=LevenbergMarquardt(), partition=WholeVolume()),
        pytest.param(
            general(
                loss=CrossCorrelation(),
                partition=WholeVolume(),
                optimizer=TorchOptimizer("torch.optim.Adam", {"lr": 0.03}, batch_fraction=1.0),
                max_passes=80.0,
            ),
            marks=pytest.mark.slow,
        ),
    ],
    ids=["sag", "sag_basic", "x_slices", "robust", "curvature", "levenberg_marquardt", "correlation"],
)
def test_recovers_poses_from_nearby(method):
    reference, particles, truth = simulated()
    aligner = method.prepare(reference, C1)
    assert isinstance(aligner, PreparedAligner)
    start = disturbed(particles, truth, 5.0, 1.0)
    result = aligner(start)
    turned, moved = errors(result.poses, truth)
    assert float(turned.median()) < 1.5
    assert float(moved.median()) < 0.25
    assert (result.scores > 0.5).all()
    assert result.covariances.shape == (4, 6, 6)
    assert result.ambiguity.isnan().all()


@pytest.mark.slow
@pytest.mark.parametrize("loss", [FourierLikelihood(), PhaseResidual(), LocalCorrelation()])
def test_losses_of_volumes_recover_poses_by_autograd(loss):
    adam = TorchOptimizer("torch.optim.Adam", {"lr": 0.1, "betas": (0.7, 0.95)})
    method = general(loss=loss, partition=WholeVolume(), optimizer=Preconditioned(adam, LengthScaling(8.0)))
    reference, particles, truth = simulated()
    result = method.prepare(reference, C1)(disturbed(particles, truth, 5.0, 1.0))
    turned, moved = errors(result.poses, truth)
    assert float(turned.median()) < 1.5
    assert float(moved.median()) < 0.25


@pytest.mark.slow
def test_best_of_several_candidates_wins():
    """Priors far outside of the basin, with a cone of trial turns around each."""
    reference, particles, truth = simulated(count=2)
    start = disturbed(particles, truth, 25.0, 1.0)
    cone = LocalGrid(cone_deg=30.0, max_shift=5.0, step_deg=15.0)
    alone = general(search=cone, max_candidates=1).prepare(reference, C1)(start)
    several = general(search=cone, max_candidates=200).prepare(reference, C1)(start)
    assert (several.scores >= alone.scores - 1e-4).all()
    assert float(errors(several.poses, truth)[0].max()) < 3


def test_limits_hold():
    reference, particles, truth = simulated()
    start = disturbed(particles, truth, 6.0, 0.5)
    result = general(search=LocalGrid(cone_deg=2.0, max_shift=5.0, step_deg=15.0)).prepare(reference, C1)(start)
    assert start.poses is not None
    assert (errors(result.poses, start.poses)[0] <= 2.001).all()


def test_covariance_is_the_scatter():
    """Mean squared error in units of the reported covariance is the number of unknowns, six."""
    reference, particles, truth = simulated(count=24, snr=0.05)
    result = general(resolution_angstrom=36.0).prepare(reference, C1)(disturbed(particles, truth, 4.0, 0.5))
    miss = truth.move_to(result.poses).double()
    squared = torch.einsum("pi,pij,pj->p", miss, torch.linalg.inv(result.covariances.double()), miss)
    assert 4 < float(squared.mean()) < 9


def test_batch_does_not_matter():
    reference, particles, truth = simulated()
    start = disturbed(particles, truth, 5.0, 1.0)
    aligner = SAGAligner(search=STAY, max_passes=5.0).prepare(reference, C1)
    whole, parts = aligner(start), [aligner(start[:1]), aligner(start[1:])]
    torch.testing.assert_close(Poses.concatenate([p.poses for p in parts]).rotations, whole.poses.rotations)


def test_loss_that_is_no_sum_refuses_sag():
    with pytest.raises(InputError, match=r"^SAG needs a loss that is a sum over terms, which CrossCorrelation is not"):
        SAGAligner(loss=CrossCorrelation())


@pytest.mark.parametrize(("field", "value"), [("max_candidates", 0), ("max_passes", 0.0)])
def test_fields_are_checked(field, value):
    with pytest.raises(InputError, match=field):
        general(**{field: value})


@pytest.mark.slow
def test_sag_reaches_the_optimum_of_levenberg_marquardt():
    """Within a quarter of the standard error, from 7 degrees and 1 voxel, 64 voxels, SNR 0.01, +-60 degrees."""
    reference, particles, truth = simulated(count=20, box=64, voxel_size=6.0, snr=0.01)
    start = disturbed(particles, truth, 7.0, 1.0)
    yardstick = general(optimizer=LevenbergMarquardt(), resolution_angstrom=24.0, max_passes=60.0)
    best = yardstick.prepare(reference, C1)(start)
    found = SAGAligner(search=STAY, resolution_angstrom=24.0).prepare(reference, C1)(start)
    away = best.poses.move_to(found.poses)
    for part in (slice(0, 3), slice(3, 6)):
        bound = best.covariances[:, part, part].diagonal(dim1=1, dim2=2).sum(1)
        assert float((away[:, part].square().sum(1) / bound).mean().sqrt()) < 0.25


def ribosomes(folder):
    with open(folder / "ribosome70s" / "poses.csv") as lines:
        rows = list(csv.DictReader(lines))
    rotations = torch.tensor([[float(row[f"R{i}{j}"]) for i in range(3) for j in range(3)] for row in rows])
    truth = Poses(rotations.unflatten(1, (3, 3)), torch.tensor([[float(row[f"t{a}"]) for a in "xyz"] for row in rows]))
    listed = read_particles(folder / "ribosome70s" / "particles.csv")
    return read_map(folder / "ribosome70s" / "reference.mrc"), listed.load(range(len(listed))), truth


def test_real_ribosomes_come_closer(shared_data):
    reference, particles, truth = ribosomes(shared_data)
    start = disturbed(particles, truth, 5.0, 0.0)[:10]
    result = SAGAligner(search=STAY, max_passes=15.0).prepare(reference, C1)(start)
    assert float(errors(result.poses, truth[:10])[0].median()) < 2.5


@pytest.mark.slow
@pytest.mark.parametrize("method", [SAGAligner(), BasicSAGAligner()], ids=["sag", "sag_basic"])
def test_real_ribosomes_are_found(shared_data, method):
    reference, particles, truth = ribosomes(shared_data)
    result = method.prepare(reference, C1)(particles)
    turned, _ = errors(result.poses, truth)
    assert int((turned < 10).sum()) >= 16
    assert float(turned.median()) < 3
