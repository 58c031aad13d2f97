import pytest
import torch

from torchsag.app.main import main
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for i in range(2):
        write_map(f"v{i}.mrc", DensityMap(torch.rand(6, 6, 6), 4.0))
    (tmp_path / "list.csv").write_text("volume,rot_deg,tilt_deg,psi_deg\nv0.mrc,10,20,30\nv1.mrc,1,2,3\n")
    return tmp_path


def test_map_to_another_format(folder, capsys):
    assert main(["convert", "in=v0.mrc", "out=v.em", "voxel_size_angstrom=5"]) == 0
    assert "v.em: (6, 6, 6) voxels (z, y, x) of 5 angstrom" in capsys.readouterr().out
    assert torch.equal(read_map("v.em", 5.0).density, read_map("v0.mrc").density)


@pytest.mark.parametrize("target", ["list.star", "sub/list.tbl", "motl.em", "list.xml"])
def test_list_to_another_program_and_back(folder, capsys, target):
    assert main(["convert", "in=list.csv", f"out={target}", "voxel_size_angstrom=4"]) == 0
    assert f"{target}: 2 particles" in capsys.readouterr().out
    assert main(["convert", f"in={target}", "out=back.csv", "voxel_size_angstrom=4"]) == 0
    rows = [line.split(",") for line in (folder / "back.csv").read_text().splitlines()]
    angles = [[float(row[rows[0].index(f"{name}_deg")]) for name in ("rot", "tilt", "psi")] for row in rows[1:]]
    torch.testing.assert_close(torch.tensor(angles), torch.tensor([[10.0, 20, 30], [1, 2, 3]]), atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["in=list.csv", "out=list.txt"], "list.txt: expected a name ending in"),
        (["in=list.csv", "out=v.mrc"], "v.mrc: expected a name ending in"),
        (["in=nowhere.csv", "out=v.star"], "nowhere.csv: no such file"),
        (["out=v.star"], "convert needs in=..."),
    ],
)
def test_bad_input(folder, capsys, words, sentence):
    assert main(["convert", *words]) == 2
    assert sentence in capsys.readouterr().err
