"""Which file a named tomogram is, and files of any size read part by part."""

import gzip

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import write_map
from torchsag.io.lists import read_list
from torchsag.io.mrc import write_mrc
from torchsag.io.position_list import read_positions
from torchsag.io.tomogram_files import tomogram_files
from torchsag.io.volumes import map_volume, read_map
from torchsag.particles import DensityMap


@pytest.fixture
def listing(tmp_path):
    def make(*tomograms):
        text = "".join(f"{name},1,2,3\n" for name in tomograms)
        (tmp_path / "picks.csv").write_text("tomogram,x,y,z\n" + text)
        return read_positions(tmp_path / "picks.csv")

    return make


def small(path):
    path.parent.mkdir(exist_ok=True)
    write_map(path, DensityMap(torch.arange(24.0).reshape(2, 3, 4), 5.0))
    return path


def test_positions_need_no_volumes_and_particles_do(tmp_path, listing):
    assert listing("a.mrc").positions.tolist() == [[1, 2, 3]]
    with pytest.raises(InputError, match="expected a column volume"):
        read_list(tmp_path / "picks.csv")


@pytest.mark.parametrize("file", ["TS_1.rec", "TS_1_10.00Apx.mrc", "rec_TS_1.st", "TS_1.em"])
def test_a_folder_is_searched_by_name(tmp_path, listing, file):
    small(tmp_path / "rec" / "TS_12.mrc")
    path = small(tmp_path / "rec" / file)
    assert tomogram_files(listing("TS_1.tomostar"), tmp_path / "rec") == [path]
    assert tomogram_files(listing("deep/TS_1.mrc"), tmp_path / "rec") == [path]


def test_two_files_for_one_name_are_refused(tmp_path, listing):
    small(tmp_path / "rec" / "TS_1_a.mrc")
    small(tmp_path / "rec" / "TS_1_b.mrc")
    with pytest.raises(InputError, match=r"TS_1_a\.mrc, TS_1_b\.mrc in .* could all be tomogram TS_1 "):
        tomogram_files(listing("TS_1"), tmp_path / "rec")
    path = small(tmp_path / "rec" / "TS_1.mrc")
    assert tomogram_files(listing("TS_1"), tmp_path / "rec") == [path]


def test_a_name_that_no_file_has_is_refused(tmp_path, listing):
    small(tmp_path / "rec" / "TS_2.mrc")
    with pytest.raises(InputError, match=r"expected a file of tomogram TS_1 of .*, got TS_2\.mrc; name it TS_1\.mrc"):
        tomogram_files(listing("TS_1"), tmp_path / "rec")


def test_one_file_for_several_tomograms_is_refused(tmp_path, listing):
    path = small(tmp_path / "t.mrc")
    with pytest.raises(InputError, match="names 2 tomograms"):
        tomogram_files(listing("TS_1", "TS_2"), path)
    assert tomogram_files(listing("TS_1", "TS_1"), path) == [path, path]


@pytest.mark.parametrize("suffix", [".mrc", ".st", ".em"])
def test_a_mapped_file_is_the_file(tmp_path, suffix):
    path = small(tmp_path / f"t{suffix}")
    assert torch.equal(torch.from_numpy(map_volume(path).copy()), read_map(path, 5.0).density)


def test_axes_of_a_mapped_file_are_brought_to_order(tmp_path):
    raw = bytearray(small(tmp_path / "t.mrc").read_bytes())
    raw[64:76] = b"".join(n.to_bytes(4, "little") for n in (3, 1, 2))
    (tmp_path / "t.mrc").write_bytes(raw)
    mapped = map_volume(tmp_path / "t.mrc")
    assert torch.equal(torch.from_numpy(mapped.copy()), read_map(tmp_path / "t.mrc", 5.0).density)


def test_packed_files_and_stacks_are_not_mapped(tmp_path):
    (tmp_path / "t.mrc.gz").write_bytes(gzip.compress(small(tmp_path / "t.mrc").read_bytes()))
    with pytest.raises(InputError, match="gunzip it first"):
        map_volume(tmp_path / "t.mrc.gz")
    write_mrc(tmp_path / "s.mrc", torch.zeros(2, 4, 4, 4).numpy(), 5.0)
    with pytest.raises(InputError, match="expected one volume, got a stack of 2"):
        map_volume(tmp_path / "s.mrc")
