"""A few damaged files and kills in every run of the tests, thousands in the slow ones."""

import logging

import mutations
import pytest


@pytest.fixture(autouse=True)
def _quiet():
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize(("count", "seed"), [(200, 1), pytest.param(20_000, 2, marks=pytest.mark.slow)])
def test_damaged_files_are_refused_in_one_sentence_or_read_as_sane_values(tmp_path, count, seed):
    found = mutations.run(tmp_path, count, seed)
    assert found["defects"] == []
    assert all(row.get("refused") for row in found["table"].values())


def test_the_campaign_would_see_a_defect_and_a_hang(tmp_path, monkeypatch):
    monkeypatch.setattr(mutations, "SECONDS", 1)
    path = tmp_path / "x"

    def broken(kind, path):
        raise IndexError("list index out of range")

    def endless(kind, path):
        while True:
            pass

    assert mutations.outcome("csv", path, broken)[0] == "defect"
    assert mutations.outcome("csv", path, endless)[0] == "hang"


@pytest.mark.slow
def test_killed_commands_carry_on_to_the_same_results(tmp_path):
    import kills

    found = kills.run(tmp_path, 40, 3)
    assert found["defects"] == []
