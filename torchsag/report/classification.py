"""The page of a classification."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.io import write_text
from torchsag.report.figures import blank, histograms, orthogonal_views
from torchsag.report.page import Section, render, verdict_section


@dataclass(frozen=True)
class ClassificationPage:
    """Slices of every class, sizes by round, scores, stability, and whether classes are orientations.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Classification"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json`` and ``slices.npz`` in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        try:
            metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
            with np.load(folder / "slices.npz", allow_pickle=False) as archive:
                slices = dict(archive)
        except (OSError, ValueError) as error:
            raise InputError(
                f"{folder}: expected the files of a finished classification (metrics.json, slices.npz), got: {error}"
            ) from error
        sections = [
            verdict_section(metrics),
            _run(metrics),
            _maps(slices),
            _rounds(metrics["rounds"]),
            _stability(metrics),
            *_particles(metrics),
        ]
        write_text(folder / "report.html", render(self.title, sections))


def _run(metrics: dict[str, Any]) -> Section:
    names = ("method", "particle_list", "symmetry", "common_symmetry", "voxel_size_angstrom", "device", "seed")
    summary = metrics["summary"]
    rows = [(name.replace("_", " "), str(metrics[name])) for name in names]
    rows += [("particles", str(summary["particles"])), ("set aside", str(summary["set_aside"]))]
    pairs = zip(summary["sizes"], summary["resolution_0.143_angstrom"], strict=True)
    rows += [
        (f"class {number}", f"{size} particles, {'no' if resolution is None else resolution} angstrom at FSC 0.143")
        for number, (size, resolution) in enumerate(pairs, start=1)
    ]
    rows += [("class 0, fit nothing", f"{summary['fit_nothing']} particles")]
    rows += [("seconds", str(summary["wall_seconds"]))]
    rows += [("versions", ", ".join(f"{name} {v}" for name, v in metrics["versions"].items()))]
    text = (
        "Half-maps share the labels, which all particles had a part in, so that an FSC can be a little too good. "
        "Each half was aligned to its own maps."
    )
    return Section("Run", text, rows=rows)


def _maps(slices: dict[str, np.ndarray]) -> Section:
    text = "Central slices of the common average and of every class, each weighted by its FSC; class 0 fits nothing."
    return Section("Classes", text, orthogonal_views(slices))


def _rounds(table: Sequence[dict[str, Any]]) -> Section:
    rounds = [row for row in table if row["round"] > 0]
    seed = rounds[0]["seed"] if rounds else None
    rounds = [row for row in rounds if row["seed"] == seed]
    figure = blank(figsize=(9, 3))
    left, right = figure.subplots(1, 2)
    number = [row["round"] for row in rounds]
    left.plot(number, [row["score"] for row in rounds], "o-")
    left.set(xlabel="round", ylabel="mean log-likelihood")
    for sizes in zip(*(row["sizes"] for row in rounds), strict=True):
        right.plot(number, sizes)
    right.set(xlabel="round", ylabel="particles in each class")
    figure.tight_layout()
    text = f"Seed {seed}, before merging. Each particle was left out of the average it was compared with."
    settled = [row for row in table if row["round"] < 0]
    rows = [
        (
            f"stage {row['stage']}, seed {row['seed']}: completed likelihood {row['completed_likelihood']:.1f}",
            "classes of " + ", ".join(f"{size:.0f}" for size in row["sizes"]),
        )
        for row in settled
    ]
    return Section("Rounds", text, figure, rows)


def _stability(metrics: dict[str, Any]) -> Section:
    summary = metrics["summary"]
    rows = [
        ("adjusted Rand index between seeds", _numbers(summary["seeds_pairwise_rand"])),
        ("particles in the same class as from the first seed", _numbers(summary["seeds_same_class_as_first"])),
        (
            "variance of the wedge's direction that classes explain",
            f"{summary['wedge_explains']:.4f}, by chance {summary['wedge_explains_by_chance']:.4f}, "
            f"p = {summary['wedge_p_value']:.3f}",
        ),
    ]
    if "principal_components_rand" in summary:
        rows.append(
            ("adjusted Rand index, k-means on components", f"{summary['principal_components_rand']:.3f}"),
        )
    if "adjusted_rand_index" in summary:
        rows.append(("adjusted Rand index against truth", f"{summary['adjusted_rand_index']:.4f}"))
        rows += [
            (f"true class {number}", ", ".join(f"{count:.0f}" for count in row))
            for number, row in enumerate(summary["confusion_true_by_found"], start=1)
        ]
    text = "A class that is an orientation in disguise would follow the missing wedge: then p is small."
    return Section("Can it be trusted", text, rows=rows)


def _particles(metrics: dict[str, Any]) -> list[Section]:
    table = metrics["particles"]
    label = np.array(table["class"])
    quantities = {
        "correlation with own class": np.array(table["score"], dtype=float)[label > 0],
        "probability of own class": np.array(table["probability"], dtype=float),
    }
    sections = [Section("Particles", figure=histograms(quantities))]
    if "principal_components" in table:
        places = np.array(table["principal_components"], dtype=float)
        if places.shape[1] >= 2:
            figure = blank(figsize=(5, 4))
            axis = figure.add_subplot()
            for number in np.unique(label):
                own = places[label == number]
                axis.plot(own[:, 0], own[:, 1], ".", label=f"class {number}")
            axis.set(xlabel="component 1", ylabel="component 2")
            axis.legend(fontsize=8)
            text = "Of the constrained correlations of all pairs; the classification did not look at these."
            sections.append(Section("Principal components", text, figure))
    return sections


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values) or "one seed only"
