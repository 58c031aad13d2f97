"""Frames of the halves and symmetry in ``torchsag average``."""

from dataclasses import replace

import pytest
import torch
from averaging_particles import VOXEL, N, averaged

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.frames import bring_back
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations, rotation_distance
from torchsag.io import read_particles
from torchsag.runs.truth import true_poses
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.average.command import Average
from torchsag.workflows.average.controls import NoiseOnly
from torchsag.workflows.average.half_frames import composed
from torchsag.workflows.average.state import unaligned


def test_half_two_is_brought_onto_half_one_with_its_poses(settings, data):
    """What a run without a common frame does at the end of each iteration."""
    run = replace(settings, symmetry="C1", method=CurvatureSAGAligner())
    loop = replace(run._loop(run.read(), None), common_frame=False)
    structure = RibosomePhantom().density(N, VOXEL)
    placement = Poses(random_rotations(1, torch.Generator().manual_seed(0)), torch.tensor([[0.5, -0.4, 0.3]]))
    elsewhere = bring_back(structure, placement.inverse())
    result = unaligned(read_particles(str(data / "near.star")).poses.to(torch.float32))
    found = loop._placement((structure, elsewhere), torch.ones(N // 2 + 1), Symmetry("C1"))
    after, maps = composed(result, loop.halves == 2, found), (structure, bring_back(elsewhere, found))
    first, second = (to_half_spectrum(m.density) for m in maps)
    assert (fourier_shell_correlation(first, second, (N, N, N))[1:7] > 0.97).all()
    change = result.poses.inverse().compose(after.poses)
    ones, twos = (change.rotations[loop.halves == half] for half in (1, 2))
    torch.testing.assert_close(ones, torch.eye(3).expand_as(ones), atol=1e-5, rtol=0)
    assert float(rotation_distance(twos, placement.rotations.expand_as(twos)).max()) < 0.05


def test_a_placement_gone_astray_is_not_taken(settings):
    class Astray:
        def prepare(self, reference, symmetry, device="cpu"):
            rotation = random_rotations(1, torch.Generator().manual_seed(5))
            return lambda particles: unaligned(Poses(rotation, torch.zeros(1, 3)))

    run = replace(settings, symmetry="C1", method=Astray())
    loop = replace(run._loop(run.read(), None), common_frame=False)
    structure = RibosomePhantom().density(N, VOXEL)
    found = loop._placement((structure, structure), torch.ones(N // 2 + 1), Symmetry("C1"))
    torch.testing.assert_close(found.rotations[0], torch.eye(3))


@pytest.mark.slow
def test_symmetry_waits_until_the_halves_agree_on_its_axes(settings, data):
    """Imposed on an average that shows its axes, not on one of noise."""
    run = replace(settings, method=CurvatureSAGAligner(), symmetry_from=1)
    particles = run.read()
    result = unaligned(read_particles(str(data / "near.star")).poses.to(torch.float32))
    loops = [
        replace(run._loop(seen, None), common_frame=False) for seen in (particles, NoiseOnly().particles(particles, 0))
    ]
    state = replace(run._begin(loops[0], None), symmetric=False)
    (symmetric, made), (too_early, left) = (loop._made(state, result) for loop in loops)
    assert symmetric
    assert loops[0].shows_something(made.fsc)
    assert not too_early
    assert torch.equal(left.maps[0].density, loops[1].average(result, Symmetry("C1"))[0].density)


@pytest.mark.slow
def test_a_run_that_could_not_impose_its_symmetry_says_so(data, tmp_path):
    noise = Average(
        particles=str(data / "blind.csv"), out=str(tmp_path / "out"), method=CurvatureSAGAligner(), symmetry="D7",
        symmetry_from=1, iterations=1, parts=1, control=NoiseOnly(), device="cpu",
    )  # fmt: skip
    outcome = averaged(noise)
    assert "symmetry_not_imposed" in outcome.verdict.codes
    without = averaged(replace(noise, symmetry="C1", out=f"{noise.out}1"))
    assert "symmetry_not_imposed" not in without.verdict.codes


def test_errors_of_a_symmetric_particle_averaged_without_symmetry_are_judged_modulo_its_own(settings):
    run = replace(settings, symmetry="C1", truth_symmetry="D7")
    particles = run.read()
    truth = true_poses(run.truth, particles)
    mates = Symmetry("D7").rotations.float()[torch.arange(12)]
    judged = run._loop(particles, truth).judge(Poses(truth.rotations @ mates, truth.shifts))
    assert judged["median_rotation_error_deg"] < 0.1
    asymmetric = replace(run, truth_symmetry=None)._loop(particles, truth)
    assert asymmetric.judge(Poses(truth.rotations @ mates, truth.shifts))["median_rotation_error_deg"] > 20
