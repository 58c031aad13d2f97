"""How far poses are expected to be off, as a page shows it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from torchsag.report.distributions import distribution_section
from torchsag.report.learnt import reference_words
from torchsag.report.page import Section
from torchsag.report.particles import believed, numbers


def expected_errors_section(metrics: Mapping[str, Any], condition: str = "") -> Section | None:
    """Distributions over the particles; None where the verdict says that they mean nothing, or there are none.

    `condition` ends the sentence that says where they come from: what they take for granted.
    """
    if not believed(metrics) or not np.isfinite(numbers(metrics, "rotation_sigma_deg")).any():
        return None
    expected = {
        "expected rotation error (°)": numbers(metrics, "rotation_sigma_deg"),
        "expected shift error (Å)": numbers(metrics, "shift_sigma_angstrom"),
    }
    text = f"From each particle's own pose covariance (root of its trace){condition}. {reference_words(metrics)}"
    return distribution_section("Expected errors", expected, text.strip())
