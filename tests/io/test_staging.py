"""Particle files are read from a copy on a disk of this host."""

import errno
import os
import shutil

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io import StagedReader, write_map
from torchsag.io.volumes import read_volume
from torchsag.particles import DensityMap, VolumeSource


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "shared" / "p.mrc"
    write_map(path, DensityMap(torch.arange(64.0).reshape(4, 4, 4), 5.0))
    return VolumeSource(path)


def test_the_second_reading_is_of_the_copy(source, tmp_path):
    opened = []
    staged = StagedReader(lambda given: (opened.append(given.path), read_volume(given))[1], tmp_path / "local")
    for _ in range(2):
        assert torch.equal(staged(source), read_volume(source))
    private = tmp_path / "local" / f"torchsag-{os.geteuid()}"
    assert [path.parent for path in opened] == [private] * 2
    assert len(os.listdir(private)) == 1
    assert private.stat().st_mode & 0o077 == 0


def test_a_folder_that_others_prepared_is_not_used(source, tmp_path, caplog):
    elsewhere, private = tmp_path / "elsewhere", tmp_path / "local" / f"torchsag-{os.geteuid()}"
    elsewhere.mkdir()
    private.parent.mkdir()
    private.symlink_to(elsewhere)
    assert torch.equal(StagedReader(read_volume, tmp_path / "local")(source), read_volume(source))
    private.unlink()
    private.mkdir()
    private.chmod(0o777)
    assert torch.equal(StagedReader(read_volume, tmp_path / "local")(source), read_volume(source))
    assert not list(elsewhere.iterdir())
    assert not list(private.iterdir())
    assert caplog.text.count("expected a folder of your own") == 2


def test_a_changed_file_is_copied_again(source, tmp_path):
    staged = StagedReader(read_volume, tmp_path / "local")
    staged(source)
    write_map(source.path, DensityMap(torch.ones(4, 4, 4) + torch.eye(4), 5.0))
    assert torch.equal(staged(source), read_volume(source))


def test_without_room_the_original_is_read_and_it_is_said_once(source, tmp_path, monkeypatch, caplog):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(shutil, "copyfile", full)
    staged = StagedReader(read_volume, tmp_path / "local")
    for _ in range(2):
        assert torch.equal(staged(source), read_volume(source))
    assert caplog.text.count("No space left on device") == 1


def test_messages_name_the_original(source, tmp_path):
    source.path.write_bytes(b"nonsense")
    with pytest.raises(InputError, match=str(source.path)):
        StagedReader(read_volume, tmp_path / "local")(source)
