"""``torchsag classify`` on a few small simulated particles."""

import json
from dataclasses import replace

import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.mask import SphericalMask
from torchsag.averaging.starts import ListedPoses
from torchsag.classification.cooling import LinearCooling
from torchsag.classification.mco_a import MCOA
from torchsag.classification.mco_exmx import MCOEXMX
from torchsag.classification.wedge_pca import WedgePCA
from torchsag.errors import InputError
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, Symmetry
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.report.classification import ClassificationPage
from torchsag.runs.provenance import Provenance
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import CappedPhantom, GroelPhantom
from torchsag.spectra.fourier_band import FourierBand
from torchsag.workflows.classify import loop as classification_loop
from torchsag.workflows.classify.command import Classify

N, VOXEL = 24, 14.0
COUNTS = (14, 12, 6)
LOCAL = CurvatureSAGAligner(search=LocalGrid(cone_deg=10.0, max_shift=3.0), keep=(), passes=(2.0,))


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Rings, capped rings of which every other one stands on its head, and noise; true poses but for that."""
    folder = tmp_path_factory.mktemp("mixture")
    structures = [GroelPhantom().density(N, VOXEL), CappedPhantom().density(N, VOXEL)]
    structures.append(DensityMap(1e-4 * structures[0].density, VOXEL))
    variance = float(structures[0].density.var(correction=0)) / 0.1
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    rotations, shifts, rows = [], [], []
    for number, (structure, count) in enumerate(zip(structures, COUNTS, strict=True), start=1):
        snr = float(structure.density.var(correction=0)) / variance
        particles, poses = simulate_particles(structure, count, snr, max_shift=1.0, seed=number)
        turned = torch.where((torch.arange(count) % 2 == 1)[:, None, None], poses.rotations @ flip, poses.rotations)
        rotations.append(turned)
        shifts.append(poses.shifts)
        for name, volume in zip(particles.names, particles.volumes, strict=True):
            write_map(folder / f"{number}{name}.mrc", DensityMap(volume, VOXEL))
            rows.append(f"{number}{name}.mrc,-60,60,{number}\n")
    (folder / "truth.csv").write_text("volume,tilt_min_deg,tilt_max_deg,class\n" + "".join(rows))
    listed = read_particles(str(folder / "truth.csv"))
    write_poses(folder / "particles.star", listed, Poses(torch.cat(rotations), torch.cat(shifts)))
    return folder


def settings(data, out):
    return Classify(
        particles=str(data / "particles.star"),
        out=str(out),
        truth=str(data / "truth.csv"),
        method=MCOEXMX(rounds=10),
        alignment=LOCAL,
        classes=4,
        symmetry="C7",
        common_symmetry="D7",
        start=ListedPoses(),
        common_iterations=0,
        class_alignments=0,
        mask=SphericalMask(260.0, 40.0),
        resolution_angstrom=45.0,
        repeats=2,
        wedge_pca=WedgePCA(),
        device="cpu",
        report=ClassificationPage(),
    )


@pytest.fixture
def run(data, tmp_path):
    return settings(data, tmp_path / "out")


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
    """A run that has ended: its folder and what it said."""
    out = tmp_path_factory.mktemp("finished")
    return out, settings(data, out)(Provenance("test"))


def test_finds_the_classes_and_writes_what_it_found(finished):
    out, outcome = finished
    summary = json.loads((out / "metrics.json").read_text())["summary"]
    assert summary["adjusted_rand_index"] > 0.9
    assert summary["classes"] == 2
    assert len(summary["seeds_pairwise_rand"]) == 1
    assert summary["wedge_p_value"] > 0.01
    assert "principal_components_rand" in summary
    listed = read_particles(str(out / "poses.star"))
    assert sorted(listed.classes.unique().tolist()) == [0, 1, 2]
    assert "_torchsagClassProbability" in (out / "poses.star").read_text()
    for name in ("class_001.mrc", "class_002_half1.mrc", "class_002_half2.mrc", "class_001_fsc.csv", "report.html"):
        assert (out / name).exists()
    assert not (out / ".checkpoint").exists()
    assert any("adjusted Rand" in row[0] for row in outcome.rows)


def test_what_fits_nothing_is_shown_to_be_nothing(finished):
    """The average of class 0, which is noise, does not resemble the common average."""
    out, _ = finished
    band = FourierBand.by_shell(N, 4)

    def resemblance(name):
        a, b = (band.take(to_half_spectrum(read_map(out / one).density)) for one in (name, "common.mrc"))
        return float((a * b.conj()).real.sum() / (a.norm() * b.norm()))

    assert resemblance("class_001_half1.mrc") > 0.8
    assert abs(resemblance("class_000_half1.mrc")) < 0.4


def test_capped_particles_are_turned_to_stand_alike(finished, data):
    """Their class average shows one cap, not two halves of one."""
    out, _ = finished
    true = read_particles(str(data / "truth.csv")).classes
    found = read_particles(str(out / "poses.star"))
    number = int(found.classes[true == 2].mode().values)
    average = to_half_spectrum(read_map(out / f"class_{number:03d}.mrc").density)
    band = FourierBand.by_shell(N, 6)
    capped = to_half_spectrum(CappedPhantom().density(N, VOXEL).density)
    # Half a turn about the x axis: a frequency (x, y, z) becomes (x, -y, -z).
    flipped = capped.flip(0, 1).roll((1, 1), (0, 1))
    a, *both = (band.take(one) for one in (average, capped, flipped))
    straight, upside_down = (float((a * b.conj()).real.sum() / (a.norm() * b.norm())) for b in both)
    assert max(straight, upside_down) > 0.9
    assert abs(straight - upside_down) > 0.05


def test_aligns_to_class_averages_and_resumes(run, tmp_path, monkeypatch):
    run = replace(run, method=MCOA(LinearCooling(1.0, 2), hard_rounds=1), class_alignments=1, repeats=1, classes=3)

    def fail(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as broken:
        broken.setattr(classification_loop, "align_in_chunks", fail)
        with pytest.raises(KeyboardInterrupt):
            run(Provenance("test"))
    assert (tmp_path / "out" / ".checkpoint" / "state.npz").exists()
    with monkeypatch.context() as checked:
        checked.setattr(MCOA, "step", fail)  # the rounds are done and not done again
        run(Provenance("test"))
    metrics = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert metrics["summary"]["adjusted_rand_index"] > 0.9
    assert {row["stage"] for row in metrics["rounds"]} == {0, 1}


@pytest.mark.slow
def test_finds_the_common_average_first(run, tmp_path):
    run = replace(run, common_iterations=2, local_alignment=LOCAL)
    run(Provenance("test"))
    assert json.loads((tmp_path / "out" / "metrics.json").read_text())["summary"]["adjusted_rand_index"] > 0.9
    assert (tmp_path / "out" / "common" / "average.mrc").exists()


def test_sets_aside_what_cannot_be_read_or_fits_badly(run, data, tmp_path):
    lines = (data / "truth.csv").read_text()
    for path in data.glob("*.mrc"):
        (tmp_path / path.name).symlink_to(path)
    write_map(tmp_path / "bad.mrc", DensityMap(torch.zeros(N, N, N), VOXEL))
    (tmp_path / "list.csv").write_text(lines + "bad.mrc,-60,60,1\n")
    listed = read_particles(str(tmp_path / "list.csv"))
    known = read_particles(str(data / "particles.star")).poses
    poses = Poses.concatenate([known, Poses.identity(1, torch.float64)])
    write_poses(tmp_path / "list.star", listed, poses)
    bad = replace(run, particles=str(tmp_path / "list.star"), truth=None, repeats=1, classes=2, wedge_pca=None)
    with pytest.raises(InputError, match=r"bad\.mrc"):
        bad(Provenance("test"))
    assert not (tmp_path / "out" / "metrics.json").exists()
    replace(bad, skip_bad=True, ccc_min=0.99)(Provenance("test"))
    summary = json.loads((tmp_path / "out" / "metrics.json").read_text())["summary"]
    assert summary["set_aside"] == 1
    assert summary["fit_nothing"] == sum(COUNTS)
    assert summary["sizes"] == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": 0}, "classes: expected at least 1, got 0"),
        ({"common_symmetry": "C3"}, "common_symmetry: expected a group that contains"),
        ({"resolution_angstrom": 0.0}, "resolution_angstrom: expected a number above 0"),
        ({"ccc_min": 2.0}, "ccc_min: expected a correlation"),
    ],
)
def test_refuses_settings(run, change, sentence):
    with pytest.raises(InputError, match=sentence):
        replace(run, **change)
    assert Symmetry(run.symmetry).order == 7


def test_refuses_more_classes_than_particles_and_truth_without_classes(run, data):
    with pytest.raises(InputError, match="classes: expected at most one per particle, 32, got 33"):
        replace(run, classes=33)(Provenance("test"))
    (data / "plain.csv").write_text((data / "truth.csv").read_text().replace("class\n", "tomogram\n"))
    with pytest.raises(InputError, match="expected a true class for every particle"):
        replace(run, truth=str(data / "plain.csv"))(Provenance("test"))
