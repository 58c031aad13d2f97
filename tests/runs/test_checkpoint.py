from dataclasses import dataclass, field

import numpy as np
import pytest

from torchsag.errors import InputError
from torchsag.runs.checkpoint import Checkpoint, describe

SETTINGS = {"method.factor": "1.0", "seed": "0"}
SIGNATURES = ["a", "b", "c", "d"]


def columns(rows):
    return {"scores": np.arange(rows.start, rows.stop) * 1.5, "fault": np.array(["", "x"])[: len(rows)]}


def test_chunks_come_back_as_they_were(tmp_path):
    checkpoint = Checkpoint.begin(tmp_path, SETTINGS, resume=True)
    for rows in (range(2), range(3, 4)):
        checkpoint.save(rows, SIGNATURES, columns(rows))
    again = Checkpoint.begin(tmp_path, SETTINGS, resume=True).finished(SIGNATURES)
    assert list(again) == [range(2), range(3, 4)]
    for rows, found in again.items():
        assert set(found) == {"scores", "fault"}
        for name, values in columns(rows).items():
            np.testing.assert_array_equal(found[name], values)


def test_chunks_of_changed_particles_are_forgotten(tmp_path):
    checkpoint = Checkpoint.begin(tmp_path, SETTINGS, resume=True)
    for rows in (range(2), range(2, 4)):
        checkpoint.save(rows, SIGNATURES, columns(rows))
    assert list(checkpoint.finished(["a", "B", "c", "d"])) == [range(2, 4)]
    assert list(checkpoint.finished(["a", "b", "c"])) == []


def test_a_half_written_chunk_does_not_count(tmp_path):
    checkpoint = Checkpoint.begin(tmp_path, SETTINGS, resume=True)
    (checkpoint.folder / "chunk-000000000-000000002.tmp").write_bytes(b"half")
    assert checkpoint.finished(SIGNATURES) == {}


def test_other_settings_are_refused_and_named(tmp_path):
    Checkpoint.begin(tmp_path, SETTINGS, resume=True).save(range(2), SIGNATURES, columns(range(2)))
    other = {**SETTINGS, "seed": "1", "symmetry": "D7"}
    with pytest.raises(InputError, match=r"seed: 0 then, 1 now; symmetry: unset then, D7 now.*resume=false"):
        Checkpoint.begin(tmp_path, other, resume=True)
    assert Checkpoint.begin(tmp_path, SETTINGS, resume=True).finished(SIGNATURES)
    assert Checkpoint.begin(tmp_path, other, resume=False).finished(SIGNATURES) == {}


def test_many_differences_are_counted(tmp_path):
    Checkpoint.begin(tmp_path, dict.fromkeys("abcde", "1"), resume=True)
    with pytest.raises(InputError, match="and 2 more"):
        Checkpoint.begin(tmp_path, dict.fromkeys("abcde", "2"), resume=True)


def test_remove_leaves_nothing(tmp_path):
    Checkpoint.begin(tmp_path, SETTINGS, resume=True).remove()
    assert list(tmp_path.iterdir()) == []


@dataclass(frozen=True)
class Inner:
    rate: float = 0.5


@dataclass(frozen=True)
class Outer:
    inner: Inner = field(default_factory=Inner)
    name: str = "n"


def test_describe_flattens_nested_components():
    assert describe(Outer()) == {"": "Outer", "inner": "Inner", "inner.rate": "0.5", "name": "'n'"}
    assert describe(Outer(Inner(0.25)))["inner.rate"] == "0.25"
