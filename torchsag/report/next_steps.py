"""What to do with a result, by what was found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torchsag.report.page import Section


def next_section(metrics: Mapping[str, Any], points: Sequence[str]) -> Section:
    """The command's own `points`, after what the verdict asks for first."""
    found = metrics.get("verdict", {}).get("findings", ())
    serious = sum(finding["severity"] != "note" for finding in found)
    first = []
    if serious:
        first.append("First settle what the verdict found: each finding above says what to do.")
    aside = metrics["summary"].get("set_aside", 0)
    if aside:
        count = "1 particle was" if aside == 1 else f"{aside} particles were"
        first.append(f"{count} set aside: the table of particles and set_aside.txt say why.")
    return Section("What to do next", points=[*first, *points], place="first")
