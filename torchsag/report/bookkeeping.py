"""How a result came about, for whoever has to repeat it: last on a page, and folded."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torchsag.report.page import Section
from torchsag.report.wording import worded

_KEYS = (
    "command",
    "method",
    "control",
    "particle_list",
    "reference",
    "reference_mirrored",
    "symmetry",
    "common_symmetry",
    "voxel_size_angstrom",
    "device",
    "threads",
    "processes",
    "seed",
)


def bookkeeping_section(metrics: Mapping[str, Any]) -> Section:
    """Settings, all numbers of the summary, time by stage, versions."""
    rows = worded({name: metrics[name] for name in _KEYS if metrics.get(name) is not None})
    rows += worded({name: value for name, value in metrics["summary"].items() if not isinstance(value, (list, dict))})
    stages = metrics.get("stage_cpu_seconds", {})
    rows += worded({f"{name}_cpu_seconds": value for name, value in stages.items()})
    rows.append(("versions", ", ".join(f"{name} {v}" for name, v in metrics["versions"].items())))
    findings = metrics.get("verdict", {}).get("findings", ())
    for finding in findings:
        evidence = ", ".join(f"{label} {value}" for label, value in worded(finding["evidence"]))
        rows.append((f"finding {finding['code']}", evidence or finding["severity"]))
    return Section("How it was made", rows=rows, place="folded")
