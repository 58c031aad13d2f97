"""Tables say what the rows say, and come back from files as they were."""

import pytest

from torchsag.errors import InputError
from torchsag.evaluation.comparison_tables import Tables, summarise


def row(trial, method, particle, error, ccc=0.5):
    return {
        "trial": trial, "snr": 0.1, "method": method, "particle": f"p{particle}", "ccc": ccc, "cpu_seconds": 0.25,
        "evaluations": 10.0 * (particle + 1), "converged": particle > 0, "rotation_error_deg": error,
        "shift_error_angstrom": 2 * error,
    }  # fmt: skip


def rows(trial, method, errors):
    return [row(trial, method, particle, error, 0.5 - 0.01 * error) for particle, error in enumerate(errors)]


def tables():
    particles = [
        *rows("one", "good", [1.0, 2.0, 12.0]), *rows("one", "bad", [4.0, 6.0, 15.0]), *rows("two", "good", [3.0, 1.0])
    ]  # fmt: skip
    steps = [{"trial": "one", "snr": 0.1, "method": "good", "evaluations": 3.5, "mean_ccc": 0.4}]
    return Tables(particles, [summarise(particles[:3]), summarise(particles[3:6])], steps)


def test_summary():
    summary = tables().summary[0]
    assert summary["median_rotation_error_deg"] == 2.0
    assert summary["median_shift_error_angstrom"] == 4.0
    assert summary["within_10_deg"] == 2
    assert summary["mean_evaluations"] == 20.0
    assert summary["converged"] == 2
    assert summary["mean_ccc"] == pytest.approx(0.45)


def test_tests_pair_the_same_particles_within_a_trial():
    tests = tables().tests
    assert [(test["trial"], test["quantity"]) for test in tests] == [
        ("one", quantity) for quantity in ("ccc", "rotation_error_deg", "shift_error_angstrom")
    ]
    assert tests[1]["mean_difference"] == pytest.approx(-10 / 3)
    shuffled = Tables(list(reversed(tables().particles)))
    (turned,) = (test for test in shuffled.tests if test["quantity"] == "rotation_error_deg")
    assert turned["mean_difference"] == pytest.approx(10 / 3)
    assert turned["first"] == "bad"


def test_files_and_back(tmp_path):
    before = tables()
    before.write(tmp_path)
    after = Tables.read(tmp_path)
    assert after.summary == before.summary
    assert after.convergence == before.convergence
    assert after.tests == before.tests
    assert (tmp_path / "paired_tests.csv").read_text().startswith("trial,quantity,first,second")


def test_missing_tables(tmp_path):
    with pytest.raises(InputError, match="expected the tables of a finished comparison"):
        Tables.read(tmp_path)
