"""A few damaged files and kills in every run of the tests, thousands in the slow ones."""

import random

import mutations
import pytest
import silent
from damage import mutate
from whole_files import WholeFile, whole_files

from torchsag.errors import InputError


@pytest.mark.parametrize(
    ("count", "seed", "report"), [(280, 1, False), pytest.param(20_000, 2, True, marks=pytest.mark.slow)]
)
def test_damaged_files_are_refused_in_one_sentence_or_change_nothing_else(tmp_path, count, seed, report):
    found = mutations.run(tmp_path, count, seed, report)
    assert found["defects"] == []
    assert all(row.get("refused") or row.get("warned") for row in found["table"].values())


def test_the_campaign_would_see_a_traceback_and_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(mutations, "SECONDS", 1)
    path = tmp_path / "x"

    def broken(path):
        raise IndexError("list index out of range")

    def endless(path):
        while True:
            pass

    assert mutations.outcome(path, broken)[0] == "traceback"
    assert mutations.outcome(path, endless)[0] == "hang"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return whole_files(tmp_path_factory.mktemp("whole"), report=False)


@pytest.mark.parametrize("kind", ["csv", "relion", "dynamo", "pytom", "stopgap", "av3", "tilt particles", "peet"])
def test_the_campaign_would_see_a_reader_that_takes_one_row_for_another(files, kind):
    judge = mutations.Judge(kind, files[kind])
    found = silent.entries(judge.value)
    others = [one[0]["shifts"] for one in found.values()]
    swapped = {name: [{**one[0], "shifts": others[k - 1]}] for k, (name, one) in enumerate(found.items())}
    whole = silent.whole_names(judge.bytes, judge.chunks, files[kind].entries)
    assert silent.changed_entries(found, found, whole) == ""
    assert "has other shifts" in silent.changed_entries(found, swapped, whole)
    assert "is missing" in silent.changed_entries(found, {}, whole)


@pytest.mark.parametrize("kind", ["mrc", "em"])
def test_the_campaign_would_see_voxels_that_are_moved(files, kind):
    judge = mutations.Judge(kind, files[kind])
    flipped = bytearray(judge.bytes)
    flipped[-1] ^= 1
    other = judge.value.clone()
    other[-1, -1, -1] = 0.5
    assert judge.changed(bytes(flipped), other) == ""
    assert judge.changed(bytes(flipped), judge.value.roll(1, 0))
    assert judge.changed(judge.bytes + b"x", judge.value.roll(1, 2))


def test_the_campaign_would_see_atoms_and_settings_that_change(files):
    atoms = mutations.Judge("pdb", files["pdb"])
    moved = atoms.value.positions.clone()
    moved[3] += 1.0
    assert atoms.changed(atoms.bytes, atoms.value) == ""
    assert atoms.changed(atoms.bytes, type(atoms.value)(**{**vars(atoms.value), "positions": moved}))
    settings = mutations.Judge("yaml", files["yaml"])
    assert settings.changed(settings.bytes, settings.value) == ""
    assert "seed" in settings.changed(settings.bytes, {**settings.value, "seed": "8"})
    assert settings.changed(settings.bytes.replace(b"seed: 7", b"seed: 8"), {**settings.value, "seed": "8"}) == ""


def test_damage_is_the_same_for_the_same_seed():
    whole = bytes(range(256)) * 8
    assert mutate(whole, random.Random(3)) == mutate(whole, random.Random(3))
    assert mutate(whole, random.Random(3)) != whole


def test_the_campaign_refuses_to_judge_a_file_that_is_not_read(tmp_path):
    def refuses(path):
        raise InputError("x")

    (tmp_path / "x").write_text("x")
    with pytest.raises(RuntimeError, match="undamaged"):
        mutations.Judge("x", WholeFile(tmp_path / "x", refuses))


@pytest.mark.slow
def test_killed_commands_carry_on_to_the_same_results(tmp_path):
    import kills

    found = kills.run(tmp_path, 40, 3)
    assert found["defects"] == []


def test_a_campaign_in_pieces_goes_on_where_it_stopped(tmp_path, monkeypatch):
    import campaign

    begun = []

    def piece(folder, count, seed, first):
        begun.append((count, seed, first))
        table = {"x": {"operations": 7, "same": count}}
        return {"kills": count, "seed": seed, "peak_memory_mib": first, "table": table, "defects": [first]}

    monkeypatch.setattr(campaign, "CAMPAIGNS", {"kills": (piece, 20)})
    found = campaign.in_pieces("kills", 50, 3, tmp_path)
    table = {"x": {"operations": 7, "same": 50}}
    assert found == {"kills": 50, "seed": 3, "peak_memory_mib": 40, "table": table, "defects": [0, 20, 40]}
    assert begun == [(20, 3, 0), (20, 23, 20), (10, 43, 40)]
    (tmp_path / "kills-3-20.json").unlink()
    assert campaign.in_pieces("kills", 50, 3, tmp_path) == found
    assert begun[3:] == [(20, 23, 20)]
