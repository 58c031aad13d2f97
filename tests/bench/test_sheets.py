import json

import numpy as np
import pytest

from torchsag.bench.measure import Measure, mean, resampled
from torchsag.bench.scoring import Score
from torchsag.bench.sheet import Sheet
from torchsag.bench.versus import compare
from torchsag.errors import InputError


def sheet(problem, name, errors):
    found = Sheet(name, {"program": name})
    measures = {"within_10_deg": Measure(0.5, 0.4, 0.6), "rms_shift_error_angstrom": Measure(None)}
    found.add(problem, Score(measures, {"rotation_error_deg": list(errors)}), 60.0)
    return found


def test_a_sheet_comes_back(tmp_path, aligned):
    given = sheet(aligned, "one", [1.0] * 29 + [None])
    given.write(tmp_path)
    found = Sheet.read(tmp_path)
    assert found == Sheet.read(tmp_path / "sheet.json") == given
    assert found.measure("align_easy", "cpu_seconds_per_particle") == Measure(2.0)
    text = (tmp_path / "sheet.md").read_text()
    assert "| within 10° | 50 % | 40 % to 60 % |" in text
    assert "| shift error, rms of those within 10° (Å) | none |  |" in text


@pytest.mark.parametrize("text", ["{}", "[1]", "no json", '{"name": "x", "about": {}, "tasks": {"a": 3}}'])
def test_what_is_no_sheet_is_refused(tmp_path, text):
    (tmp_path / "sheet.json").write_text(text)
    with pytest.raises(InputError, match=r"expected a sheet.json that torchsag bench wrote"):
        Sheet.read(tmp_path)


def test_another_edition_is_refused(tmp_path, aligned):
    sheet(aligned, "one", [1.0] * 30).write(tmp_path)
    record = json.loads((tmp_path / "sheet.json").read_text())
    (tmp_path / "sheet.json").write_text(json.dumps({**record, "edition": 99}))
    with pytest.raises(InputError, match=r"edition 1 .*99"):
        Sheet.read(tmp_path)


def test_only_particles_that_differ_count(aligned):
    """Nine against one: the exact test is the binomial's, 2 * 11 / 1024."""
    one = np.array([1.0] * 20 + [50.0] * 10)
    other = one.copy()
    other[:9], other[-1] = 50.0, 1.0
    (right, errors) = compare(sheet(aligned, "one", one), sheet(aligned, "other", other))
    assert (right.first, right.second) == (9, 1)
    assert right.p == pytest.approx(2 * 11 / 1024)
    assert right.difference == pytest.approx(8 / 30)
    assert right.low < 8 / 30 < right.high
    assert right.low > 0
    assert errors.p < right.p < 2 * errors.p == pytest.approx(errors.p_holm) == pytest.approx(right.p_holm)


def test_a_sheet_against_itself_differs_in_nothing(aligned):
    one = sheet(aligned, "one", np.linspace(0.5, 30, 30))
    assert {row.p for row in compare(one, one)} == {1.0}
    assert {row.difference for row in compare(one, one)} == {0.0}


def test_unlisted_particles_are_failures_and_have_no_error(aligned):
    errors = [1.0] * 28 + [None] * 2
    right, median = compare(sheet(aligned, "one", errors), sheet(aligned, "other", [1.0] * 30))
    assert (right.first, right.second) == (0, 2)
    assert median.difference == 0


def test_sheets_of_other_data_are_not_compared(aligned, averaged):
    one, other = sheet(aligned, "one", [1.0] * 30), sheet(averaged, "other", [1.0] * 30)
    with pytest.raises(InputError, match="expected a task that both have"):
        compare(one, other)
    other.tasks = {"align_easy": other.tasks["average_easy"]}
    with pytest.raises(InputError, match="different recipes"):
        compare(one, other)


def test_the_bootstrap_of_a_mean_is_about_students():
    values = np.random.default_rng(0).normal(size=200)
    expected, found = mean(values), resampled(lambda rows: float(values[rows].mean()), 200)
    assert found.value == expected.value
    assert found.low == pytest.approx(expected.low, abs=0.03)
    assert found.high == pytest.approx(expected.high, abs=0.03)
