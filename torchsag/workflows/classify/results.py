"""What a classification leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.classification.evidence import Views
from torchsag.classification.membership import labels, posterior
from torchsag.classification.wedge_pca import WedgePCA
from torchsag.evaluation.class_agreement import adjusted_rand_index, confusion, matched
from torchsag.evaluation.wedge_dependence import WedgeDependence, wedge_dependence
from torchsag.geometry import Poses
from torchsag.io import write_map, write_poses
from torchsag.particles import ParticleSet
from torchsag.runs.central_slices import orthogonal_slices
from torchsag.runs.files import write_fsc, write_rows
from torchsag.runs.metrics import write_metrics
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import publish
from torchsag.runs.views import write_views
from torchsag.verdict import Finding, Verdict
from torchsag.verdict.classes import ClassWithoutResolution
from torchsag.verdict.views import WedgeExplainsClass
from torchsag.workflows.classify.class_maps import ClassMap, class_maps
from torchsag.workflows.classify.loop import ClassificationLoop, Scene
from torchsag.workflows.classify.state import ClassificationState


@dataclass(frozen=True)
class PrincipalComponents:
    """The independent look at the particles.

    Attributes
    ----------
    rows
        Which particles were looked at.
    coordinates
        Of these.
    labels
        By k-means, with as many clusters as there are classes.
    """

    rows: Integer[Tensor, " looked"]
    coordinates: Float[Tensor, "looked components"]
    labels: Integer[Tensor, " looked"]


@dataclass(frozen=True)
class FinishedClassification:
    """A classification that has ended; classes in the order of their sizes, numbered from 1.

    Attributes
    ----------
    loop, state, scene
        What was run, and how the particles are seen in the end.
    poses
        Of each usable particle, in its class.
    classes
        Number of the class; 0 where a particle fits none.
    probabilities
        Of this class, given all of them.
    correlations
        With the average of the class without the particle.
    rest
        The map of class 0, to see what was set apart; None if nothing was.
    maps
        Of classes 1, 2, ...
    usable
        Rows of the particle list.
    everyone
        The particle list.
    """

    loop: ClassificationLoop
    state: ClassificationState
    scene: Scene
    poses: Poses
    classes: Integer[Tensor, " particles"]
    probabilities: Float[Tensor, " particles"]
    correlations: Float[Tensor, " particles"]
    rest: ClassMap | None
    maps: list[ClassMap]
    usable: Integer[Tensor, " particles"]
    everyone: ParticleSet

    @staticmethod
    def of(
        loop: ClassificationLoop,
        state: ClassificationState,
        scene: Scene,
        usable: Integer[Tensor, " particles"],
        everyone: ParticleSet,
        ccc_min: float | None,
    ) -> FinishedClassification:
        """Final scores, numbers and maps; every rank takes part."""
        membership, population = state.finished[0], scene.population
        formed = loop.formed(membership)
        sums = population.sums(membership)
        scores = population.scores(membership, sums)
        shares = membership.sum((0, 1)) / len(membership)
        probabilities = posterior(scores, shares).sum(1)
        own = labels(membership)
        correlations = population.correlations(membership, sums)
        rejected = own >= formed
        if ccc_min is not None:
            rejected |= correlations < ccc_min
        sizes = torch.bincount(own[~rejected], minlength=formed)
        number = torch.zeros(membership.shape[2], dtype=torch.long)
        number[sizes.argsort(descending=True, stable=True)] = 1 + torch.arange(formed)
        classes = torch.where(rejected, 0, number[own])
        poses = loop.best_poses(membership, state.poses)
        first = int(classes.min())
        maps = class_maps(loop.mapper, poses, classes - first, int(classes.max()) + 1 - first, loop.settings.group)
        rest, maps = (maps[0], maps[1:]) if first == 0 else (None, maps)
        everyone_own = probabilities[torch.arange(len(own)), own]
        return FinishedClassification(
            loop, state, scene, poses, classes, everyone_own, correlations, rest, maps, usable, everyone
        )

    def principal_components(self, method: WedgePCA, seed: int) -> PrincipalComponents:
        """Wedge-aware principal components of the particles at their final poses, whatever their classes."""
        at = self.state.finished[0].sum(2).argmax(1)
        count = len(at)
        rows = torch.randperm(count, generator=torch.Generator().manual_seed(seed))[: method.most].sort().values
        population = self.scene.population
        parts = {"data": [], "weights": [], "power": [], "common": []}
        for chunk in population.chunks:
            picked = rows[(rows >= chunk.start) & (rows < chunk.stop)]
            views, inside = population.load(chunk), picked - chunk.start
            for name, part in parts.items():
                part.append(getattr(views, name)[inside, at[picked]][:, None])
        coordinates = method.coordinates(Views(*(torch.cat(part) for part in parts.values())))
        clusters = max(2, len(self.classes.unique()))
        return PrincipalComponents(rows, coordinates.float(), method.clusters(coordinates, clusters, seed))

    def publish(
        self,
        out: Path,
        record: dict[str, Any],
        configuration: str,
        report: Report | None,
        truth: Integer[Tensor, " particles"] | None,
        check: PrincipalComponents | None,
        seed: int,
        findings: Sequence[Finding | None] = (),
    ) -> Outcome:
        """Write everything below `out`; `record` says how the run came about and is completed here."""
        record = dict(record)
        wedge = wedge_dependence(self.poses, self.classes, self.loop.settings.common_group, seed=seed)
        resolutions = [one.fsc.resolution() for one in self.maps]
        sizes = [int((self.classes == number).sum()) for number in range(1, len(self.maps) + 1)]
        verdict = Verdict.of([*findings, WedgeExplainsClass()(wedge), ClassWithoutResolution()(resolutions, sizes)])
        summary = {**self._summary(truth, check, wedge), "wall_seconds": record.pop("wall_seconds")}
        for path in out.glob("class_*.*"):
            path.unlink()  # an earlier run may have had more classes
        with publish(out) as staging:
            slices = {"common average": orthogonal_slices(self.scene.frame.average.density)}
            numbered = list(enumerate(self.maps, start=1))
            for number, one in numbered if self.rest is None else [*numbered, (0, self.rest)]:
                self._write_class(staging, f"class_{number:03d}", one)
                slices[f"class {number}"] = orthogonal_slices(one.shown().density)
            write_map(staging / "common.mrc", self.scene.frame.average)
            np.savez_compressed(staging / "slices.npz", **slices)  # type: ignore[arg-type]
            write_rows(staging / "rounds.csv", _same_columns(self.state.rows))
            tables = {"summary": summary, "rounds": list(self.state.rows), "particles": self._particles(truth, check)}
            write_metrics(staging / "metrics.json", {"verdict": verdict.record(), **record, **tables})
            (staging / "config.yaml").write_text(configuration, encoding="utf-8")
            if report is not None:
                report(staging)
            # Written straight to its place, in one piece: it names the particles relative to where it stands.
            write_poses(
                out / "poses.star",
                self.everyone.select(self.usable.tolist()),
                self.poses,
                scores=self.correlations,
                classes=self.classes,
                halves=self.loop.mapper.halves,
                columns={"torchsagClassProbability": self.probabilities.tolist()},
            )
        outcome = _outcome(out, record, summary)
        average = self.scene.frame.average
        names = [f"class_{number:03d}.mrc" for number in range(1, len(self.maps) + 1)]
        views = write_views(out, names or "common.mrc", average.voxel_size, average.box[0])
        return replace(outcome, notes=(*outcome.notes, *views), verdict=verdict)

    def _write_class(self, folder: Path, name: str, one: ClassMap) -> None:
        write_map(folder / f"{name}.mrc", one.shown())
        for half, volume in enumerate(one.halves, start=1):
            write_map(folder / f"{name}_half{half}.mrc", volume)
        write_fsc(folder / f"{name}_fsc.csv", one.fsc)

    def _summary(
        self, truth: Integer[Tensor, " particles"] | None, check: PrincipalComponents | None, wedge: WedgeDependence
    ) -> dict[str, Any]:
        runs = self.state.seed_labels
        agreement = [adjusted_rand_index(a, b) for a, b in combinations(runs, 2)]
        steady = [float((matched(one, runs[0]) == runs[0]).float().mean()) for one in runs[1:]]
        summary: dict[str, Any] = {
            "particles": len(self.everyone),
            "set_aside": len(self.everyone) - len(self.usable),
            "classes": len(self.maps),
            "sizes": [int((self.classes == number).sum()) for number in range(1, len(self.maps) + 1)],
            "fit_nothing": int((self.classes == 0).sum()),
            "resolution_0.143_angstrom": [one.fsc.resolution() for one in self.maps],
            "common_resolution_0.143_angstrom": self.scene.common.fsc.resolution(),
            "completed_likelihood": self.state.values[0],
            "seeds_pairwise_rand": agreement,
            "seeds_same_class_as_first": steady,
            "wedge_explains": wedge.explained,
            "wedge_explains_by_chance": wedge.expected,
            "wedge_p_value": wedge.p_value,
        }
        if check is not None:
            summary["principal_components_rand"] = adjusted_rand_index(check.labels, self.classes[check.rows])
        if truth is not None:
            true = truth[self.usable]
            summary["adjusted_rand_index"] = adjusted_rand_index(true, self.classes)
            summary["confusion_true_by_found"] = confusion(true, self.classes).tolist()
            summary["seeds_adjusted_rand_index"] = [adjusted_rand_index(true, one) for one in runs]
            if check is not None:
                summary["principal_components_true_rand"] = adjusted_rand_index(check.labels, true[check.rows])
        return summary

    def _particles(
        self, truth: Integer[Tensor, " particles"] | None, check: PrincipalComponents | None
    ) -> dict[str, Any]:
        view = self.poses.rotations[:, 2].double()
        table: dict[str, Any] = {
            "name": [self.everyone.names[row] for row in self.usable.tolist()],
            "class": self.classes.tolist(),
            "probability": self.probabilities.tolist(),
            "score": self.correlations.tolist(),
            "view_latitude_deg": torch.rad2deg(view[:, 2].clamp(-1, 1).asin()).tolist(),
            "view_longitude_deg": torch.rad2deg(torch.atan2(view[:, 1], view[:, 0])).tolist(),
        }
        if truth is not None:
            table["true_class"] = truth[self.usable].tolist()
        if check is not None:
            places = torch.full((len(self.usable), check.coordinates.shape[1]), float("nan"))
            places[check.rows] = check.coordinates
            table["principal_components"] = places.tolist()
        return table


def _same_columns(rows: tuple[dict[str, Any], ...]) -> list[dict[str, Any]]:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name, "") for name in names} for row in rows]


def _outcome(out: Path, record: dict[str, Any], summary: dict[str, Any]) -> Outcome:
    rows = [("particles", str(summary["particles"])), ("fit nothing (class 0)", str(summary["fit_nothing"]))]
    for number, (size, resolution) in enumerate(
        zip(summary["sizes"], summary["resolution_0.143_angstrom"], strict=True), start=1
    ):
        rows.append((f"class {number}", f"{size} particles, {resolution:.1f} angstrom (FSC 0.143)"))
    if summary["seeds_pairwise_rand"]:
        rows.append(("agreement between seeds (adjusted Rand)", f"{min(summary['seeds_pairwise_rand']):.3f} or more"))
    rows.append(("does the wedge predict the class (p)", f"{summary['wedge_p_value']:.3f}"))
    if "adjusted_rand_index" in summary:
        rows.append(("adjusted Rand index against truth", f"{summary['adjusted_rand_index']:.3f}"))
    rows.append(("seconds", f"{summary['wall_seconds']:.0f}"))
    maps = sorted(path.name for path in out.glob("class_[0-9][0-9][0-9].mrc"))
    notes = files_made(out, (*maps, "poses.star", "metrics.json"))
    return Outcome(f"classify with {record['method']}", ("", "value"), tuple(rows), notes)
