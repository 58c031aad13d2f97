"""A comparison's sentence claims no more than its paired tests."""

import numpy as np
import pytest

from torchsag.evaluation.comparison_tables import Tables
from torchsag.report.comparison_headline import headline


def tables(errors):
    """Of errors in degrees by trial and method."""
    found = Tables()
    for trial, methods in errors.items():
        for method, values in methods.items():
            found.particles += [
                {
                    "trial": trial, "method": method, "particle": str(number),
                    "ccc": 1 - value / 90, "rotation_error_deg": value, "shift_error_angstrom": value,
                }
                for number, value in enumerate(values)
            ]  # fmt: skip
            found.summary.append(
                {
                    "trial": trial, "method": method, "median_rotation_error_deg": float(np.median(values)),
                    "mean_ccc": float(1 - np.mean(values) / 90), "bound_rotation_deg": 0.5,
                }
            )  # fmt: skip
    return found


BASE = np.random.default_rng(0).uniform(1, 3, 20)
CLEAR = {"near": BASE, "far": BASE + 1}
CHANCE = {"near": BASE, "far": BASE + np.resize([0.02, -0.01], 20), "farther": BASE + 1}


@pytest.mark.parametrize(
    ("errors", "sentence"),
    [
        ({"one": CLEAR}, "near errs least."),
        ({"one": CLEAR, "two": CLEAR}, "near errs least in both trials."),
        ({"one": CHANCE}, "near errs least, but not beyond chance."),
        (
            {"one": CLEAR, "two": CHANCE, "three": CLEAR},
            "near errs least in all 3 trials, but not everywhere beyond chance.",
        ),
        ({"one": CLEAR, "two": {"near": BASE + 1, "far": BASE}}, "No method errs least everywhere."),
        ({"one": {"alone": BASE}}, "alone errs least."),
    ],
)  # fmt: skip
def test_the_sentence_follows_from_the_paired_tests(errors, sentence):
    found = tables(errors)
    assert headline(found.summary, found.tests, known=True).sentence == sentence


def test_whom_the_best_cannot_be_told_from_is_named():
    found = tables({"SNR 0.1": CHANCE, "SNR 0.3": CLEAR})
    lines = headline(found.summary, found.tests, known=True).findings
    median = f"{np.median(BASE):.2f}"
    assert (
        lines[0]
        == f"SNR 0.1: near, {median}° in the median (Cramer-Rao bound: 0.500° root mean square); far may be as good."
    )
    assert "may be" not in lines[1]


def test_the_median_alone_does_not_win_against_the_ranks():
    """Nine particles in ten are worse by a little, the median one is better by a lot."""
    worse = np.sort(BASE) + 0.1
    worse[9:11] -= 0.5
    found = tables({"one": {"near": worse, "far": np.sort(BASE)}})
    assert headline(found.summary, found.tests, known=True).sentence == "near errs least, but not beyond chance."


def test_without_a_truth_it_is_the_correlation():
    found = tables({"one": CLEAR})
    said = headline(found.summary, found.tests, known=False)
    assert said.sentence == "near correlates best. No true poses are known."
    assert "correlation" in said.findings[0]
