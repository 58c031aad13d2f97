"""MRC files: every mode and axis order, agreement with mrcfile and gemmi, and files that lie."""

import gzip
import struct
import warnings

import gemmi
import mrcfile
import numpy as np
import pytest

import torchsag
from torchsag.errors import InputError
from torchsag.io.mrc import read_mrc, read_mrc_header, write_mrc


@pytest.fixture
def volume():
    return np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("name", ["a.mrc", "a.map.gz"])
@pytest.mark.parametrize("float16", [False, True])
def test_round_trip(tmp_path, volume, name, float16):
    write_mrc(tmp_path / name, volume, 2.5, float16)
    header = read_mrc_header(tmp_path / name)
    assert (header.shape, header.count, header.voxel_size) == ((4, 5, 6), 1, 2.5)
    back = read_mrc(tmp_path / name)
    assert back.dtype == np.float32
    assert back.flags.writeable
    np.testing.assert_allclose(back, volume, rtol=2e-3 if float16 else 0)


def test_mrcfile_finds_our_files_valid(tmp_path, volume):
    write_mrc(tmp_path / "a.mrc", volume, 2.5)
    write_mrc(tmp_path / "s.mrcs", np.stack([volume, volume]), 2.5)
    with warnings.catch_warnings():
        # What mrcfile finds odd in a file; under numpy 2.5 it sets dtypes, too, which is deprecated and not ours.
        warnings.simplefilter("error", RuntimeWarning)
        assert mrcfile.validate(tmp_path / "a.mrc")
        assert mrcfile.validate(tmp_path / "s.mrcs")
    with mrcfile.open(tmp_path / "s.mrcs") as file:
        assert file.is_volume_stack()
        assert file.data.shape == (2, 4, 5, 6)


@pytest.mark.parametrize("dtype", ["i1", "i2", "f4", "u2", "f2"])
@pytest.mark.parametrize("order", ["<", ">"])
def test_modes_and_byte_orders_that_mrcfile_writes(tmp_path, dtype, order):
    values = (np.arange(60).reshape(3, 4, 5) - (0 if dtype == "u2" else 20)).astype(np.dtype(order + dtype))
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(values)
        file.voxel_size = 3.0
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrc"), values.astype(np.float32))
    assert read_mrc_header(tmp_path / "a.mrc").voxel_size == 3.0


def test_imod_bytes_without_the_signed_flag_are_unsigned(tmp_path):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.full((2, 2, 2), -1, dtype=np.int8))
    raw = bytearray((tmp_path / "a.mrc").read_bytes())
    struct.pack_into("<2i", raw, 152, 1146047817, 0)
    (tmp_path / "b.mrc").write_bytes(raw)
    assert read_mrc(tmp_path / "a.mrc").max() == -1
    assert read_mrc(tmp_path / "b.mrc").min() == 255


def test_extended_header_is_skipped(tmp_path, volume):
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(volume)
        file.set_extended_header(np.zeros(100, dtype="V8"))
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrc"), volume)


@pytest.mark.parametrize("axes", [(1, 2, 3), (3, 1, 2), (2, 3, 1), (2, 1, 3), (3, 2, 1), (1, 3, 2)])
def test_axis_order(tmp_path, volume, axes):
    """Store the same volume with its columns, rows and sections along other axes."""
    of_axis = {1: 2, 2: 1, 3: 0}  # x is the last axis of (z, y, x)
    stored = volume.transpose(of_axis[axes[2]], of_axis[axes[1]], of_axis[axes[0]])
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(np.ascontiguousarray(stored))
        file.header.mapc, file.header.mapr, file.header.maps = axes
        file.header.mx, file.header.my, file.header.mz = 6, 5, 4
        file.header.cella = (12.0, 10.0, 8.0)
    np.testing.assert_array_equal(read_mrc(tmp_path / "a.mrc"), volume)
    assert read_mrc_header(tmp_path / "a.mrc").shape == (4, 5, 6)
    assert read_mrc_header(tmp_path / "a.mrc").voxel_sizes == (2.0, 2.0, 2.0)


