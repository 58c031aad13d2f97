import math

import pytest
import torch

from torchsag.averaging.joint_refinement import JointRefinement, _Problem
from torchsag.errors import InputError
from torchsag.evaluation import RemoveCommonTransform, compare_poses
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.spectra.tables import Sphere

N, COUNT = 20, 12
C1 = Symmetry("C1")


def _near(poses, seed=1):
    generator = torch.Generator().manual_seed(seed)
    turn = math.radians(4.0) / math.sqrt(3) * torch.randn(len(poses), 3, generator=generator)
    return poses.retract(torch.cat([turn, 0.4 * torch.randn(len(poses), 3, generator=generator)], -1))


def _trust(last=8):
    trust = torch.zeros(N // 2 + 1)
    trust[: last + 1] = 0.99
    return trust


@pytest.fixture
def true():
    generator = torch.Generator().manual_seed(0)
    return Poses(random_rotations(COUNT, generator), torch.rand(COUNT, 3, generator=generator) - 0.5)


def _error(poses, true):
    errors = compare_poses(RemoveCommonTransform()(poses, true, C1), true, C1)
    return float(errors.rotation_deg.median()), float(errors.shift_voxels.median())


def test_poses_and_map_find_each_other(blobs, true):
    particles = blobs(6.0).particles(true, N, 60.0, noise=0.2)
    start = _near(true)
    before, after = _error(start, true), _error(JointRefinement(passes=4)(particles, start, C1, _trust()), true)
    assert after[0] < 0.75 * before[0]
    assert after[1] < 0.4 * before[1]


def test_the_model_of_the_true_map_at_true_poses_is_what_was_measured(blobs, true):
    structure = blobs(6.0)
    particles = structure.particles(true, N, 60.0)
    problem = _Problem.around(particles, true, C1, _trust())
    transform = to_half_spectrum(structure.map(N)).flatten()[Sphere.up_to(N, 9).flat]
    table = problem._table(transform.to(torch.complex64))
    for p in range(3):
        model = problem._model(table, true[p : p + 1], p, 0)
        left = (problem.data[p] - model).norm() / problem.data[p].norm()
        assert float(left) < 0.04


def test_a_symmetry_mate_of_the_pose_gives_the_same_model(blobs, true):
    symmetry = Symmetry("C2")
    generator = torch.Generator().manual_seed(0)

    half = torch.randn(10, 3, generator=generator, dtype=torch.float64) * 2.5
    centres = torch.cat([half, half * torch.tensor([-1.0, -1.0, 1.0])])
    heights = torch.rand(10, generator=generator, dtype=torch.float64).repeat(2) + 0.5
    structure = type(blobs())(centres, heights)
    particles = structure.particles(true, N, 60.0)
    problem = _Problem.around(particles, true, symmetry, _trust())
    table = problem._table(problem.start)
    one, other = (problem._model(table, true[:1], 0, mate) for mate in (0, 1))
    assert float((one - other).norm() / one.norm()) < 0.05


def test_the_gradient_of_a_term_is_that_of_its_value(blobs, true):
    """Along a random direction of map and pose together, against a central difference."""
    particles = blobs(6.0).particles(true, N, 60.0, noise=0.2)
    problem = _Problem.around(particles, _near(true), C1, _trust(6))
    generator = torch.Generator().manual_seed(2)
    point = [torch.randn(*problem.start.shape, 2, generator=generator), torch.randn(6, generator=generator)]
    direction = [torch.randn(part.shape, generator=generator) for part in point]
    leaves = [part.clone().requires_grad_() for part in point]
    problem.term(leaves[0], leaves[1], 1, 0).backward()
    slope = sum(float((leaf.grad * step).sum()) for leaf, step in zip(leaves, direction, strict=True))

    def value(size):
        moved = (part + size * step for part, step in zip(point, direction, strict=True))
        return float(problem.term(*moved, 1, 0))

    assert slope == pytest.approx((value(1e-2) - value(-1e-2)) / 2e-2, rel=0.02)


def test_impossible_passes_are_refused():
    with pytest.raises(InputError, match=r"passes"):
        JointRefinement(passes=0)
