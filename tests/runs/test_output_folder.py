import errno
import os

import pytest

from torchsag.errors import InputError
from torchsag.runs.output_folder import claim, publish, require_room


def test_files_appear_together_and_replace_older_ones(tmp_path):
    (tmp_path / "a").write_text("old")
    with publish(tmp_path) as staging:
        (staging / "a").write_text("new")
        (staging / "sub").mkdir()
        (staging / "sub" / "b").write_text("b")
        assert (tmp_path / "a").read_text() == "old"
    assert (tmp_path / "a").read_text() == "new"
    assert (tmp_path / "sub" / "b").read_text() == "b"
    assert {path.name for path in tmp_path.iterdir()} == {"a", "sub"}


def test_a_failure_changes_nothing(tmp_path):
    (tmp_path / "a").write_text("old")

    def fail():
        with publish(tmp_path) as staging:
            (staging / "a").write_text("new")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("a", "old")]


def test_claim_makes_the_folder_and_clears_what_a_killed_run_left(tmp_path):
    out = tmp_path / "x" / "y"
    (out / ".staging").mkdir(parents=True)
    (out / ".staging" / "half").write_text("")
    with claim(out):
        assert list(out.iterdir()) == []
        with pytest.raises(InputError, match="another run is writing there"), claim(out):
            pass
    with claim(out):
        pass


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(InputError, match=r"out=.*out: expected a folder that can be written"), claim(tmp_path / "out"):
        pass


def test_runs_that_work_together_share_the_folder_and_keep_others_out(tmp_path):
    def enter(together):
        with claim(tmp_path, together):
            pass

    with claim(tmp_path, together=True):
        enter(together=True)
        with pytest.raises(InputError, match="another run is writing there"):
            enter(together=False)
    with claim(tmp_path), pytest.raises(InputError, match="another run is writing there"):
        enter(together=True)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_one_sentence_that_says_what_to_do(tmp_path, number):
    def fill():
        with claim(tmp_path), publish(tmp_path) as staging:
            (staging / "half").write_text("half")
            raise OSError(number, os.strerror(number))

    with pytest.raises(InputError, match=r"cannot be written.*free some space and repeat the command"):
        fill()
    assert list(tmp_path.iterdir()) == []


def test_other_defects_are_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(FileNotFoundError), claim(tmp_path):
        raise FileNotFoundError("x")


def test_too_little_room_is_said_before_the_work(tmp_path):
    require_room(tmp_path, 1)
    with pytest.raises(InputError, match=r"expected 1000000000000 MB of free disk space"):
        require_room(tmp_path, 10**18)
