"""Tilt stacks through `average`, `classify` and `compare`, in either hand, and on two ranks."""

import json

import pytest
import torch
from placed_blobs import Blobs
from thread_ranks import on_ranks
from tilt_projects import Project

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.app.main import main as torchsag
from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.imaging.masks import spherical_mask
from torchsag.io import read_map, read_particles, write_map
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.workflows.align import Align

N, VOXEL = 24, 8.0
ANGLES = tuple((37.0 * k, 20.0 + 15 * k, -50.0 + 61 * k) for k in range(10))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Ten particles without noise, the structure and its mirror image."""
    folder = tmp_path_factory.mktemp("stacks")
    generator = torch.Generator().manual_seed(0)
    centres = 2.5 * torch.randn(12, 3, generator=generator, dtype=torch.float64).clamp(-1.6, 1.6)
    structure = Blobs(centres, torch.rand(12, generator=generator, dtype=torch.float64) + 0.5)
    still = tuple((0.0, 0.0, 0.0) for _ in ANGLES)
    Project(structure.centres, structure.heights, angles=ANGLES, origins=still, positions=still).write_relion5(folder)
    whole = DensityMap(structure.map(N), VOXEL)
    write_map(folder / "same.mrc", whole)
    write_map(folder / "other.mrc", whole.mirrored("z"))
    return folder


def ran(folder, out, command, *words):
    given = [f"particles={folder / 'optimisation_set.star'}", f"out={out}", "device=cpu", "~report", *words]
    assert torchsag([command, *given]) == 0
    return json.loads((out / "metrics.json").read_text())


def agreement(path, structure):
    box = (N, N, N)
    first, second = (to_half_spectrum(read_map(p).density * spherical_mask(box)) for p in (path, structure))
    return float(fourier_shell_correlation(first, second, box)[2:7].min())


@pytest.mark.slow
def test_average_finds_the_hand(folder, tmp_path):
    common = (f"reference={folder / 'other.mrc'}", "iterations=1", "initial_resolution_angstrom=40")
    found = ran(folder, tmp_path / "asked", "average", *common)
    assert found["reference_mirrored"] is True
    assert "hand_opposite" in [finding["code"] for finding in found["verdict"]["findings"]]
    assert agreement(tmp_path / "asked" / "half1.mrc", folder / "same.mrc") > 0.8


@pytest.mark.slow
@pytest.mark.parametrize(
    ("reference", "mirror", "doubted"), [("other", True, False), ("other", False, True), ("same", False, False)]
)
def test_average_does_what_it_is_told_and_doubts_the_wrong_hand_alone(folder, tmp_path, reference, mirror, doubted):
    common = (f"reference={folder / reference}.mrc", "iterations=1", "initial_resolution_angstrom=40")
    told = ran(folder, tmp_path / "told", "average", *common, f"mirror={str(mirror).lower()}")
    assert told["reference_mirrored"] is mirror
    assert ("hand_opposite" in [finding["code"] for finding in told["verdict"]["findings"]]) is doubted
    assert (agreement(tmp_path / "told" / "half1.mrc", folder / "same.mrc") > 0.8) is not doubted


@pytest.mark.parametrize("command", ["average", "classify"])
def test_nothing_is_mirrored_that_is_not_there(folder, tmp_path, capsys, command):
    words = [command, f"particles={folder / 'optimisation_set.star'}", f"out={tmp_path / 'o'}", "mirror=true"]
    assert torchsag(words) == 2
    assert "expected reference=MAP with it" in capsys.readouterr().err


@pytest.mark.slow
def test_classify_divides_stacks_from_a_reference_of_the_other_hand(folder, tmp_path):
    found = ran(
        folder, tmp_path / "o", "classify", f"reference={folder / 'other.mrc'}", "classes=2", "common_iterations=1",
        "repeats=1", "method=multi_reference", "initial_resolution_angstrom=40", "resolution_angstrom=30",
    )  # fmt: skip
    assert json.loads((tmp_path / "o" / "common" / "metrics.json").read_text())["reference_mirrored"] is True
    assert found["box"] == [N, N, N]
    assert len(read_particles(tmp_path / "o" / "poses.star")) == len(ANGLES)


@pytest.mark.slow
def test_compare_aligns_stacks_in_their_hand(folder, tmp_path):
    words = ("trials=listed", "trials.truth_listed=true", "method=curvature_sag")
    for name, mirror in (("asked", "null"), ("told", "true"), ("kept", "false")):
        given = (f"trials.reference={folder / 'other.mrc'}", f"mirror={mirror}", "parallel=serial")
        out = tmp_path / name
        given = [f"particles={folder / 'optimisation_set.star'}", f"out={out}", "device=cpu", *words, *given]
        assert torchsag(["compare", "~report", *given]) == 0
        (row,) = json.loads((out / "metrics.json").read_text())["summary"]
        assert (row["within_10_deg"] == len(ANGLES)) is (mirror != "false")


@pytest.mark.slow
def test_two_ranks_align_stacks_as_one_does(folder, tmp_path):
    def run(out, **settings):
        made = Align(
            particles=str(folder / "optimisation_set.star"), reference=str(folder / "other.mrc"),
            method=CurvatureSAGAligner(), out=str(tmp_path / out), chunk=3, device="cpu", **settings,
        )  # fmt: skip
        return made(Provenance("test", ""))

    run("one")
    on_ranks(2, lambda workers: run("two", parallel=workers))
    one, two = (read_particles(tmp_path / name / "poses.star").poses for name in ("one", "two"))
    assert torch.allclose(one.rotations, two.rotations, atol=1e-6)
    # The average from images ends where not all of them saw anything.
    average = read_map(tmp_path / "two" / "average.mrc").density
    assert float(average[0].abs().max()) < 1e-6 < float(average.abs().max())
    assert agreement(tmp_path / "two" / "average.mrc", folder / "same.mrc") > 0.9
