"""What a comparison of methods says in one sentence: which is best by the median, and whom it cannot be told from."""

from __future__ import annotations

from collections.abc import Sequence

from torchsag.evaluation.comparison_tables import Row
from torchsag.report.page import Headline
from torchsag.report.wording import digits, worded_list

_CHANCE = 0.05  # a difference of larger p, corrected for the number of pairs, may be chance


def headline(summary: Sequence[Row], tests: Sequence[Row], known: bool) -> Headline:
    """Which method came nearest to the truth, or correlates best where none is known, with a line for each trial.

    Parameters
    ----------
    summary, tests
        Rows of the tables of a comparison.
    known
        Whether true poses are.
    """
    best = {row["trial"]: row for row in sorted(summary, key=lambda row: _merit(row, known))}
    best = {trial: best[trial] for trial in dict.fromkeys(row["trial"] for row in summary)}
    rivals = {trial: _rivals(row, tests, known) for trial, row in best.items()}
    sentence = _sentence([row["method"] for row in best.values()], [bool(found) for found in rivals.values()], known)
    return Headline(sentence, findings=[_said(row, rivals[trial], known) for trial, row in best.items()])


def _merit(row: Row, known: bool) -> float:
    return -row["median_rotation_error_deg"] if known else row["mean_ccc"]


def _rivals(best: Row, tests: Sequence[Row], known: bool) -> list[str]:
    """Methods whose difference from the best may be chance, in its trial, or that come out ahead of it by ranks."""
    quantity, better = ("rotation_error_deg", -1) if known else ("ccc", 1)
    rivals = []
    for test in tests:
        pair = (test["first"], test["second"])
        if (test["trial"], test["quantity"]) != (best["trial"], quantity) or best["method"] not in pair:
            continue
        ahead = better * test["rank_biserial"] * (1 if pair[0] == best["method"] else -1)
        if test["wilcoxon_p_holm"] >= _CHANCE or ahead <= 0:
            rivals.append(pair[1] if pair[0] == best["method"] else pair[0])
    return rivals


def _sentence(winners: Sequence[str], undecided: Sequence[bool], known: bool) -> str:
    does = "errs least" if known else "correlates best"
    unknown = "" if known else " No true poses are known."
    if len(set(winners)) > 1:
        return f"No method {does} everywhere.{unknown}"
    where = {1: "", 2: " in both trials"}.get(len(winners), f" in all {len(winners)} trials")
    chance = ", but not everywhere beyond chance" if any(undecided) else ""
    if all(undecided):
        chance = ", but not beyond chance"
    return f"{winners[0]} {does}{where}{chance}.{unknown}"


def _said(row: Row, rivals: Sequence[str], known: bool) -> str:
    others = f"; {worded_list(rivals)} may be as good" if rivals else ""
    if not known:
        return f"{row['trial']}: {row['method']}, correlation {digits(row['mean_ccc'])}{others}."
    bound = row["bound_rotation_deg"]
    own = row.get("bound_with_reference_rotation_deg")
    with_this = f", with this reference {digits(own)}°" if own else ""
    limit = f" (Cramer-Rao bound: {digits(bound)}° root mean square{with_this})" if bound else ""
    return f"{row['trial']}: {row['method']}, {digits(row['median_rotation_error_deg'])}° in the median{limit}{others}."