def test_axis_order_of_a_deposited_map_agrees_with_gemmi(shared_data):
    path = shared_data / "maps" / "EMD-3001.map"
    ours = read_mrc(path)
    assert ours.shape == (73, 25, 43)
    grid = gemmi.read_ccp4_map(str(path))
    starts = [grid.header_i32(word) for word in (5, 6, 7)]  # of columns (z), rows (x) and sections (y)
    grid.setup(np.nan, gemmi.MapSetup.ReorderOnly)
    theirs = np.array(grid.grid, copy=False)  # axes (x, y, z)
    assert starts == [0, -21, -12]
    np.testing.assert_array_equal(ours, theirs.transpose(2, 1, 0))


def test_stack_volumes_one_by_one(tmp_path, volume):
    stack = np.stack([volume, 2 * volume, 3 * volume])
    write_mrc(tmp_path / "s.mrcs", stack, 2.0)
    header = read_mrc_header(tmp_path / "s.mrcs")
    assert (header.shape, header.count) == ((4, 5, 6), 3)
    np.testing.assert_array_equal(read_mrc(tmp_path / "s.mrcs", 2), stack[2])
    with pytest.raises(InputError, match="stack of 3"):
        read_mrc(tmp_path / "s.mrcs")
    with pytest.raises(InputError, match="volume 1 to 3 of the stack, got 4"):
        read_mrc(tmp_path / "s.mrcs", 3)


def test_cubes_in_an_mrcs_without_space_group_are_a_stack(tmp_path):
    with mrcfile.new(tmp_path / "s.mrcs") as file:
        file.set_data(np.arange(3 * 4**3, dtype=np.float32).reshape(12, 4, 4))
    assert read_mrc_header(tmp_path / "s.mrcs").count == 3
    assert read_mrc(tmp_path / "s.mrcs", 1)[0, 0, 0] == 64


@pytest.mark.parametrize(("size", "expected"), [(0.0, None), (1.0, 1.0), (float("nan"), None)])
def test_voxel_size_that_says_nothing(tmp_path, volume, size, expected):
    write_mrc(tmp_path / "a.mrc", volume, size)
    assert read_mrc_header(tmp_path / "a.mrc").voxel_size == expected


def test_odd_box_with_empty_axis_map_and_cell(shared_data):
    path = shared_data / "maps" / "ribosome70s_65vox_5A.mrc"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no map stamp in this file
        with mrcfile.open(path, permissive=True) as file:
            np.testing.assert_array_equal(read_mrc(path), file.data)
    assert read_mrc_header(path).voxel_size is None


def test_gzipped_map_agrees_with_mrcfile(shared_data):
    path = shared_data / "maps" / "emd_3420_10.48A.mrc.gz"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # no map stamp in this file
        with mrcfile.open(path, permissive=True) as file:
            np.testing.assert_array_equal(read_mrc(path), file.data)
    assert read_mrc_header(path).voxel_size == 10.48


