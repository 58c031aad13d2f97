"""EM files: agreement with emfile, and files that lie."""

import emfile
import numpy as np
import pytest

from torchsag.errors import InputError
from torchsag.io.em import read_em, read_em_header, write_em


@pytest.fixture
def volume():
    return np.random.default_rng(0).normal(size=(4, 5, 6)).astype(np.float32)


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "f4", "f8"])
def test_reads_what_emfile_writes(tmp_path, volume, dtype):
    values = (10 * volume).astype(dtype)
    emfile.write(str(tmp_path / "a.em"), values)
    np.testing.assert_array_equal(read_em(tmp_path / "a.em"), values.astype(np.float32))
    assert read_em_header(tmp_path / "a.em").shape == (4, 5, 6)
    assert read_em_header(tmp_path / "a.em").voxel_size is None


def test_emfile_reads_what_we_write(tmp_path, volume):
    write_em(tmp_path / "a.em", volume)
    _, back = emfile.read(str(tmp_path / "a.em"))
    np.testing.assert_array_equal(back, volume)


def test_motive_list_of_another_program(shared_data):
    path = shared_data / "metadata" / "motl" / "au_1.em"
    np.testing.assert_array_equal(read_em(path), emfile.read(str(path))[1])


def test_big_endian(tmp_path, volume):
    write_em(tmp_path / "a.em", volume)
    raw = (tmp_path / "a.em").read_bytes()
    head = bytes([5, 0, 0, 5]) + np.frombuffer(raw[4:16], "<i4").astype(">i4").tobytes() + raw[16:512]
    (tmp_path / "b.em").write_bytes(head + volume.astype(">f4").tobytes())
    np.testing.assert_array_equal(read_em(tmp_path / "b.em"), volume)


def test_files_that_lie(tmp_path, volume):
    path = tmp_path / "a.em"
    with pytest.raises(InputError, match="no such file"):
        read_em(path)
    write_em(path, volume)
    raw = path.read_bytes()
    for cut in (0, 511, 600, len(raw) - 1):
        path.write_bytes(raw[:cut])
        with pytest.raises(InputError, match=r"truncated|at least"):
            read_em(path)
    path.write_bytes(raw[:3] + b"\x08" + raw[4:])
    with pytest.raises(InputError, match="not an EM file"):
        read_em(path)
    path.write_bytes(raw[:4] + b"\xff\xff\xff\x7f" * 3 + raw[16:])
    with pytest.raises(InputError, match="header promises"):
        read_em(path)
