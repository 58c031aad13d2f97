"""Where a run says its verdict, and what it does with what its list says."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.console import show
from torchsag.averaging.halves import ListedHalves, ListedOrRandomHalves, RandomHalves
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.io import read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.report.alignment import AlignmentPage
from torchsag.runs.chunked_alignment import ChunkAligner
from torchsag.runs.listed_origins import listed_origins
from torchsag.runs.outcome import Outcome
from torchsag.runs.provenance import Provenance
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom
from torchsag.verdict import Finding, Verdict
from torchsag.workflows.align import Align
from torchsag.workflows.average.inputs import pose_change

N, VOXEL, COUNT = 16, 24.0, 6


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    reference = RibosomePhantom().density(N, VOXEL)
    batch, true = simulate_particles(reference, COUNT, 0.5, max_shift=1.0, seed=1)
    for name, volume in zip(batch.names, batch.volumes, strict=True):
        write_map(folder / "volumes" / f"{name}.mrc", DensityMap(volume, VOXEL))
    write_map(folder / "reference.mrc", reference)
    write_map(folder / "inverted.mrc", replace(reference, density=-reference.density))
    rows = "".join(f"volumes/{name}.mrc,-60,60\n" for name in batch.names)
    (folder / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_poses(folder / "true.star", read_particles(str(folder / "blind.csv")), true)
    return folder


def align(data, out, **changes):
    method = CurvatureSAGAligner(search=RotationalMatching(degree=6, num_candidates=4), keep=(), passes=(1.0,))
    run = Align(
        particles=str(data / "blind.csv"), reference=str(data / "reference.mrc"), out=str(out), method=method,
        report=AlignmentPage(), device="cpu",
    )  # fmt: skip
    return replace(run, **changes)(Provenance("align", "particles: p\n"))


def test_a_verdict_is_in_every_place_and_only_strict_runs_exit_with_it(data, tmp_path, capsys):
    outcome = align(data, tmp_path / "out", reference=str(data / "inverted.mrc"))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert next(iter(metrics)) == "verdict"
    assert metrics["verdict"]["trust"] == "no"
    assert metrics["verdict"]["findings"][0]["code"] == "contrast_opposite"
    # Errors expected under a wrong model are not given as if they were true.
    assert metrics["summary"]["median_rotation_sigma_deg"] is None
    assert not any("expected" in row[0] for row in outcome.rows)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.index("opposite contrast") < page.index("<img")
    assert "Expected errors" not in page
    show(outcome)
    printed = capsys.readouterr().out.strip().splitlines()
    count = len(outcome.verdict.findings)
    assert printed[-count - 1].startswith("verdict: DO NOT TRUST")
    assert printed[-count].startswith("wrong, contrast_opposite: ")
    assert outcome.exit_status == 0
    assert replace(outcome, strict=True).exit_status == 3


def test_a_run_without_findings_is_trusted(data, tmp_path):
    outcome = align(data, tmp_path / "out", strict=True)
    assert outcome.verdict.trust != "no"
    assert "contrast_opposite" not in outcome.verdict.codes
    assert Outcome(verdict=Verdict(), strict=True).exit_status == 0
    assert Outcome(verdict=Verdict((Finding("x", "doubt", ""),)), strict=True).exit_status == 3


@dataclass(frozen=True)
class Centre:
    """Says that every particle is one voxel along x from where it is shown."""

    def __call__(self, particles):
        count = len(particles)
        nothing = torch.full((count,), float("nan"))
        poses = Poses(torch.eye(3).expand(count, 3, 3), torch.tensor([1.0, 0.0, 0.0]).expand(count, 3))
        return AlignmentResult(poses, nothing, torch.zeros(count, 6, 6), nothing, nothing > 0, nothing)


def test_a_search_begins_at_listed_origins(data):
    particles = read_particles(str(data / "blind.csv"))
    centres = torch.arange(3.0 * COUNT).reshape(COUNT, 3) / 6
    aligner = ChunkAligner(particles, Centre(), torch.device("cpu"), 0, False, centres)
    found = torch.from_numpy(aligner(range(2, 5))["shifts"])
    torch.testing.assert_close(found, centres[2:5] + torch.tensor([1.0, 0.0, 0.0]))


def test_origins_that_say_nothing_or_too_much_are_not_used(data):
    blind, listed = read_particles(str(data / "blind.csv")), read_particles(str(data / "true.star"))
    assert listed_origins(blind, None) is None
    torch.testing.assert_close(listed_origins(listed, None), listed.poses.shifts.float())
    assert listed_origins(listed, listed.poses) is None  # the truth it is to be judged by
    shifts = torch.zeros(COUNT, 3)
    shifts[0], shifts[1] = torch.tensor([40.0, 0.0, 0.0]), torch.tensor([2.0, 0.0, 0.0])
    odd = replace(listed, poses=Poses(listed.poses.rotations, shifts.double()))
    assert listed_origins(odd, None)[:, 0].tolist() == [0.0, 2.0, 0.0, 0.0, 0.0, 0.0]


def test_listed_halves_win_unless_random_is_asked_for(data):
    blind = read_particles(str(data / "blind.csv"))
    halved = replace(blind, halves=torch.tensor([2, 2, 2, 1, 1, 1]))
    for seed in range(4):
        assert ListedOrRandomHalves()(halved, seed).tolist() == ListedHalves()(halved, seed).tolist()
        assert ListedOrRandomHalves()(blind, seed).tolist() == RandomHalves()(blind, seed).tolist()
    default = (Path(__file__).parents[2] / "conf" / "average.yaml").read_text()
    assert "- halves: listed_or_random" in default


def test_a_change_of_frame_and_of_symmetry_mate_is_no_change_of_pose():
    generator = torch.Generator().manual_seed(0)
    before = Poses(
        random_rotations(20, generator).double(), torch.randn(20, 3, generator=generator, dtype=torch.float64)
    )
    halves = torch.tensor([1, 2] * 10)
    symmetry = Symmetry("D7")
    moved = Poses(before.rotations @ symmetry.rotations.double()[torch.arange(20) % 14], before.shifts)
    angle, _ = pose_change(before, moved, halves, symmetry, common_frame=True)
    assert angle == pytest.approx(0.0, abs=0.01)
    turn = Poses(random_rotations(1, generator).double().expand(20, 3, 3), torch.ones(20, 3, dtype=torch.float64))
    turned = before.compose(turn)
    c1 = Symmetry("C1")
    assert pose_change(before, turned, halves, c1, common_frame=False)[0] == pytest.approx(0.0, abs=0.01)
    assert pose_change(before, turned, halves, c1, common_frame=True)[0] > 1.0
    # Poses that wander each by itself have changed in any frame.
    wandered = before.retract(0.2 * torch.randn(20, 6, generator=generator, dtype=torch.float64))
    assert pose_change(before, wandered, halves, c1, common_frame=False)[0] > 5.0
