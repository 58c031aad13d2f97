"""Judge, filter and sharpen half-maps that are there already: the work behind ``torchsag postprocess``."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from torchsag.averaging.mask import Mask, SphericalMask
from torchsag.errors import InputError
from torchsag.evaluation.half_map_fsc import compare_half_maps
from torchsag.geometry import Symmetry
from torchsag.io import read_map, write_map
from torchsag.particles import DensityMap
from torchsag.runs.files import write_fsc, write_fsc_xml
from torchsag.runs.fsc_picture import draw_fsc
from torchsag.runs.masked_comparison import MaskedComparison
from torchsag.runs.metrics import surroundings, write_metrics
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import claim, publish
from torchsag.runs.provenance import Provenance
from torchsag.verdict import Verdict
from torchsag.verdict.resolution import HalvesDisagree
from torchsag.workflows.average.final_maps import FinalMaps, HalfMaps, Known, final_maps

_LABELS = {
    "resolution_0.143_angstrom": "resolution, FSC 0.143 corrected (angstrom)",
    "resolution_0.5_angstrom": "resolution, FSC 0.5 corrected (angstrom)",
    "resolution_0.143_unmasked_angstrom": "resolution, FSC 0.143 unmasked (angstrom)",
    "median_local_resolution_angstrom": "local resolution, median inside the mask (angstrom)",
    "b_factor_angstrom2": "B-factor applied (square angstrom)",
}


@dataclass(frozen=True)
class Postprocess:
    """A pair of half-maps, without the run that made them.

    Attributes
    ----------
    half1, half2
        Files of the half-maps, unfiltered and unmasked.
    out
        Folder for the results.
    mask
        Makes the mask of the FSC.
    b_factor_angstrom2
        Negative sharpens; None estimates it by a Guinier plot, and applies none where the map is too coarse for that.
    voxel_size_angstrom
        Angstrom per voxel in place of what the files say; None believes them.
    strict
        Exit with 3 where the verdict is doubt or no; everything is written all the same.
    seed
        Of the random phases.
    report
        Makes ``report.html``; None for none.
    """

    half1: str
    half2: str
    out: str
    mask: Mask = field(default_factory=SphericalMask)
    b_factor_angstrom2: float | None = None
    voxel_size_angstrom: float | None = None
    strict: bool = False
    seed: int = 0
    report: Report | None = None

    def __post_init__(self):
        if self.b_factor_angstrom2 is not None and not math.isfinite(self.b_factor_angstrom2):
            raise InputError(f"b_factor_angstrom2: expected a finite number or null, got {self.b_factor_angstrom2}")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Compare the half-maps and write what they show.

        Raises
        ------
        InputError
            If the maps cannot be read, do not go together or are one map.
        """
        maps = self._read()
        # An outline may be drawn as finely as the maps agree without one.
        comparison = MaskedComparison(self.mask, compare_half_maps(*maps).resolution(), self.seed)
        out = Path(self.out)
        with claim(out, command=provenance.command):
            found = final_maps(comparison, maps, Known(), Symmetry("C1"), self.b_factor_angstrom2)
            verdict = Verdict.of([*found.judged(), HalvesDisagree()(found.fsc)])
            summary = {**found.summary(), "wall_seconds": provenance.seconds}
            metrics = {
                "verdict": verdict.record(),
                **surroundings(provenance, self.seed, torch.device("cpu"), 1),
                "half_maps": [self.half1, self.half2],
                "box": maps[0].box,
                "voxel_size_angstrom": maps[0].voxel_size,
                "summary": summary,
            }
            with publish(out) as staging:
                _write(staging, found, metrics)
                (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
                if self.report is not None:
                    self.report(staging)
        rows = tuple((label, f"{summary[name]:.2f}") for name, label in _LABELS.items())
        made = ("postprocessed.mrc", "locally_filtered.mrc", "local_resolution.mrc", "mask.mrc", "fsc.csv", "fsc.xml")
        notes = files_made(out, (*made, "metrics.json"))
        return Outcome("postprocess", ("", "value"), rows, notes, verdict=verdict, strict=self.strict)

    def _read(self) -> HalfMaps:
        first, second = (read_map(path, self.voxel_size_angstrom) for path in (self.half1, self.half2))
        if first.box == second.box and torch.equal(first.density, second.density):
            raise InputError(
                f"half2: expected the other half-map, got {self.half2}, which has the same voxels as half1="
                f"{self.half1}; a map agrees with itself at any resolution"
            )
        return first, second


def _write(folder: Path, found: FinalMaps, metrics: dict[str, Any]) -> None:
    write_map(folder / "postprocessed.mrc", found.final)
    write_map(folder / "locally_filtered.mrc", found.locally_filtered)
    write_map(folder / "local_resolution.mrc", found.local)
    write_map(folder / "mask.mrc", DensityMap(found.mask, found.whole.voxel_size))
    write_fsc(folder / "fsc.csv", found.fsc)
    draw_fsc(folder / "fsc.png", found.fsc)
    write_fsc_xml(folder / "fsc.xml", found.fsc)
    write_metrics(folder / "metrics.json", metrics)
