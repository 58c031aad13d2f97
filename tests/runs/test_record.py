"""Records come back whole or not at all, whatever happened to them."""

import json
import random

import numpy as np
import pytest

from torchsag.errors import InputError
from torchsag.runs.checkpoint import Checkpoint
from torchsag.runs.record import Unusable, read_record, write_record

TURN = np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]], np.float32)


def poses(count, rotation=TURN, shift=0.5):
    return {"rotations": np.stack([rotation] * count), "shifts": np.full((count, 3), shift, np.float32)}


def test_a_record_comes_back_as_it_was(tmp_path):
    columns = {"numbers": np.arange(5), "text": np.array(["a", "\u00e9"])}
    write_record(tmp_path / "x.npz", columns)
    found = read_record(tmp_path / "x.npz")
    assert list(found) == list(columns)
    for name, values in columns.items():
        np.testing.assert_array_equal(found[name], values)


def test_no_damage_is_read_as_numbers(tmp_path):
    path, chance = tmp_path / "x.npz", random.Random(0)
    write_record(path, poses(4))
    whole = path.read_bytes()
    for _ in range(150):
        damaged = bytearray(whole)
        kind = chance.randrange(4)
        place = chance.randrange(len(whole))
        if kind == 0:
            damaged[place] ^= 1 << chance.randrange(8)
        elif kind == 1:
            del damaged[place:]
        elif kind == 2:
            damaged[place:place] = chance.randbytes(9)
        else:
            damaged = bytearray(chance.randbytes(place))
        path.write_bytes(damaged)
        with pytest.raises(Unusable):
            read_record(path)


@pytest.mark.parametrize("what", ["folder", "link", "empty", "npz", "version"])
def test_what_is_no_record_of_this_version_is_said_to_be_none(tmp_path, monkeypatch, what):
    path = tmp_path / "x.npz"
    if what == "folder":
        path.mkdir()
    elif what == "link":
        path.symlink_to(tmp_path / "nowhere")
    elif what == "empty":
        path.touch()
    elif what == "npz":
        np.savez(path, a=np.arange(3))
    else:
        with monkeypatch.context() as patch:
            patch.setattr("torchsag.runs.record.VERSION", "0.0.1")
            write_record(path, poses(1))
    with pytest.raises(Unusable, match=r"0\.0\.1" if what == "version" else "is"):
        read_record(path)


@pytest.mark.parametrize(
    "columns",
    [
        poses(2, rotation=2 * TURN),
        poses(2, rotation=-TURN),
        poses(2, shift=np.nan),
        poses(2, rotation=np.full((3, 3), np.nan, np.float32)),
        poses(3),
        {"rotations": poses(2)["rotations"]},
    ],
)
def test_a_chunk_without_sane_poses_is_done_again(tmp_path, caplog, columns):
    checkpoint = Checkpoint.begin(tmp_path, {"a": "1"}, resume=True)
    checkpoint.save(range(2), ["x", "y", "z"], columns)
    checkpoint.save(range(2, 3), ["x", "y", "z"], poses(1))
    assert list(checkpoint.finished(["x", "y", "z"])) == [range(2, 3)]
    (line,) = caplog.messages
    assert "its particles are done again" in line


def test_a_particle_set_aside_needs_no_pose(tmp_path):
    checkpoint = Checkpoint.begin(tmp_path, {"a": "1"}, resume=True)
    checkpoint.save(range(1), ["x"], {**poses(1, shift=np.nan), "fault": np.array(["broken"])})
    assert list(checkpoint.finished(["x"])) == [range(1)]


def test_chunks_that_overlap_count_once(tmp_path):
    checkpoint = Checkpoint.begin(tmp_path, {"a": "1"}, resume=True)
    for rows in (range(2), range(1, 3)):
        checkpoint.save(rows, ["x", "y", "z"], poses(len(rows)))
    assert list(checkpoint.finished(["x", "y", "z"])) == [range(2)]


@pytest.mark.parametrize("text", ["", "[]", "{", '{"settings": 5}', "[" * 100_000, None])
def test_damaged_settings_start_the_run_over_and_say_so(tmp_path, caplog, text):
    checkpoint = Checkpoint.begin(tmp_path, {"a": "1"}, resume=True)
    checkpoint.save(range(1), ["x"], poses(1))
    record = checkpoint.folder / "settings.json"
    if text is None:
        text = json.dumps({**json.loads(record.read_text()), "settings": {"a": "2"}})
    record.write_text(text)
    assert Checkpoint.begin(tmp_path, {"a": "1"}, resume=True).finished(["x"]) == {}
    assert "done again" in caplog.text
    with pytest.raises(InputError, match="other settings"):
        Checkpoint.begin(tmp_path, {"a": "2"}, resume=True)


def test_a_linked_checkpoint_does_not_lose_what_it_points_to(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").touch()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / ".checkpoint").symlink_to(tmp_path / "precious")
    Checkpoint.begin(tmp_path / "out", {"a": "1"}, resume=False)
    assert (tmp_path / "precious" / "file").exists()
