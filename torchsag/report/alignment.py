"""The page of an alignment, from the files that the run left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.io import write_text
from torchsag.report.figures import histograms, image_pairs, orthogonal_views, view_distribution
from torchsag.report.page import Section, render, verdict_section


@dataclass(frozen=True)
class AlignmentPage:
    """Slices, scores, shifts, orientations and, with true poses, errors.

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
        metrics, slices = _load(folder)
        sections = [
            verdict_section(metrics),
            _run(metrics),
            _maps(slices),
            _particles(slices),
            *_distributions(metrics),
            _faults(metrics),
        ]
        text = render(self.title, sections)
        write_text(folder / "report.html", text)


def _load(folder: Path) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    try:
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        with np.load(folder / "slices.npz", allow_pickle=False) as archive:
            return metrics, dict(archive)
    except (OSError, ValueError) as error:
        raise InputError(
            f"{folder}: expected the files of a finished alignment (metrics.json, slices.npz), got: {error}"
        ) from error


def _run(metrics: dict[str, Any]) -> Section:
    names = ("method", "particle_list", "reference", "symmetry", "voxel_size_angstrom", "device", "threads", "seed")
    rows = [(name.replace("_", " "), str(metrics[name])) for name in names]
    rows += [(k.replace("_", " "), f"{v:.4g}") for k, v in metrics["summary"].items() if v is not None]
    rows += [(f"CPU seconds, {name}", f"{v:.4g}") for name, v in metrics["stage_cpu_seconds"].items()]
    rows += [("versions", ", ".join(f"{name} {v}" for name, v in metrics["versions"].items()))]
    return Section("Run", rows=rows)


def _maps(slices: dict[str, np.ndarray]) -> Section:
    return Section(
        "Reference and average of the aligned particles",
        "All particles were aligned to the one reference, so the average resembles it even where the particles do "
        "not: it is no proof of resolution.",
        orthogonal_views({"reference": slices["reference"], "average": slices["average"]}),
    )


def _particles(slices: dict[str, np.ndarray]) -> Section:
    return Section(
        "Particles and what the reference predicts for them",
        "Above: central slices of particles, low-passed. Below: the reference at the pose found, seen through the "
        "particle's own missing wedge or weight.",
        image_pairs(slices["particles"], slices["expected"], list(slices["names"]), ("particle", "reference")),
    )


def _distributions(metrics: dict[str, Any]) -> list[Section]:
    table = {
        name: np.array([np.nan if v is None else v for v in values], dtype=float)
        for name, values in metrics["particles"].items()
        if name not in ("name", "fault")
    }
    scores = {"score": table["score"], "shift (angstrom)": table["shift_angstrom"]}
    sections = [Section("Scores and shifts", figure=histograms(scores))]
    if "rotation_error_deg" in table:
        errors = {
            "rotation error (deg)": table["rotation_error_deg"],
            "shift error (angstrom)": table["shift_error_angstrom"],
        }
        sections.append(Section("Errors against the true poses", "Symmetry is divided out.", histograms(errors)))
    if np.isfinite(table["rotation_sigma_deg"]).any() and metrics.get("verdict", {}).get("trust") != "no":
        expected = {
            "rotation (deg)": table["rotation_sigma_deg"],
            "shift (angstrom)": table["shift_sigma_angstrom"],
        }
        sections.append(
            Section(
                "Expected errors", "From each particle's own pose covariance (root of its trace).", histograms(expected)
            )
        )
    views = view_distribution(table["view_longitude_deg"], table["view_latitude_deg"])
    return [*sections, Section("Angular distribution", "Direction of the beam in the frame of the reference.", views)]


def _faults(metrics: dict[str, Any]) -> Section | None:
    table = metrics["particles"]
    rows = [(name, fault) for name, fault in zip(table["name"], table["fault"], strict=True) if fault]
    return Section("Particles set aside", rows=rows) if rows else None
