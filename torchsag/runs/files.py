"""Tables and curves that several commands write."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jaxtyping import Float
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.runs.fsc_picture import CURVES


def write_fsc(path: Path, fsc: HalfMapFSC, others: Mapping[str, Float[Tensor, " shells"]] | None = None) -> None:
    """One row per shell; `others` are further curves, such as that of half-maps at true poses."""
    curves = {name: getattr(fsc, name).tolist() for name in CURVES}
    curves |= {name: curve.tolist() for name, curve in (others or {}).items()}
    resolutions = fsc.shell_resolutions().tolist()
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["shell", "resolution_angstrom", *curves])
        for shell, resolution in enumerate(resolutions):
            values = [f"{curve[shell]:.5f}" for curve in curves.values()]
            writer.writerow([shell, f"{resolution:.4f}" if math.isfinite(resolution) else "inf", *values])


def write_fsc_xml(path: Path, fsc: HalfMapFSC, curve: str = "corrected") -> None:
    """One curve over spatial frequency as EMDB takes it in a deposition (``fsc`` with ``coordinate``: ``x``, ``y``)."""
    root = ElementTree.Element(
        "fsc", title=f"torchsag FSC ({curve})", xaxis="Resolution (A-1)", yaxis="Correlation Coefficient"
    )
    for shell, value in enumerate(getattr(fsc, curve).tolist()):
        point = ElementTree.SubElement(root, "coordinate")
        ElementTree.SubElement(point, "x").text = f"{shell / (max(fsc.box) * fsc.voxel_size):.6f}"
        ElementTree.SubElement(point, "y").text = f"{value:.6f}"
    ElementTree.indent(root)
    ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The table of iterations."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        for row in rows:
            writer.writerow({k: f"{v:.4f}" if isinstance(v, float) else v for k, v in row.items()})
