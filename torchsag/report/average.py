"""The page of an averaging run, from the files that the run left."""

from __future__ import annotations

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.io import write_text
from torchsag.report.figures import blank, histograms, orthogonal_views, view_distribution
from torchsag.report.page import Section, render, verdict_section

_SHOWN_ITERATIONS = 6
_CURVES = ("unmasked", "masked", "randomised", "corrected")
_FURTHER = {
    "oracle": ("half-maps at the true poses", "k:"),
    "truth": ("average against the true structure", "-."),
    "oracle_truth": ("average at the true poses against the true structure", "k-."),
}


@dataclass(frozen=True)
class AveragePage:
    """Maps and resolution by iteration, FSC curves, orientations, scores and uncertainty.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Average"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json``, ``fsc.csv`` and ``slices.npz`` in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            with (folder / "fsc.csv").open(encoding="utf-8") as file:
                fsc = list(csv.DictReader(file))
            with np.load(folder / "slices.npz", allow_pickle=False) as archive:
                slices = dict(archive)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder}: expected the files of a finished average (metrics.json, fsc.csv, slices.npz), got: {error}"
            ) from error
        maps = [_maps(slices), _local(slices)]
        sections = [
            verdict_section(metrics),
            _run(metrics),
            _curves(fsc),
            *maps,
            _progress(metrics),
            *_particles(metrics),
        ]
        write_text(folder / "report.html", render(self.title, sections))


def _run(metrics: dict[str, Any]) -> Section:
    names = (
        "method",
        "particle_list",
        "reference",
        "control",
        "symmetry",
        "voxel_size_angstrom",
        "device",
        "threads",
        "seed",
    )
    rows = [(name.replace("_", " "), str(metrics.get(name))) for name in names]
    rows += [(k.replace("_", " "), str(v) if v is None else f"{v:.4g}") for k, v in metrics["summary"].items()]
    rows += [("versions", ", ".join(f"{name} {v}" for name, v in metrics["versions"].items()))]
    return Section("Run", rows=rows)


def _curves(fsc: list[dict[str, str]]) -> Section:
    figure = blank(figsize=(6.5, 4))
    axis = figure.add_subplot()
    frequency = [0.0 if row["resolution_angstrom"] == "inf" else 1 / float(row["resolution_angstrom"]) for row in fsc]
    for name in _CURVES:
        axis.plot(frequency, [float(row[name]) for row in fsc], label=name)
    for name, (label, style) in _FURTHER.items():
        if name in fsc[0]:
            axis.plot(frequency, [float(row[name]) for row in fsc], style, label=label)
    for threshold in (0.143, 0.5):
        axis.axhline(threshold, color="grey", linewidth=0.7)
    axis.set(xlabel="spatial frequency (1/angstrom)", ylabel="FSC", ylim=(-0.1, 1.02))
    axis.legend(fontsize=7)
    text = (
        "Correlation of two half-maps that never shared a reference. Corrected: what a mask alone adds, measured by "
        "making phases random, is taken away."
    )
    return Section("Fourier shell correlation", text, figure)


def _maps(slices: dict[str, np.ndarray]) -> Section:
    iterations = [name for name in slices if name.startswith("iteration ")]
    picked = sorted({round(i) for i in np.linspace(0, len(iterations) - 1, min(_SHOWN_ITERATIONS, len(iterations)))})
    views = {iterations[i]: slices[iterations[i]] for i in picked}
    return Section(
        "Maps",
        "Central slices of the sum of both half-maps, unfiltered, and of the final map, weighted by its FSC.",
        orthogonal_views({**views, "final": slices["final"]}),
    )


def _local(slices: dict[str, np.ndarray]) -> Section:
    text = (
        "Where the correlation of the half-maps in a small window falls below 0.5, angstrom; dark is fine. "
        f"From {slices['local resolution'].min():.1f} to {slices['local resolution'].max():.1f}."
    )
    return Section("Local resolution", text, orthogonal_views({"local": slices["local resolution"]}))


def _progress(metrics: dict[str, Any]) -> Section:
    table = metrics["iterations"]
    number = [row["iteration"] for row in table]
    figure = blank(figsize=(9, 3))
    left, right = figure.subplots(1, 2)
    for name, label in (("resolution_0.143_angstrom", "FSC 0.143"), ("resolution_0.5_angstrom", "FSC 0.5")):
        left.plot(number, [np.nan if row[name] is None else row[name] for row in table], "o-", label=label)
    left.set(xlabel="iteration", ylabel="resolution (angstrom)")
    left.legend()
    right.semilogy(number, [max(row["median_change_deg"] or 0, 1e-3) for row in table], "o-", label="pose change")
    if "median_rotation_error_deg" in table[0]:
        right.semilogy(number, [row["median_rotation_error_deg"] for row in table], "s-", label="error against truth")
    right.set(xlabel="iteration", ylabel="median (deg)")
    right.legend()
    figure.tight_layout()
    return Section("Progress", figure=figure)


def _particles(metrics: dict[str, Any]) -> list[Section]:
    table = {
        name: np.array([np.nan if v is None else v for v in metrics["particles"][name]], dtype=float)
        for name in ("score", "rotation_sigma_deg", "shift_sigma_angstrom", "view_longitude_deg", "view_latitude_deg")
    }
    half = np.array(metrics["particles"]["half"])
    scores = {f"score, half {number}": table["score"][half == number] for number in (1, 2)}
    sections = [Section("Scores", "Of each half against its own reference.", histograms(scores))]
    if np.isfinite(table["rotation_sigma_deg"]).any() and metrics.get("verdict", {}).get("trust") != "no":
        expected = {"rotation (deg)": table["rotation_sigma_deg"], "shift (angstrom)": table["shift_sigma_angstrom"]}
        text = "From each particle's own pose covariance (root of its trace), under an exact reference."
        sections.append(Section("Expected errors", text, histograms(expected)))
    views = view_distribution(table["view_longitude_deg"], table["view_latitude_deg"])
    return [*sections, Section("Angular distribution", "Direction of the beam in the frame of the map.", views)]
