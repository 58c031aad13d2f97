"""The page of an alignment, from the files that the run left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.io import write_text
from torchsag.report.bookkeeping import bookkeeping_section
from torchsag.report.distributions import distribution_section
from torchsag.report.expected_errors import expected_errors_section
from torchsag.report.maps import map_section
from torchsag.report.next_steps import next_section
from torchsag.report.page import Picture, Section, render, verdict_headline
from torchsag.report.particles import numbers, particle_section, set_aside_section, views_section
from torchsag.report.pictures import image_pairs
from torchsag.report.run_files import density_if_kept, read_run
from torchsag.report.running import labelled, so_far, steps_chart, write_running
from torchsag.report.wording import digits
from torchsag.runs.job import Moment

_NEXT = (
    "The average resembles the reference whatever the particles are. For a resolution, run torchsag average with "
    "poses.star as particles: its halves never share a reference.",
    "Look through the particles below: does each resemble what the reference predicts for it?",
)


@dataclass(frozen=True)
class AlignmentPage:
    """Maps, scores, shifts, orientations and, with true poses, errors.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Alignment"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json`` and ``slices.npz`` in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        metrics, slices = read_run(folder, "alignment")
        average, voxel_size = {"average": slices["average"]}, float(metrics["voxel_size_angstrom"])
        density = {"average": density_if_kept(folder, "average.mrc")}
        table = metrics["particles"]
        sections = [
            map_section("The average", density, average, voxel_size),
            _fit(metrics),
            next_section(metrics, _NEXT),
            replace(map_section("The reference", {}, {"reference": slices["reference"]}, voxel_size), place="body"),
            _particles(slices),
            views_section(metrics, metrics["symmetry"]),
            _errors(metrics),
            expected_errors_section(metrics),
            particle_section(metrics),
            set_aside_section(table["name"], table["fault"]),
            bookkeeping_section(metrics),
        ]
        write_text(folder / "report.html", render(self.title, verdict_headline(metrics, _result(metrics)), sections))

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write the page of a run that goes on."""
        chunks = labelled(moment, "chunk")
        if not chunks:
            return write_running(folder, self.title, moment, due, [])
        charts = [
            steps_chart(chunks, "median_score", "particles aligned", "correlation, median of each chunk"),
            steps_chart(chunks, "median_cpu_seconds", "particles aligned", "CPU seconds per particle"),
        ]
        aside = int(sum(entry.numbers.get("set_aside", 0) for entry in chunks[""]))
        text = f"{aside} particles were set aside so far." if aside else ""
        alt = "Median correlation and CPU time of each chunk of particles so far"
        return write_running(folder, self.title, moment, due, [so_far("Particles so far", charts, alt, text)])


def _result(metrics: Mapping[str, Any]) -> str:
    summary = metrics["summary"]
    aligned = f"{summary['aligned']} of {len(metrics['particles']['name'])} particles aligned"
    error = summary.get("median_rotation_error_deg")
    if error is None:
        return aligned
    return f"{aligned}, {digits(error)}° from their true orientations in the median"


def _fit(metrics: Mapping[str, Any]) -> Section:
    quantities = {"correlation": numbers(metrics, "score"), "shift (Å)": numbers(metrics, "shift_angstrom")}
    text = (
        "One hump is normal, two are two kinds of particles; shifts piled up at their limit: the search was too small."
    )
    several = np.isfinite(quantities["correlation"]).sum() > 1
    return distribution_section("How well particles fit", quantities, text if several else "", place="first")


def _particles(slices: dict[str, np.ndarray]) -> Section:
    names = [str(name) for name in slices["names"]]
    alt = f"Central slices of {len(names)} particles above what the reference predicts for each"
    caption = (
        "Above: central slices of particles, low-passed. Below: the reference at the pose found, seen through the "
        "particle's own missing wedge or weight."
    )
    picture = Picture(image_pairs(slices["particles"], slices["expected"], names, alt), caption)
    return Section("Particles and what the reference predicts for them", pictures=[picture])


def _errors(metrics: Mapping[str, Any]) -> Section | None:
    if "rotation_error_deg" not in metrics["particles"]:
        return None
    errors = {
        "rotation error (°)": numbers(metrics, "rotation_error_deg"),
        "shift error (Å)": numbers(metrics, "shift_error_angstrom"),
    }
    return distribution_section("Errors against the true poses", errors, "Symmetry is divided out.")
