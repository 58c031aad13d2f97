"""What a run has learnt of its reference and of the noise, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchsag.report.wording import digits

_NOTHING = 0.05  # of the strength at which a shell counts as not shown


def reference_words(metrics: Mapping[str, Any]) -> str:
    """How far expected errors take into account what the reference lacks; empty where the method does not say."""
    learnt = metrics.get("learnt")
    if not learnt:
        return ""
    finest = f"{digits(learnt['finest_angstrom'])} Å"
    if learnt["taken_at_its_word"]:
        words = f"The particles show the reference as it is, out to {finest}, and it is taken at its word."
    else:
        strength = learnt["amplitude_by_shell"]
        shown = [value for value in strength if value > _NOTHING]
        span = f"{digits(min(shown))} to {digits(max(shown))} times as strong as it is" if shown else "nowhere"
        words = (
            f"They count what this reference lacks or has too much: the particles show it {span}, shell by shell, and "
            f"nothing finer than {finest} counts. With the exact map errors would be no larger; how small, only that "
            "map could tell."
        )
    if learnt["surroundings_left_out"]:
        words += " What does not stand out from its background no particle shows; it is left out."
    if learnt["variances_times"] != 1 or not learnt["noise_is_even"]:
        even = "even" if learnt["noise_is_even"] else "uneven"
        words += (
            f" The noise is {even} within Fourier shells, and squares of expected errors are "
            f"{digits(learnt['variances_times'])} times those of independent noise."
        )
    return words
