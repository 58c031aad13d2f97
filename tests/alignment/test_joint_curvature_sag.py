"""Particles of several references in one batch, as one after the other."""

from dataclasses import replace

import pytest
import torch

from torchsag.alignment.aligner import AlignmentResult, JoinableAligner, JointAligner, posing
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.search.local_grid import LocalGrid
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

C1 = Symmetry("C1")
REFERENCES = torch.tensor([1, 0, 1, 1, 0, 0])


@pytest.fixture(scope="module")
def problem():
    """Two maps that differ by noise and by size, and particles of the first near their true poses."""
    reference = density_of(ribosome_phantom(), 24, 16.0, 30.0)
    particles, truth = simulate_particles(reference, 6, 0.1)
    noise = torch.randn(reference.box, generator=torch.Generator().manual_seed(0))
    other = replace(reference, density=0.9 * reference.density + 0.02 * reference.density.std() * noise)
    return (reference, other), replace(particles, poses=truth.retract(torch.full((6, 6), 0.05)))


@pytest.mark.parametrize("search", [LocalGrid(), RotationalMatching(num_candidates=4)])
def test_joined_aligners_find_what_each_finds(problem, search):
    maps, particles = problem
    method = CurvatureSAGAligner(search=search, information=0.8)
    first, second = (method.prepare(one, C1) for one in maps)
    assert isinstance(first, JoinableAligner)
    assert first.kind == second.kind
    joint = first.joined([second])
    assert isinstance(joint, JointAligner)
    expected = AlignmentResult.concatenate(
        [(first, second)[number](particles[row : row + 1]) for row, number in enumerate(REFERENCES.tolist())]
    )
    found = joint(particles, REFERENCES)
    torch.testing.assert_close(found.poses.rotations, expected.poses.rotations, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.poses.shifts, expected.poses.shifts, atol=1e-4, rtol=0)
    torch.testing.assert_close(found.scores, expected.scores, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.covariances, expected.covariances, atol=1e-5, rtol=1e-2)


def test_only_aligners_of_one_kind_are_joined(problem):
    (reference, _), _ = problem
    method = CurvatureSAGAligner(search=LocalGrid())
    prepared = method.prepare(reference, C1)
    coarse = replace(method, max_resolution_angstrom=80.0).prepare(reference, C1)
    weaker = replace(prepared._strength, amplitude=0.5 * prepared._strength.amplitude)
    others = (coarse, posing(prepared), prepared.with_strength(weaker))
    assert prepared.kind not in {other.kind for other in others if isinstance(other, JoinableAligner)}
    assert all(isinstance(other, JoinableAligner) for other in others)
