"""The page of a pair of half-maps, from the files that ``torchsag postprocess`` left."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.io import write_text
from torchsag.report.bookkeeping import bookkeeping_section
from torchsag.report.local import coloured_surface, local_section
from torchsag.report.maps import map_section
from torchsag.report.next_steps import next_section
from torchsag.report.page import render, verdict_headline
from torchsag.report.resolution import resolution_section
from torchsag.report.run_files import density_if_kept, read_fsc
from torchsag.report.wording import digits
from torchsag.runs.central_slices import orthogonal_slices

_NEXT = (
    "Look at locally_filtered.mrc where resolution varies, at postprocessed.mrc where it does not.",
    "Is the mask right? It should hold the particle with a soft edge, and no more: open mask.mrc over the map.",
    "For a deposition, fsc.xml is the corrected curve as EMDB takes it.",
)


@dataclass(frozen=True)
class PostprocessPage:
    """Map, FSC, local resolution and the map filtered by it.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Half-maps"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json``, ``fsc.csv`` and the maps in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        metrics = _read_metrics(folder)
        voxel_size = float(metrics["voxel_size_angstrom"])
        final = density_if_kept(folder, "postprocessed.mrc")
        sections = [
            map_section(
                "The map",
                {"the map": final},
                {"the map": _slices(folder, "postprocessed.mrc")},
                voxel_size,
                coloured=coloured_surface(folder),
            ),
            resolution_section(metrics, read_fsc(folder, "postprocess")),
            next_section(metrics, _NEXT),
            local_section(
                _slices(folder, "local_resolution.mrc"),
                _slices(folder, "locally_filtered.mrc"),
                density_if_kept(folder, "mask.mrc"),
                voxel_size,
            ),
            bookkeeping_section(metrics),
        ]
        write_text(folder / "report.html", render(self.title, verdict_headline(metrics, _result(metrics)), sections))


def _read_metrics(folder: Path) -> dict[str, Any]:
    try:
        return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{folder}: expected the files of torchsag postprocess, got: {error}") from error


def _slices(folder: Path, name: str) -> np.ndarray:
    density = density_if_kept(folder, name)  # of noise alone, a filtered map may be empty everywhere
    if density is None:
        raise InputError(f"{folder}: expected the files of torchsag postprocess, got no {name}")
    return orthogonal_slices(torch.from_numpy(density))


def _result(metrics: Mapping[str, Any]) -> str:
    resolution, b_factor = (metrics["summary"][name] for name in ("resolution_0.143_angstrom", "b_factor_angstrom2"))
    reached = "no resolution" if resolution is None else f"{digits(resolution)} Å at FSC 0.143"
    return f"{reached}, {f'B-factor {digits(b_factor)} Å²' if b_factor else 'not sharpened'}"
