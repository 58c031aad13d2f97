"""Commands as typed, on particles with which something is wrong: each ends with its code in ``metrics.json``."""

import json
from dataclasses import replace

import pytest
import torch

from torchsag.app.main import main
from torchsag.io import read_map, read_particles, write_map
from torchsag.particles import DensityMap
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom

N, VOXEL, COUNT = 24, 16.0, 6
HEAD = "volume,tilt_min_deg,tilt_max_deg"
# A coarse search is enough: what is looked at is the verdict.
FAST = ["method.search.degree=6", "method.search.num_candidates=2", "method.keep=[]", "method.passes=[1.0]"]
QUICK = [*FAST, "device=cpu", "~report"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Six ribosomes, their map, and lists of them."""
    folder = tmp_path_factory.mktemp("ribosomes")
    structure = RibosomePhantom().density(N, VOXEL)
    batch, _ = simulate_particles(structure, COUNT, 0.5, max_shift=1.0, seed=3)
    write_map(folder / "reference.mrc", structure)
    write_map(folder / "inverted.mrc", replace(structure, density=-structure.density))
    write_map(folder / "mirrored.mrc", structure.mirrored())
    for i, volume in enumerate(batch.volumes):
        write_map(folder / "sub" / f"p{i}.mrc", DensityMap(volume, VOXEL))
        write_map(folder / "off" / f"p{i}.mrc", DensityMap(volume.roll((5, -4, 4), (0, 1, 2)), VOXEL))
    listed(folder / "particles.csv", HEAD, [f"sub/p{i}.mrc,-60,60" for i in range(COUNT)])
    listed(folder / "off.csv", HEAD, [f"off/p{i}.mrc,-60,60" for i in range(COUNT)])
    return folder


def listed(path, head, rows):
    path.write_text("\n".join([head, *rows]) + "\n")


def findings(out):
    """Severity of each code that a finished run left behind."""
    verdict = json.loads((out / "metrics.json").read_text())["verdict"]
    found = {finding["code"]: finding["severity"] for finding in verdict["findings"]}
    assert verdict["trust"] == ("no" if "wrong" in found.values() else "doubt" if "doubt" in found.values() else "yes")
    return found


def align(folder, out, particles="particles.csv", reference="reference.mrc", *words):
    words = [f"particles={folder / particles}", f"reference={folder / reference}", f"out={out}", *QUICK, *words]
    assert main(["align", *words]) == 0
    return findings(out)


def average(folder, out, particles, *words):
    words = [f"particles={folder / particles}", f"out={out}", "device=cpu", "~report", "iterations=1", *words]
    assert main(["average", *words]) == 0
    return findings(out)


def test_nothing_is_wrong(folder, tmp_path):
    assert align(folder, tmp_path / "out") == {}


def test_a_reference_of_opposite_contrast(folder, tmp_path):
    found = align(folder, tmp_path / "out", reference="inverted.mrc")
    assert found["contrast_opposite"] == "wrong"


def test_a_mirrored_reference(folder, tmp_path):
    assert align(folder, tmp_path / "out", reference="mirrored.mrc")["hand_opposite"] == "wrong"


def test_particles_beyond_the_search_radius(folder, tmp_path, capsys):
    assert align(folder, tmp_path / "out", "off.csv")["shifts_at_search_radius"] == "wrong"
    assert "method.search.max_shift" in capsys.readouterr().out


@pytest.mark.slow
def test_a_wider_search_finds_them(folder, tmp_path):
    assert align(folder, tmp_path / "wide", "off.csv", "reference.mrc", "method.search.max_shift=0.4") == {}


def test_a_symmetry_that_the_reference_has_not(folder, tmp_path):
    found = align(folder, tmp_path / "out", "particles.csv", "reference.mrc", "symmetry=C2")
    assert found["symmetry_not_in_reference"] == "wrong"
    assert found["reference_symmetrised"] == "note"


def test_one_file_under_two_names(folder, tmp_path):
    rows = ["sub/p0.mrc,-60,60", "sub/../sub/p0.mrc,-60,60", "sub/p1.mrc,-60,60", "sub/p2.mrc,-60,60"]
    listed(folder / "twice.csv", HEAD, rows)
    assert align(folder, tmp_path / "out", "twice.csv")["copies_in_both_halves"] == "doubt"


def test_listed_halves_are_used_unless_random_ones_are_asked_for(folder, tmp_path):
    halves = [1, 1, 1, 2, 2, 2]
    listed(folder / "halves.csv", HEAD + ",half", [f"sub/p{i}.mrc,-60,60,{h}" for i, h in enumerate(halves)])
    found = average(folder, tmp_path / "out", "halves.csv", *FAST)
    assert found["halves_listed"] == "note"
    assert read_particles(str(tmp_path / "out" / "poses.star")).halves.tolist() == halves
    assert average(folder, tmp_path / "own", "halves.csv", "halves=random", *FAST)["halves_redrawn"] == "note"


@pytest.mark.slow
def test_noise_with_a_copy_of_every_particle_in_the_other_half(folder, tmp_path):
    generator = torch.Generator().manual_seed(5)
    rows = []
    for i in range(COUNT):
        volume = DensityMap(torch.randn(N, N, N, generator=generator), VOXEL)
        for half in (1, 2):
            write_map(folder / f"noise{i}_{half}.mrc", volume)
            rows.append(f"noise{i}_{half}.mrc,-60,60,{half}")
    listed(folder / "copies.csv", HEAD + ",half", rows)
    found = average(folder, tmp_path / "out", "copies.csv", *FAST)
    assert found["copies_in_both_halves"] == "wrong"
    assert float(read_map(tmp_path / "out" / "average.mrc").density.std()) > 0


@pytest.mark.slow
def test_an_average_from_a_mirrored_reference(folder, tmp_path):
    found = average(folder, tmp_path / "out", "particles.csv", f"reference={folder / 'mirrored.mrc'}", *FAST)
    assert found["hand_opposite"] == "wrong"


@pytest.mark.slow
def test_classes_from_a_mirrored_reference(folder, tmp_path):
    words = [f"particles={folder / 'particles.csv'}", f"reference={folder / 'mirrored.mrc'}", f"out={tmp_path / 'out'}"]
    few = ["classes=2", "repeats=1", "common_iterations=1", "class_alignments=0", "device=cpu", "~report"]
    assert main(["classify", *words, *few]) == 0
    assert findings(tmp_path / "out")["hand_opposite"] == "wrong"
