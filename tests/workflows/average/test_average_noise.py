"""What a run's particles say of their noise between two turns, and that the next turn is told."""

from dataclasses import dataclass, field, replace

import pytest
import torch
from placed_blobs import Blobs

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.mask import SphericalMask
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.imaging.masks import centred_radius
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.parallel import Serial
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs.half_mapper import HalfMapper
from torchsag.workflows.average.half_alignment import HalfAlignment
from torchsag.workflows.average.loop import AveragingLoop
from torchsag.workflows.average.noise import NoiseSample
from torchsag.workflows.average.settings import AveragingSettings
from torchsag.workflows.average.state import AveragingState, unaligned

N, COUNT, VOXEL = 24, 48, 8.0
C1 = Symmetry("C1")


def _structure():
    generator = torch.Generator().manual_seed(1)
    centres = 2.2 * torch.randn(10, 3, generator=generator, dtype=torch.float64).clamp(-1.6, 1.6)
    return Blobs(centres, torch.rand(10, generator=generator, dtype=torch.float64) + 0.5)


BLOBS = _structure()
REFERENCE = DensityMap(BLOBS.map(N), VOXEL)


def _mapper(count=COUNT, offset=None):
    """Particles in noise that is stronger where the particle is, and their poses."""
    generator = torch.Generator().manual_seed(3)
    shifts = torch.randn(count, 3, generator=generator) + (0 if offset is None else offset)
    poses = Poses(random_rotations(count, generator), shifts)
    noise = torch.randn(count, N, N, N, generator=generator) * float(REFERENCE.density.std()) / 0.2
    window = 0.6 + 0.8 * torch.exp(-(centred_radius((N, N, N)) / 9).square())
    particles = ParticleSet.from_arrays(BLOBS.volumes(poses, N) + noise * window, VOXEL)
    halves = 1 + torch.arange(count) % 2
    mask = SphericalMask(diameter_angstrom=150.0, edge_angstrom=20.0)
    return HalfMapper(particles, halves, mask, 40.0, torch.device("cpu"), 16, Serial(), seed=0), poses


def _prepared():
    return CurvatureSAGAligner().prepare(REFERENCE, C1)


def test_particles_tell_of_the_noise_that_they_share():
    mapper, poses = _mapper()
    found = NoiseSample(mapper)(poses, _prepared)
    assert found.power is None
    assert 1.3 < found.excess < 2.2  # the window squared, where the structure is and over all of the box


def test_particles_are_asked_where_they_are_looked_for():
    mapper, poses = _mapper(offset=torch.tensor([4.0, 0.0, 0.0]))
    centres = torch.tensor([4.0, 0.0, 0.0]).expand(COUNT, 3)
    seen = []

    @dataclass
    class Asked:
        calibration_particles: int = 12

        def calibrated(self, particles):
            return self

        def calibrated_like(self, other):
            return self

        def measured_noise(self, particles, there):
            seen.append((particles, there))
            return NoiseShape(excess=2.0)

        def with_noise(self, shape):
            return self

        def __call__(self, particles):
            raise AssertionError

    assert NoiseSample(mapper, centres)(poses, Asked).excess == 2
    ((batch, there),) = seen
    rows = [mapper.particles.names.index(name) for name in batch.names]
    assert len(rows) == 12
    assert all(mapper.halves[row] == 1 for row in rows)
    torch.testing.assert_close(there.shifts, poses.shifts[rows] - centres[rows])
    torch.testing.assert_close(there.rotations, poses.rotations[rows])


def test_particles_without_a_pose_are_not_asked_and_few_say_nothing():
    mapper, poses = _mapper()
    lost = poses.shifts.clone()
    lost[14:] = torch.nan
    assert NoiseSample(mapper)(Poses(poses.rotations, lost), _prepared).excess == 1
    lost[:] = torch.nan
    assert NoiseSample(mapper)(Poses(poses.rotations, lost), _prepared).excess == 1


def test_a_method_that_takes_no_notice_of_noise_is_not_asked():
    mapper, poses = _mapper()
    assert NoiseSample(mapper)(poses, lambda: lambda particles: unaligned(poses)).excess == 1


@dataclass(frozen=True)
class _Told:
    """A method whose aligners say in their scores what they were told of the noise."""

    told: list[NoiseShape] = field(default_factory=list)
    noise: NoiseShape = field(default_factory=NoiseShape)
    calibration_particles: int = 12

    def prepare(self, reference, symmetry, device: torch.device | str = "cpu"):
        return self

    def calibrated(self, particles):
        return self

    def calibrated_like(self, other):
        return self

    def measured_noise(self, particles, poses):
        return NoiseShape(excess=3.0)

    def with_noise(self, shape):
        return replace(self, noise=shape)

    def __call__(self, particles):
        result = unaligned(Poses.identity(len(particles)))
        result.scores[:] = self.noise.excess
        return result


def _state(poses, iteration, noise=None, change=1.0):
    references = REFERENCE.density.expand(2, 2, N, N, N)
    rows = tuple({"search": "global", "median_change_deg": change} for _ in range(iteration))
    weight, faults = torch.ones(N // 2 + 1), ("",) * len(poses)
    return AveragingState(iteration, unaligned(poses), references[:, 0], references, weight, True, rows, faults, noise)


@pytest.mark.parametrize("noise", [None, NoiseShape(excess=3.0)])
def test_every_aligner_is_told_what_is_known_of_the_noise(noise):
    mapper, poses = _mapper()
    found, _ = HalfAlignment(mapper, 2).found(_Told(), _state(poses, 1), C1, None, noise)
    assert found.scores.tolist() == [1.0 if noise is None else 3.0] * COUNT


def test_a_loop_asks_once_when_poses_settle():
    mapper, poses = _mapper()
    loop = AveragingLoop(
        AveragingSettings(method=_Told(), local_method=_Told(), parts=2), mapper, True, lambda poses: {}
    )
    scores, noises, state = [], [], _state(poses, 0)
    for _ in range(3):
        state, _ = loop.step(state, None)
        scores.append(float(state.result.scores[0]))
        noises.append(state.noise)
    assert scores == [1.0, 3.0, 3.0]
    assert noises[0] is None
    assert noises[1] is noises[2]


@pytest.mark.parametrize("noise", [None, NoiseShape(excess=1.5), NoiseShape(1 + torch.rand(N, N, N // 2 + 1), 1.5)])
def test_a_run_that_was_killed_remembers_the_noise(tmp_path, noise):
    _state(_mapper(16)[1], 1, noise).save(tmp_path)
    again = AveragingState.load(tmp_path)
    assert again is not None
    if noise is None:
        assert again.noise is None
        return
    assert again.noise is not None
    assert again.noise.excess == noise.excess
    assert (again.noise.power is None) == (noise.power is None)
    if noise.power is not None:
        torch.testing.assert_close(again.noise.power, noise.power)
