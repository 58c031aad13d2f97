"""Half-maps of a known structure in known noise."""

import csv
import json
import shutil
import subprocess
from xml.etree import ElementTree

import pytest
import torch

from torchsag.app.main import main
from torchsag.averaging.filtering import sharpen
from torchsag.fourier import low_pass, shell_sums, to_half_spectrum
from torchsag.fourier.shells import resolution_at
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap
from torchsag.simulation.structures import RibosomePhantom

N, VOXEL, NOISE = 32, 12.0, 0.3
FILES = {
    *("postprocessed.mrc", "locally_filtered.mrc", "local_resolution.mrc", "mask.mrc", "fsc.csv", "fsc.png"),
    *("fsc.xml", "metrics.json", "config.yaml", "report.html"),
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """``half1.mrc`` and ``half2.mrc``: a structure that ends at 60 angstrom, in independent
    noise; ``other.mrc`` and ``another.mrc``, noise alone."""
    monkeypatch.chdir(tmp_path)
    generator = torch.Generator().manual_seed(0)
    structure = low_pass(RibosomePhantom().density(N, VOXEL).density, 60.0, VOXEL)
    structure = structure / structure.std()
    for name, part in (("half1", 1.0), ("half2", 1.0), ("other", 0.0), ("another", 0.0)):
        noise = NOISE * torch.randn(N, N, N, generator=generator)
        write_map(f"{name}.mrc", DensityMap(part * structure + noise, VOXEL))
    write_map("truth.mrc", DensityMap(structure, VOXEL))
    return tmp_path


def test_a_known_resolution_is_found_and_the_maps_come_closer_to_the_truth(folder, capsys):
    assert main(["postprocess", "half1=half1.mrc", "half2=half2.mrc", "out=run"]) == 0
    assert {path.name for path in (folder / "run").iterdir()} == FILES
    metrics = json.loads((folder / "run/metrics.json").read_text())
    assert metrics["verdict"]["trust"] == "yes"
    truth = read_map("truth.mrc").density
    spectrum = to_half_spectrum(truth)
    signal, counts = (shell_sums(v, (N, N, N)) for v in (spectrum.abs().square(), torch.ones_like(spectrum.real)))
    expected = resolution_at(signal / (signal + NOISE**2 * N**3 * counts), (N, N, N), VOXEL)
    assert metrics["summary"]["resolution_0.143_unmasked_angstrom"] == pytest.approx(expected, rel=0.05)
    assert metrics["summary"]["b_factor_angstrom2"] == 0  # no Guinier plot at 60 angstrom
    assert "verdict: no reason" in capsys.readouterr().out
    whole = (read_map("half1.mrc").density + read_map("half2.mrc").density) / 2
    before = float((whole - truth).square().mean())
    for name in ("postprocessed", "locally_filtered"):
        written = read_map(f"run/{name}.mrc")
        assert written.voxel_size == pytest.approx(VOXEL)
        assert float((written.density - truth).square().mean()) < 0.5 * before, name


def test_the_curve_for_emdb_is_the_corrected_one(folder):
    assert main(["postprocess", "half1=half1.mrc", "half2=half2.mrc", "out=run"]) == 0
    root = ElementTree.parse(folder / "run/fsc.xml").getroot()
    assert root.tag == "fsc"
    assert set(root.attrib) == {"title", "xaxis", "yaxis"}
    with (folder / "run/fsc.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(root) == len(rows) == N // 2 + 1
    for row, point in zip(rows[1:], root[1:], strict=True):
        assert point.tag == "coordinate"
        assert 1 / float(point.find("x").text) == pytest.approx(float(row["resolution_angstrom"]), rel=1e-3)
        assert float(point.find("y").text) == pytest.approx(float(row["corrected"]), abs=2e-5)


def read_emdb_fsc(path):
    """Frequencies and correlations of a file in the form that EMDB takes, whoever wrote it."""
    root = ElementTree.parse(path).getroot()
    assert (root.tag, root.attrib["xaxis"]) == ("fsc", "Resolution (A-1)")
    assert root.attrib["yaxis"] == "Correlation Coefficient"
    assert [[child.tag for child in point] for point in root] == [["x", "y"]] * len(root)
    return zip(*([float(child.text) for child in point] for point in root), strict=True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("relion_postprocess") is None, reason="RELION is not installed")
def test_relion_writes_the_curve_in_the_same_form(folder):
    main(["mask", "in=half1.mrc", "out=mask.mrc", "mask.diameter_angstrom=260"])
    assert main(["postprocess", "half1=half1.mrc", "half2=half2.mrc", "out=run", "mask=mask.mrc"]) == 0
    words = ["--i", "half1.mrc", "--i2", "half2.mrc", "--o", "relion", "--angpix", str(VOXEL), "--mask", "mask.mrc"]
    # It ends with an error where it cannot draw its pdf; the curve is written before.
    subprocess.run(["relion_postprocess", *words], capture_output=True, check=False)
    (theirs_x, theirs_y), (x, y) = read_emdb_fsc("relion_fsc.xml"), read_emdb_fsc("run/fsc.xml")
    assert x[1:] == pytest.approx(theirs_x[1:], rel=1e-3)
    assert y[1:5] == pytest.approx(theirs_y[1:5], abs=0.02)


@pytest.mark.parametrize(("second", "code"), [("another.mrc", "halves_disagree"), ("half2.mrc", None)])
def test_noise_is_not_to_be_trusted(folder, second, code):
    first = "half1.mrc" if code is None else "other.mrc"
    words = ["postprocess", f"half1={first}", f"half2={second}", "out=run", "strict=true"]
    assert main(words) == (3 if code else 0)
    codes = [f["code"] for f in json.loads((folder / "run/metrics.json").read_text())["verdict"]["findings"]]
    assert codes == ([code] if code else [])


def test_a_b_factor_that_is_given_is_applied(folder):
    for value in (0.0, -2000.0):
        words = [f"out=run{value}", f"b_factor_angstrom2={value}"]
        assert main(["postprocess", "half1=half1.mrc", "half2=half2.mrc", *words]) == 0
    plain, sharp = (read_map(f"run{value}/postprocessed.mrc") for value in (0.0, -2000.0))
    torch.testing.assert_close(sharp.density, sharpen(plain, -2000.0).density, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(sharp.density, plain.density, atol=1e-2)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["half2=half1.mrc"], "half2: expected the other half-map, got half1.mrc"),
        (["half2=nowhere.mrc"], "half2: expected a file or folder, got nowhere.mrc"),
        (["half2=small.mrc"], "half-maps: expected the same box and voxel size"),
        (["half2=half2.mrc", "mask=file", "mask.path=small.mrc"], "small.mrc: expected a mask of (32, 32, 32) voxels"),
        (["half2=half2.mrc", "b_factor_angstrom2=inf"], "b_factor_angstrom2: expected a finite number"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(folder, capsys, words, sentence):
    write_map("small.mrc", DensityMap(torch.rand(8, 8, 8), VOXEL))
    assert main(["postprocess", "half1=half1.mrc", "out=run", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (folder / "run").exists() or not any((folder / "run").iterdir())
