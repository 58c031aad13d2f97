"""The page of a classification, from the files that the run left."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.io import write_text
from torchsag.report.bookkeeping import bookkeeping_section
from torchsag.report.chart import Axis, Chart, Line
from torchsag.report.distributions import distribution_section
from torchsag.report.maps import map_section
from torchsag.report.next_steps import next_section
from torchsag.report.page import Picture, Section, render, verdict_headline
from torchsag.report.particles import numbers, particle_section, views_section
from torchsag.report.run_files import density_if_kept, read_run
from torchsag.report.running import labelled, so_far, steps_chart, write_running
from torchsag.report.svg_chart import panels
from torchsag.report.wording import digits, worded_list
from torchsag.runs.job import Moment

_FIRST_SCREEN = 2
_NEXT = (
    "Open the maps of the classes side by side at one contour: is the difference something a molecule can do?",
    "Run again with another seed=: classes that stay are more than chance.",
)


@dataclass(frozen=True)
class ClassificationPage:
    """Maps of every class, sizes by round, scores, stability, and whether classes are orientations.

    Attributes
    ----------
    title
        Heading of the page.
    """

    title: str = "Classification"

    def __call__(self, folder: Path) -> None:
        """Write ``report.html`` from ``metrics.json``, ``slices.npz`` and maps in `folder`.

        Raises
        ------
        InputError
            If the files are missing.
        """
        metrics, slices = read_run(folder, "classification")
        sections = [
            *_maps(folder, slices, float(metrics["voxel_size_angstrom"])),
            _sizes(metrics),
            next_section(metrics, _NEXT),
            _likelihood(metrics),
            _stability(metrics),
            _scores(metrics),
            _components(metrics),
            views_section(metrics, metrics["common_symmetry"]),
            particle_section(metrics),
            _settled(metrics["rounds"]),
            bookkeeping_section(metrics),
        ]
        write_text(folder / "report.html", render(self.title, verdict_headline(metrics, _result(metrics)), sections))

    def running(self, folder: Path, moment: Moment, due: float) -> None:
        """Write the page of a run that goes on."""
        rounds, iterations = labelled(moment, "round"), labelled(moment, "iteration")
        sections = []
        if rounds:
            charts = [
                steps_chart(rounds, "score", "round", "mean log-likelihood"),
                steps_chart(rounds, "changed", "round", "particles that changed their class"),
            ]
            sections.append(so_far("Rounds so far", charts, "Likelihood and changes of class over the rounds so far"))
        if iterations:
            chart = steps_chart(
                iterations, "resolution_0.143_angstrom", "iteration", "resolution of the common average (Å)"
            )
            sections.append(so_far("The common average", [chart], "Resolution of the common average by iteration"))
        write_running(folder, self.title, moment, due, sections)


def _result(metrics: Mapping[str, Any]) -> str:
    summary = metrics["summary"]
    count = len(summary["sizes"])
    sizes = worded_list([str(size) for size in summary["sizes"]])
    of = "1 class" if count == 1 else f"{count} classes"
    outside = f", {summary['fit_nothing']} particles fit none" if summary["fit_nothing"] else ""
    return f"{of} of {sizes} particles{outside}"


def _maps(folder: Path, slices: dict[str, np.ndarray], voxel_size: float) -> list[Section]:
    classes = {name: images for name, images in slices.items() if name != "common average"}
    names = list(classes)
    sections = []
    for start, heading in ((0, "The classes"), (_FIRST_SCREEN, "Further classes")):
        picked = names[start:] if start else names[:_FIRST_SCREEN]
        if not picked:
            continue
        surfaces = {name: density_if_kept(folder, f"class_{int(name.split()[-1]):03d}.mrc") for name in picked}
        section = map_section(heading, surfaces, {name: classes[name] for name in picked}, voxel_size)
        sections.append(section if not start else replace(section, place="body"))
    common = map_section("What all have in common", {}, {"all particles": slices["common average"]}, voxel_size)
    return [*sections, replace(common, place="body")]


def _sizes(metrics: Mapping[str, Any]) -> Section:
    summary = metrics["summary"]
    pairs = zip(summary["sizes"], summary["resolution_0.143_angstrom"], strict=True)
    rows = [
        (f"class {number}", f"{size} particles, {'no resolution' if found is None else digits(found) + ' Å'}")
        for number, (size, found) in enumerate(pairs, start=1)
    ]
    if summary["fit_nothing"]:
        rows.append(("class 0, fits nothing", f"{summary['fit_nothing']} particles"))
    seed, rounds = _first_seed(metrics)
    text = (
        "Resolution at FSC 0.143; half-maps share the labels, which all particles had a part in, so that it can be a "
        "little too good."
    )
    alt = "Particles in each class by round: " + ", ".join(f"{a} {b}" for a, b in rows)
    caption = f"Seed {seed}, before merging. Each particle was left out of the average it was compared with."
    picture = Picture(panels([_size_chart(rounds)], alt), caption)
    return Section("Sizes and resolution", text, [picture], rows=rows, place="first")


def _first_seed(metrics: Mapping[str, Any]) -> tuple[int | None, list[dict[str, Any]]]:
    """The seed that came first, and its rounds."""
    rounds = [row for row in metrics["rounds"] if row["round"] > 0]
    seed = rounds[0]["seed"] if rounds else None
    return seed, [row for row in rounds if row["seed"] == seed]


def _size_chart(rounds: Sequence[dict[str, Any]]) -> Chart:
    number = [row["round"] for row in rounds]
    sizes = [
        Line(number, list(each), f"class {position}", position - 1)
        for position, each in enumerate(zip(*(row["sizes"] for row in rounds), strict=True), start=1)
    ]
    most = max((max(line.y) for line in sizes), default=1.0)
    return Chart(Axis("round"), Axis("particles in each class", limits=(0.0, 1.05 * most)), lines=sizes, height=0.42)


def _likelihood(metrics: Mapping[str, Any]) -> Section | None:
    seed, rounds = _first_seed(metrics)
    if not rounds:
        return None
    score = Line([row["round"] for row in rounds], [row["score"] for row in rounds], marked=True)
    chart = Chart(Axis("round"), Axis("mean log-likelihood"), lines=[score], height=0.42)
    text = f"Of the particles, by round of seed {seed}: it should rise and stand still."
    return Section("Likelihood", text, [Picture(panels([chart], "Mean log-likelihood of the particles by round"))])


def _settled(table: Sequence[dict[str, Any]]) -> Section | None:
    rows = [
        (
            f"stage {row['stage']}, seed {row['seed']}: completed likelihood {row['completed_likelihood']:.1f}",
            "classes of " + ", ".join(f"{size:.0f}" for size in row["sizes"]),
        )
        for row in table
        if row["round"] < 0
    ]
    return Section("Rounds of every seed", rows=rows, place="folded") if rows else None


def _stability(metrics: Mapping[str, Any]) -> Section:
    summary = metrics["summary"]
    rows = [
        ("agreement between seeds (adjusted Rand index, 1 is perfect)", _numbers(summary["seeds_pairwise_rand"])),
        ("particles in the same class as from the first seed", _numbers(summary["seeds_same_class_as_first"])),
        (
            "variance of the wedge's direction that classes explain",
            f"{summary['wedge_explains']:.3f}, by chance {summary['wedge_explains_by_chance']:.3f}, "
            f"p = {summary['wedge_p_value']:.3f}",
        ),
    ]
    if "principal_components_rand" in summary:
        rows.append(("agreement with k-means on principal components", f"{summary['principal_components_rand']:.3f}"))
    if "adjusted_rand_index" in summary:
        rows.append(("agreement with the true classes", f"{summary['adjusted_rand_index']:.3f}"))
        rows += [
            (f"true class {number}", ", ".join(f"{count:.0f}" for count in row))
            for number, row in enumerate(summary["confusion_true_by_found"], start=1)
        ]
    text = "A class that is an orientation in disguise would follow the missing wedge: then p is small."
    return Section("Can it be trusted", text, rows=rows)


def _scores(metrics: Mapping[str, Any]) -> Section:
    label = np.array(metrics["particles"]["class"])
    quantities = {
        "correlation with own class": numbers(metrics, "score")[label > 0],
        "probability of own class": numbers(metrics, "probability"),
    }
    return distribution_section("How well particles fit", quantities)


def _components(metrics: Mapping[str, Any]) -> Section | None:
    places = np.array(metrics["particles"].get("principal_components", ()), dtype=float)
    if places.ndim != 2 or places.shape[1] < 2:
        return None
    label = np.array(metrics["particles"]["class"])
    lines = [
        Line(
            places[label == number, 0].tolist(),
            places[label == number, 1].tolist(),
            f"class {number}",
            colour,
            dash="",
            marked=True,
        )
        for colour, number in enumerate(np.unique(label).tolist())
    ]
    chart = Chart(Axis("component 1"), Axis("component 2"), lines=lines, height=0.7)
    text = "Of the constrained correlations of all pairs; the classification did not look at these."
    alt = "Particles by their first two principal components, coloured by class"
    return Section("Principal components", text, [Picture(panels([chart], alt))])


def _numbers(values: Sequence[float]) -> str:
    return ", ".join(f"{value:.3f}" for value in values) or "one seed only"
