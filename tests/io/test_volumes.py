"""Maps by suffix, and their voxel size."""

import logging

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import read_map, write_map
from torchsag.io.em import write_em
from torchsag.io.mrc import write_mrc
from torchsag.particles import DensityMap


@pytest.mark.parametrize("name", ["a.mrc", "a.map", "a.rec", "a.mrc.gz"])
def test_round_trip(tmp_path, name):
    density = torch.randn(5, 6, 7, generator=torch.Generator().manual_seed(0))
    write_map(tmp_path / name, DensityMap(density, 3.5))
    back = read_map(tmp_path / name)
    assert back.voxel_size == 3.5
    torch.testing.assert_close(back.density, density)


def test_em_needs_the_voxel_size(tmp_path):
    write_map(tmp_path / "a.em", DensityMap(torch.arange(27.0).reshape(3, 3, 3), 2.0))
    with pytest.raises(InputError, match=r"a\.em.*voxel size"):
        read_map(tmp_path / "a.em")
    assert read_map(tmp_path / "a.em", voxel_size_angstrom=2).voxel_size == 2


def test_voxel_size_zero_and_one(tmp_path, caplog):
    data = np.arange(27, dtype=np.float32).reshape(3, 3, 3)
    write_mrc(tmp_path / "zero.mrc", data, 0.0)
    with pytest.raises(
        InputError,
        match=r"the header says 0, 0, 0 along x, y, z; give .* with voxel_size_angstrom=",
    ):
        read_map(tmp_path / "zero.mrc")
    with pytest.raises(InputError, match="above 0"):
        read_map(tmp_path / "zero.mrc", voxel_size_angstrom=-3.0)
    write_mrc(tmp_path / "one.mrc", data, 1.0)
    with caplog.at_level(logging.WARNING):
        assert read_map(tmp_path / "one.mrc").voxel_size == 1
    assert "when they do not know" in caplog.text


def test_unequal_voxel_sizes_along_the_axes(shared_data):
    path = shared_data / "maps" / "EMD-3001.map"
    with pytest.raises(InputError, match=r"0\.44825, 0\.3925, 0\.45875"):
        read_map(path)
    assert read_map(path, voxel_size_angstrom=0.43).box == (73, 25, 43)


@pytest.mark.parametrize(("value", "message"), [(np.nan, "NaN"), (np.inf, "NaN or infinity")])
def test_not_finite(tmp_path, value, message):
    data = np.zeros((3, 3, 3), dtype=np.float32)
    data[1, 1, 1] = value
    write_em(tmp_path / "a.em", data)
    with pytest.raises(InputError, match=message):
        read_map(tmp_path / "a.em", voxel_size_angstrom=1.0)


def test_empty_and_unknown(tmp_path):
    write_mrc(tmp_path / "a.mrc", np.zeros((3, 3, 3), dtype=np.float32), 2.0)
    with pytest.raises(InputError, match="0 in every voxel"):
        read_map(tmp_path / "a.mrc")
    with pytest.raises(InputError, match=r"unknown volume format '\.tif'"):
        read_map(tmp_path / "a.tif")
    with pytest.raises(InputError, match="no such file"):
        read_map(tmp_path / "none.mrc")
    with pytest.raises(InputError, match="unknown volume format"):
        write_map(tmp_path / "a.hdf", DensityMap(torch.arange(27.0).reshape(3, 3, 3), 2.0))