class TestFilesThatLie:
    """None of these may ask for memory by what the header promises, or raise anything but one sentence."""

    @pytest.fixture
    def path(self, tmp_path, volume):
        write_mrc(tmp_path / "a.mrc", volume, 2.5)
        return tmp_path / "a.mrc"

    def _patch(self, path, offset, layout, *values):
        raw = bytearray(path.read_bytes())
        struct.pack_into(layout, raw, offset, *values)
        path.write_bytes(raw)

    @pytest.mark.parametrize("read", [read_mrc, read_mrc_header])
    @pytest.mark.parametrize("keep", [0, 500, 1024, 1100, -1])
    def test_truncated(self, path, read, keep):
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(InputError, match=r"a\.mrc: (truncated|expected an MRC file of at least)"):
            read(path)

    @pytest.mark.parametrize("size", [(2**19, 2**19, 2**19), (2**31 - 1, 2**31 - 1, 2**31 - 1)])
    def test_promise_of_exabytes(self, path, size):
        self._patch(path, 0, "<3i", *size)
        with pytest.raises(InputError, match=r"header promises|not an MRC"):
            read_mrc(path)

    def test_promise_of_exabytes_inside_gzip(self, path, tmp_path):
        self._patch(path, 0, "<3i", 2**15, 2**15, 2**15)
        (tmp_path / "a.mrc.gz").write_bytes(gzip.compress(path.read_bytes()))
        with pytest.raises(InputError, match="header promises"):
            read_mrc(tmp_path / "a.mrc.gz")

    @pytest.mark.parametrize(
        ("offset", "layout", "values", "message"),
        [
            (0, "<4i", (0, 5, 4, 2), "not an MRC"),
            (0, "<3i", (6, -5, 4), "damaged MRC header"),
            (12, "<i", (4,), "mode 4"),
            (12, "<i", (77777,), "not an MRC"),
            (64, "<3i", (1, 1, 3), "permutation"),
            (92, "<i", (-8,), "damaged MRC header"),
            (92, "<i", (2**30,), "truncated"),
        ],
    )
    def test_nonsense_in_the_header(self, path, offset, layout, values, message):
        self._patch(path, offset, layout, *values)
        with pytest.raises(InputError, match=message):
            read_mrc(path)

    def test_random_bytes(self, path):
        generator = np.random.default_rng(5)
        for _ in range(200):
            path.write_bytes(generator.bytes(2000))
            with pytest.raises(InputError):
                read_mrc(path)

    def test_missing_file_folder_and_broken_gzip(self, tmp_path):
        with pytest.raises(InputError, match="no such file"):
            read_mrc(tmp_path / "none.mrc")
        (tmp_path / "folder.mrc").mkdir()
        with pytest.raises(InputError, match="cannot be read"):
            read_mrc(tmp_path / "folder.mrc")
        (tmp_path / "b.mrc.gz").write_bytes(b"no gzip at all")
        with pytest.raises(InputError, match="gzip"):
            read_mrc(tmp_path / "b.mrc.gz")

    def test_truncated_gzip(self, path, tmp_path):
        packed = gzip.compress(path.read_bytes())
        (tmp_path / "a.mrc.gz").write_bytes(packed[:-200])
        with pytest.raises(InputError, match="truncated"):
            read_mrc(tmp_path / "a.mrc.gz")


def test_the_first_label_names_program_and_version_and_the_second_what_was_done(tmp_path, volume):
    write_mrc(tmp_path / "a.mrc", volume, 2.5, label="flip µ" + "y" * 100)
    with mrcfile.open(tmp_path / "a.mrc") as file:
        assert [text.rstrip() for text in file.get_labels()] == [f"torchsag {torchsag.__version__}", "flip " + "y" * 75]
    write_mrc(tmp_path / "b.mrc", volume, 2.5)
    with mrcfile.open(tmp_path / "b.mrc") as file:
        assert [text.rstrip() for text in file.get_labels()] == [f"torchsag {torchsag.__version__}"]


def test_where_the_first_voxel_lies(tmp_path, volume):
    write_mrc(tmp_path / "a.mrc", volume, 2.5, origin=(-10.0, 2.5, 7.0))
    assert read_mrc_header(tmp_path / "a.mrc").origin == (-10.0, 2.5, 7.0)
    with mrcfile.open(tmp_path / "a.mrc", mode="r+") as file:
        assert file.header.origin.tolist() == (-10.0, 2.5, 7.0)
        file.header.origin = (0.0, 0.0, 0.0)
        file.nstart = (1, 2, 3)
    assert read_mrc_header(tmp_path / "a.mrc").origin == (2.5, 5.0, 7.5)


def test_starts_are_listed_by_stored_axis(shared_data):
    with mrcfile.open(shared_data / "maps/EMD-3001.map") as file:
        header = file.header
        starts = (header.nxstart, header.nystart, header.nzstart)
        stored = dict(zip(map(int, (header.mapc, header.mapr, header.maps)), map(int, starts), strict=True))
        counts = (header.mx, header.my, header.mz)
        sizes = [float(cell) / int(count) for cell, count in zip(header.cella.tolist(), counts, strict=True)]
    expected = [stored[axis] * size for axis, size in zip((1, 2, 3), sizes, strict=True)]
    assert any(expected)
    np.testing.assert_allclose(read_mrc_header(shared_data / "maps/EMD-3001.map").origin, expected, rtol=1e-5)
