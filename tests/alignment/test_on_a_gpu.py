"""Alignment and averaging on a GPU: a pretended one, whose tensors may not be mixed with those of a CPU."""

import sys
from pathlib import Path

import pytest
import torch

pytest.importorskip("triton", reason="torch brings Triton on Linux only")

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.parallel import Serial
from torchsag.particles import ParticleSet
from torchsag.runs.chunked_sums import average_at
from torchsag.simulation import density_of, groel_phantom, simulate_particles

sys.path.insert(0, str(Path(__file__).parents[2] / "experiments" / "benchmarks"))

from pretended_gpu import Counts, OnGPU, pretended_gpu


@pytest.fixture(scope="module")
def problem():
    reference = density_of(groel_phantom(), 24, 14.0)
    particles, poses = simulate_particles(reference, 3, 0.1, -60.0, 60.0, max_shift=2.0, seed=1)
    return reference, particles, poses


def _as_on_the_cpu(found, expected):
    assert torch.equal(found.poses.rotations, expected.poses.rotations)
    assert torch.equal(found.poses.shifts, expected.poses.shifts)
    assert torch.equal(found.scores, expected.scores)
    torch.testing.assert_close(found.covariances, expected.covariances, rtol=1e-5, atol=0)


def test_the_default_method_runs_on_a_gpu_and_finds_what_a_cpu_finds(problem):
    reference, particles, _ = problem
    expected = CurvatureSAGAligner().prepare(reference, Symmetry("D7"))(particles)
    counts = Counts()
    with pretended_gpu():
        method = CurvatureSAGAligner().prepare(reference, Symmetry("D7"), "cuda")
        there = particles.to("cuda")
        OnGPU.counts = counts
        found = method(there).to("cpu")
    _as_on_the_cpu(found, expected)
    assert counts.launches["block_sums"] > 20  # all sums by the fused kernel
    assert counts.launches.total() < 10_000
    assert counts.bytes["block_sums"] > 0.1 * counts.bytes.total()


def test_launches_do_not_grow_with_the_chunk(problem):
    reference, particles, _ = problem
    launches = []
    for chunk in (particles[:2], particles):
        with pretended_gpu():
            method = CurvatureSAGAligner().prepare(reference, Symmetry("C1"), "cuda")
            there, counts = chunk.to("cuda"), Counts()
            OnGPU.counts = counts
            method(there)
        launches.append(counts.launches.total())
    assert launches[1] < 1.05 * launches[0]


def test_calibration_runs_on_a_gpu(problem):
    reference, particles, _ = problem
    with pretended_gpu():
        method = CurvatureSAGAligner().prepare(reference, Symmetry("D7"), "cuda").calibrated(particles.to("cuda"))
        assert method(particles.to("cuda")).to("cpu").poses.shifts.isfinite().all()


def test_devices_that_are_mixed_are_found_out(problem):
    with pretended_gpu(), pytest.raises(RuntimeError, match="same device"):
        torch.ones(3, device="cuda") + torch.ones(3)


def test_averages_of_a_gpu_are_those_of_a_cpu(problem):
    _, particles, poses = problem
    given = ParticleSet.from_batch(particles)
    expected = average_at(given, poses, Symmetry("C1"), torch.device("cpu"), 64, Serial())
    with pretended_gpu():
        found = average_at(given, poses, Symmetry("C1"), torch.device("cuda"), 64, Serial())
    largest = float(expected.density.abs().max())
    torch.testing.assert_close(found.density, expected.density, rtol=0, atol=1e-4 * largest)
