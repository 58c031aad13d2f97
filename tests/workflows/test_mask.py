"""Masks of known volume, in files that other commands take."""

import math

import pytest
import torch

from torchsag.app.composition import compose_command
from torchsag.app.main import main
from torchsag.app.structure_files import expand_structure_files
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap

N, VOXEL = 32, 5.0


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """``map.mrc``: a bright cube off the centre."""
    monkeypatch.chdir(tmp_path)
    density = torch.zeros(N, N, N)
    density[10:16, 12:18, 14:20] = 1.0
    write_map("map.mrc", DensityMap(density, VOXEL))
    return tmp_path


def test_a_cylinder_has_its_volume_and_stands_along_z(folder, capsys):
    size = ["mask.diameter_angstrom=60", "mask.height_angstrom=120", "mask.edge_angstrom=5"]
    assert main(["mask", "out=m.mrc", "box=32", "voxel_size_angstrom=5", "mask=cylinder", *size]) == 0
    assert "m.mrc: " in capsys.readouterr().out
    mask = read_map("m.mrc")
    assert mask.voxel_size == VOXEL
    assert float(mask.density.sum()) == pytest.approx(math.pi * 6**2 * 24, rel=0.03)
    reach = [(mask.density.amax(dim=[a for a in range(3) if a != axis]) > 0.9).sum() for axis in range(3)]
    assert reach[0] > 22
    assert max(reach[1], reach[2]) < 13


def test_a_sphere_takes_box_and_voxel_size_of_a_map(folder):
    assert main(["mask", "out=m.mrc", "in=map.mrc", "mask.diameter_angstrom=80", "mask.edge_angstrom=5"]) == 0
    mask = read_map("m.mrc")
    assert (mask.box, mask.voxel_size) == ((N, N, N), VOXEL)
    assert float(mask.density.sum()) == pytest.approx(4 / 3 * math.pi * 8**3, rel=0.03)


def test_a_mask_around_a_map_holds_its_density(folder):
    words = ["mask.low_pass_angstrom=15", "mask.grow_angstrom=5", "mask.edge_angstrom=10", "mask.threshold=0.5"]
    assert main(["mask", "out=m.mrc", "in=map.mrc", "mask=from_map", *words]) == 0
    density, mask = read_map("map.mrc").density, read_map("m.mrc").density
    assert float(mask[density > 0].min()) > 0.99
    assert 6**3 < float(mask.sum()) < 12**3


def test_other_commands_take_the_file_as_a_plain_word():
    config = compose_command("average", expand_structure_files(["particles=p", "out=o", "mask=m.mrc"]))
    assert config["mask"] == {"_target_": "torchsag.averaging.mask.MaskFromFile", "path": "m.mrc"}
    config = compose_command("classify", expand_structure_files(["particles=p", "out=o", "mask=m.mrc", "focus=f.mrc"]))
    assert (config["mask"]["path"], config["focus"]["path"]) == ("m.mrc", "f.mrc")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ([], "mask: expected a map, in=MAP, or a box, box=64, to draw the mask in, got neither"),
        (["in=map.mrc", "box=8"], "got both"),
        (["box=8"], "voxel_size_angstrom: expected angstrom per voxel above 0"),
        (["box=100000", "voxel_size_angstrom=5"], "box: expected 2 to 2048 voxels, got 100000"),
        (["box=8", "voxel_size_angstrom=5", "mask=from_map"], "in: expected a map to draw the mask around"),
        (["in=map.mrc", "mask.diameter_angstrom=900"], "got one that is one all over the box"),
        (["in=map.mrc", "mask=cylinder", "mask.height_angstrom=-1"], "mask.height_angstrom: expected a length above 0"),
    ],
)
def test_bad_input_is_refused_and_leaves_nothing(folder, capsys, words, sentence):
    assert main(["mask", "out=m.mrc", *words]) == 2
    assert sentence in capsys.readouterr().err
    assert not (folder / "m.mrc").exists()
