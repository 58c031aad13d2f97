"""The page of an averaging run, from the files that the run left."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.io import read_map, write_text
from torchsag.report.bookkeeping import bookkeeping_section
from torchsag.report.chart import Axis, Chart, Line
from torchsag.report.curves import fsc_chart
from torchsag.report.distributions import distribution_section
from torchsag.report.expected_errors import expected_errors_section
from torchsag.report.local import coloured_surface, local_section
from torchsag.report.maps import map_section
from torchsag.report.next_steps import next_section
from torchsag.report.page import Picture, Section, render, verdict_headline
from torchsag.report.particles import numbers, particle_section, views_section
from torchsag.report.pictures import map_views
from torchsag.report.resolution import angstrom, resolution_section
from torchsag.report.run_files import density_if_kept, read_fsc, read_run
from torchsag.report.running import rows_of, so_far, write_running
from torchsag.report.svg_chart import panels
from torchsag.report.wording import digits
from torchsag.runs.central_slices import orthogonal_slices
from torchsag.runs.job import Moment

_SHOWN_ITERATIONS = 4
_TABLE = ("resolution_0.143_angstrom", "resolution_0.5_angstrom", "median_change_deg")
_NEXT = (
    "Compare half1.mrc with half2.mrc in a map viewer: what only one of them shows is noise.",
    "Does one structure explain all particles? Run torchsag classify with poses.star as particles.",
)


@dataclass(frozen=True)
class AveragePage:
    """Map, FSC, local resolution, progress, orientations, scores and uncertainty.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Average"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json``, ``fsc.csv``, ``slices.npz`` and maps in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        metrics, slices = read_run(folder, "average")
        curves = read_fsc(folder, "average")
        voxel_size = float(metrics["voxel_size_angstrom"])
        final = {"the map": slices["final"]}
        sections = [
            map_section(
                "The map",
                {"the map": density_if_kept(folder, "average.mrc")},
                final,
                voxel_size,
                coloured=coloured_surface(folder),
            ),
            resolution_section(metrics, curves),
            next_section(metrics, _NEXT),
            local_section(
                slices["local resolution"],
                slices.get("locally filtered"),
                density_if_kept(folder, "mask.mrc"),
                voxel_size,
            ),
            views_section(metrics, metrics["symmetry"]),
            _progress(metrics),
            _iterations(slices, voxel_size),
            _scores(metrics),
            expected_errors_section(metrics, ", under an exact reference"),
            particle_section(metrics),
            bookkeeping_section(metrics),
        ]
        write_text(folder / "report.html", render(self.title, verdict_headline(metrics, _result(metrics)), sections))

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write the page of a run that goes on, with the maps of its last iteration."""
        write_running(folder, self.title, moment, due, _sections_so_far(folder, moment))


def _sections_so_far(folder: Path, moment: Moment) -> list[Section | None]:
    """Map, curve and progress of the last iteration."""
    rows = [{**dict.fromkeys(_TABLE), **row} for row in rows_of(moment, "iteration")]
    if not rows:
        return []
    last = folder / "iterations" / f"{int(rows[-1]['iteration']):03d}"
    halves = [read_map(last / f"half{half}.mrc") for half in (1, 2)]
    whole, voxel_size = halves[0].density + halves[1].density, halves[0].voxel_size
    slices = {"both halves": orthogonal_slices(whole)}
    crossings = {threshold: rows[-1][f"resolution_{threshold}_angstrom"] for threshold in (0.143, 0.5)}
    said = ", ".join(f"{angstrom(found, 2 * voxel_size)} at {level}" for level, found in crossings.items())
    chart = fsc_chart(read_fsc(folder, "average", f"{last.relative_to(folder)}/fsc.csv"), voxel_size, crossings)
    number = f"iteration {int(rows[-1]['iteration'])}"
    return [
        map_section(f"The map after {number}", {"map": whole.numpy()}, slices, voxel_size, turns=False),
        so_far(f"Resolution after {number}", [chart], f"Fourier shell correlation over resolution: {said}", f"{said}."),
        so_far("Progress", _progress_charts(rows), f"Resolution and change of poses over {len(rows)} iterations")
        if len(rows) > 1
        else None,
    ]


def _result(metrics: Mapping[str, Any]) -> str:
    summary = metrics["summary"]
    resolution = summary["resolution_0.143_angstrom"]
    reached = "no resolution" if resolution is None else f"{digits(resolution)} Å at FSC 0.143"
    return f"{summary['particles'] - summary['set_aside']} particles, {reached}"


def _iterations(slices: dict[str, np.ndarray], voxel_size: float) -> Section | None:
    names = [name for name in slices if name.startswith("iteration ")]
    picked = sorted({round(i) for i in np.linspace(0, len(names) - 1, min(_SHOWN_ITERATIONS, len(names)))})
    if not names:
        return None
    width = slices["final"].shape[-1] * voxel_size
    views = {names[i]: (slices[names[i]], width) for i in picked}
    alt = f"Central slices of the sum of both half-maps after {len(views)} iterations"
    return Section("The map by iteration", "Sum of both half-maps, unfiltered.", [Picture(map_views(views, alt))])


def _progress(metrics: Mapping[str, Any]) -> Section:
    table = metrics["iterations"]
    best = metrics["summary"].get("best_iteration")
    text = "" if best is None else f"Iteration {best} of {len(table)} was kept: the one whose half-maps agreed best."
    alt = f"Resolution and median change of poses over {len(table)} iterations"
    return Section("Progress", text, [Picture(panels(_progress_charts(table), alt))])


def _progress_charts(table: Sequence[Mapping[str, Any]]) -> list[Chart]:
    number = [row["iteration"] for row in table]
    x = Axis("iteration", ticks=[(n, f"{n:g}") for n in number[:: 1 + len(number) // 12]])
    resolution = [
        Line(number, _column(table, f"resolution_{threshold}_angstrom"), f"FSC {threshold}", colour, marked=True)
        for colour, threshold in enumerate(("0.143", "0.5"))
    ]
    change = [math.nan if row["median_change_deg"] is None else max(row["median_change_deg"], 1e-3) for row in table]
    poses = [Line(number, change, "pose change", 0, marked=True)]
    if table[0].get("median_rotation_error_deg") is not None:
        errors = _column(table, "median_rotation_error_deg")
        poses.append(Line(number, errors, "error against truth", 3, marked=True))
    return [
        Chart(x, Axis("resolution (Å)"), lines=resolution),
        Chart(x, Axis("median over the particles (°)", log=True), lines=poses),
    ]


def _column(table: Sequence[Mapping[str, Any]], name: str) -> list[float]:
    return [math.nan if row[name] is None else row[name] for row in table]


def _scores(metrics: Mapping[str, Any]) -> Section:
    half, score = np.array(metrics["particles"]["half"]), numbers(metrics, "score")
    scores = {f"correlation, half {number}": score[half == number] for number in (1, 2)}
    return distribution_section("Scores", scores, "Of each half against its own reference.")
