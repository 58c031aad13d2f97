"""A file appears complete or not at all."""

import os

import pytest

from torchsag.errors import InputError
from torchsag.io import atomic_path, write_text


def test_failure_leaves_the_earlier_file_and_no_rubbish(tmp_path):
    target = tmp_path / "out.txt"
    write_text(target, "first")

    def fail():
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert target.read_text() == "first"
    assert os.listdir(tmp_path) == ["out.txt"]


def test_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b" / "c.txt", "x")
    assert (tmp_path / "a" / "b" / "c.txt").read_text() == "x"


def test_unwritable_folder_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_text(tmp_path / "file" / "x.txt", "x")
