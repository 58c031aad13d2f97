"""Maps changed from the command line: files, headers, and the same from Python."""

import mrcfile
import numpy as np
import pytest
import torch

import torchsag
from torchsag.app.main import main
from torchsag.io import read_map, write_map
from torchsag.io.volumes import read_volume_header
from torchsag.particles import DensityMap

N, VOXEL = 24, 5.0


@pytest.fixture
def folder(tmp_path, monkeypatch, blobs):
    """``map.mrc``: an asymmetric structure, its first voxel at (100, 0, -40) angstrom."""
    monkeypatch.chdir(tmp_path)
    write_map("map.mrc", DensityMap(blobs(radius=5.0, count=8).map(N), VOXEL), origin=(100.0, 0.0, -40.0))
    return tmp_path


@pytest.mark.parametrize("words", [["box=16"], ["box=31"], ["new_voxel_size_angstrom=7.5", "box=20"], ["mirror=true"]])
def test_the_box_centre_stays_where_it_was(folder, words):
    assert main(["map", "map=map.mrc", "out=new.mrc", *words]) == 0
    centres = []
    for name in ("map.mrc", "new.mrc"):
        header = read_volume_header(name)
        centres.append([o + n // 2 * header.voxel_size for o, n in zip(header.origin, header.shape[::-1], strict=True)])
    assert centres[1] == pytest.approx(centres[0], abs=1e-3)
    assert centres[0] == pytest.approx([160.0, 60.0, 20.0])


def test_the_header_says_what_was_done(folder, capsys):
    words = ["mirror=true", "low_pass_angstrom=20", "b_factor_angstrom2=-100", "new_voxel_size_angstrom=6", "box=20"]
    assert main(["map", "map=map.mrc", "out=new.mrc", *words]) == 0
    assert "new.mrc: (20, 20, 20) voxels (z, y, x) of 6 angstrom" in capsys.readouterr().out
    assert mrcfile.validate("new.mrc")
    with mrcfile.open("new.mrc") as file:
        labels = [text.rstrip() for text in file.get_labels()]
        np.testing.assert_allclose(file.voxel_size.tolist(), 6.0, rtol=1e-5)
    assert labels == [f"torchsag {torchsag.__version__}", "map: mirror, low_pass 20 A, B -100 A2"]


def test_python_makes_the_same_map(folder):
    changes = {"mirror": True, "high_pass_angstrom": 80.0, "new_voxel_size_angstrom": 6.0, "box": 22}
    words = [f"{key}={str(value).lower()}" for key, value in changes.items()]
    assert main(["map", "map=map.mrc", "out=new.mrc", *words]) == 0
    given = read_map("map.mrc")
    for volume, size in (("map.mrc", None), (given, None), (given.density.numpy(), VOXEL)):
        found = torchsag.edit_map(volume, voxel_size=size, **changes)
        torch.testing.assert_close(found.density, read_map("new.mrc").density)
        assert found.voxel_size == 6.0


def test_a_symmetry_that_the_map_has_not_is_said(folder, capsys):
    assert main(["map", "map=map.mrc", "out=new.mrc", "symmetry=C4"]) == 0
    printed = capsys.readouterr().out
    assert "symmetry_not_in_reference" in printed
    assert main(["map", "map=new.mrc", "out=again.mrc", "symmetry=C4"]) == 0
    assert "no reason found to distrust" in capsys.readouterr().out
    torch.testing.assert_close(read_map("again.mrc").density, read_map("new.mrc").density, atol=0.05, rtol=0)


def test_a_mask_goes_by_its_file(folder):
    write_map("half.mrc", DensityMap(torch.ones(N, N, N).tril(), VOXEL))
    assert main(["map", "map=map.mrc", "out=new.mrc", "mask=half.mrc"]) == 0
    torch.testing.assert_close(read_map("new.mrc").density, read_map("map.mrc").density.tril())


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["map=nowhere.mrc", "out=n.mrc"], "map: expected a file or folder, got nowhere.mrc"),
        (["map=map.mrc", "out=map.mrc"], "out: expected another file than map=map.mrc, which would be lost"),
        (["map=map.mrc", "out=n.txt"], "n.txt: unknown volume format"),
        (["map=map.mrc", "out=n.mrc", "low_pass=3"], "unknown configuration key 'low_pass' for map; did you mean"),
        (["map=map.mrc", "out=n.mrc", "low_pass_angstrom=3"], "low_pass_angstrom: expected at least 10 angstrom"),
        (["map=map.mrc", "out=n.mrc", "box=big"], "box: expected"),
        (["map=map.mrc"], "map needs out=..."),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(folder, capsys, words, sentence):
    before = (folder / "map.mrc").read_bytes()
    assert main(["map", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert {path.name for path in folder.iterdir()} == {"map.mrc"}
    assert (folder / "map.mrc").read_bytes() == before


def test_python_names_the_argument(folder):
    for arguments, sentence in (
        (({"volume": "map.mrc", "lowpass": 3}), "lowpass: expected one of invert"),
        (({"volume": np.zeros((4, 4, 4))}), "voxel_size: expected the angstrom per voxel of a map given as an array"),
        (({"volume": read_map("map.mrc"), "voxel_size": 3.0}), "voxel_size: expected none with a DensityMap"),
    ):
        with pytest.raises(torchsag.InputError) as refusal:
            torchsag.edit_map(**arguments)
        assert sentence in str(refusal.value)
