"""Averages in which particles enter at several poses."""

from dataclasses import replace

import pytest
import torch
from averaging_particles import averaged
from thread_ranks import on_ranks

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging import MapSums
from torchsag.averaging.assignment import BestPose, Posterior
from torchsag.averaging.starts import ListedPoses
from torchsag.geometry import Poses, random_rotations
from torchsag.io import read_map, write_map
from torchsag.likelihood.modes import PoseModes
from torchsag.likelihood.pose_shares import PoseShares
from torchsag.parallel import Serial
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.chunked_sums import ChunkSums, half_map_sums
from torchsag.runs.provenance import Provenance
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.average.command import Average
from torchsag.workflows.average.half_frames import composed
from torchsag.workflows.average.state import AveragingState, unaligned

N, VOXEL = 12, 14.0


def _result(count=4, most=3):
    generator = torch.Generator().manual_seed(0)
    rotations = random_rotations(count * most, generator).unflatten(0, (count, most))
    poses = Poses(rotations, torch.randn(count, most, 3, generator=generator))
    gain = 50.0 - torch.arange(most).expand(count, most).float()
    modes = PoseModes(poses, gain, torch.ones_like(gain), torch.full_like(gain, -9.0))
    return replace(unaligned(poses[:, 0]), modes=modes)


def test_all_modes_of_a_half_move_with_its_frame():
    result, members = _result(), torch.tensor([True, False, False, True])
    pose = Poses(random_rotations(1, torch.Generator().manual_seed(1)), torch.tensor([[0.5, 1.0, -1.0]]))
    moved = composed(result, members, pose)
    torch.testing.assert_close(moved.modes.poses.rotations[:, 0], moved.poses.rotations)
    torch.testing.assert_close(moved.modes.poses.shifts[:, 0], moved.poses.shifts)
    assert torch.equal(moved.modes.poses.rotations[1:3], result.modes.poses.rotations[1:3])
    assert not torch.allclose(moved.modes.poses.rotations[0, 1], result.modes.poses.rotations[0, 1])


def test_a_killed_run_still_knows_the_modes(tmp_path):
    result, maps = _result(), torch.zeros(2, N, N, N)
    state = AveragingState(1, result, maps, maps[:, None], torch.ones(7), True, (), ("",) * 4)
    state.save(tmp_path)
    again = AveragingState.load(tmp_path)
    assert torch.equal(again.result.modes.gain, result.modes.gain)
    assert torch.equal(again.result.modes.poses.rotations, result.modes.poses.rotations)
    replace(state, result=replace(result, modes=None)).save(tmp_path)
    assert AveragingState.load(tmp_path).result.modes is None


def test_chunks_make_the_sums_of_the_whole():
    particles, _ = simulate_particles(RibosomePhantom().density(N, 28.0), 4, 1.0, seed=0)
    result, group = _result(), torch.tensor([1, 2, 1, 2])
    shares = torch.tensor([[0.5, 0.5, 0.0], [0.2, 0.1, 0.0], [0.4, 0.3, 0.3], [0.0, 0.0, 0.0]])
    shared = PoseShares(result.modes.poses, shares)
    job = ChunkSums(ParticleSet.from_batch(particles), result.poses, group, torch.device("cpu"), shared=shared)
    sums, _ = half_map_sums(job, 3, Serial())
    whole = MapSums.empty(particles.box, particles.voxel_size, 2)
    whole.add(particles, shared.poses, group - 1, shares=shares)
    torch.testing.assert_close(sums.numerator, whole.numerator, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(sums.denominator, whole.denominator, atol=1e-3, rtol=1e-3)
    assert float(sums.denominator[1].abs().sum()) > 0  # the last particle, without a share, is none of it


@pytest.fixture
def settings(tmp_path):
    """A search of all orientations that leaves several of them open."""
    structure = RibosomePhantom().density(24, VOXEL)
    particles, _ = simulate_particles(structure, 9, 0.02, max_shift=1.0, seed=0)
    rows = ""
    for name, volume in zip(particles.names, particles.volumes, strict=True):
        write_map(tmp_path / f"{name}.mrc", DensityMap(volume, VOXEL))
        rows += f"{name}.mrc,-60,60\n"
    (tmp_path / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_map(tmp_path / "reference.mrc", structure)
    method = CurvatureSAGAligner(search=RotationalMatching(degree=6, num_candidates=8), keep=(4,), passes=(1.0, 1.0))
    return Average(
        particles=str(tmp_path / "blind.csv"), reference=str(tmp_path / "reference.mrc"), out=str(tmp_path / "one"),
        method=method, assignment=Posterior(), iterations=1, parts=2, chunk=2, device="cpu",
    )  # fmt: skip


def test_best_poses_unless_a_run_starts_from_particles_without_symmetry(settings):
    from_map = replace(settings, assignment=None)
    alone = replace(from_map, reference=None)
    particles = alone.read()
    assert isinstance(from_map._loop(particles, None).assignment, BestPose)
    assert isinstance(alone._loop(particles, None).assignment, Posterior)
    assert isinstance(replace(alone, symmetry="D7")._loop(particles, None).assignment, BestPose)
    assert isinstance(replace(alone, start=ListedPoses())._loop(particles, None).assignment, BestPose)
    assert replace(from_map, assignment=Posterior(2))._loop(particles, None).assignment.modes == 2


@pytest.mark.slow
def test_two_ranks_make_the_maps_of_one_and_they_are_not_those_of_the_best_poses(settings, tmp_path):
    averaged(settings)
    run = replace(settings, out=str(tmp_path / "two"))
    on_ranks(2, lambda workers: replace(run, parallel=workers)(Provenance("average")))
    averaged(replace(settings, assignment=BestPose(), out=str(tmp_path / "best")))
    one, two, best = (read_map(tmp_path / folder / "half1.mrc").density for folder in ("one", "two", "best"))
    torch.testing.assert_close(one, two, atol=1e-4 * float(one.abs().max()), rtol=1e-3)
    assert float((one - best).norm() / best.norm()) > 0.01
