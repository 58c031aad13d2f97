import pytest

from torchsag.errors import InputError
from torchsag.workflows.output_folder import claim, publish


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
