"""What a finished averaging run leaves behind."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from torchsag.io import write_map, write_poses
from torchsag.io.relion import AMBIGUITY
from torchsag.particles import DensityMap
from torchsag.runs.files import write_fsc, write_fsc_xml
from torchsag.runs.fsc_picture import draw_fsc
from torchsag.runs.metrics import alignment_columns, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import publish
from torchsag.runs.views import write_views
from torchsag.verdict import Finding, Verdict
from torchsag.verdict.certainty import FewParticles
from torchsag.verdict.contrast import DarkAverage
from torchsag.verdict.progress import GotWorse, NotConverged
from torchsag.verdict.resolution import NoiseAlone
from torchsag.verdict.set_aside import SetAside
from torchsag.workflows.average.files import save_average_slices, write_half_maps
from torchsag.workflows.average.final_maps import FinalMaps, HalfMaps
from torchsag.workflows.average.loop import AveragingLoop
from torchsag.workflows.average.state import AveragingState

_LABELS = {
    "resolution_0.143_angstrom": "resolution, FSC 0.143 corrected (angstrom)",
    "resolution_0.5_angstrom": "resolution, FSC 0.5 corrected (angstrom)",
    "resolution_0.143_unmasked_angstrom": "resolution, FSC 0.143 unmasked (angstrom)",
    "oracle_resolution_0.143_angstrom": "the same at the true poses, corrected (angstrom)",
    "truth_resolution_0.5_angstrom": "against the true structure, FSC 0.5 (angstrom)",
    "oracle_truth_resolution_0.5_angstrom": "the same at the true poses (angstrom)",
    "median_local_resolution_angstrom": "local resolution, median inside the mask (angstrom)",
    "median_rotation_error_deg": "median rotation error (deg)",
    "median_shift_error_angstrom": "median shift error (angstrom)",
}


@dataclass(frozen=True)
class FinishedRun:
    """A run that has ended, with its final half-maps.

    Attributes
    ----------
    loop
        What was run.
    state
        The poses of the best iteration, and the table of all.
    final
        What its maps show.
    findings
        What is to be said of the particles, their halves and the start.
    iterations
        How many the run was allowed.
    """

    loop: AveragingLoop
    state: AveragingState
    final: FinalMaps
    findings: Sequence[Finding | None] = ()
    iterations: int = 0

    def publish(
        self,
        out: Path,
        maps: HalfMaps,
        metrics: dict[str, Any],
        configuration: str,
        report: Report | None,
        strict: bool,
    ) -> Outcome:
        """Write everything below `out`; `metrics` says how the run came about and is completed here."""
        found, verdict = self.final, self.verdict()
        metrics = dict(metrics)
        summary = {**self._counts(), **found.summary(), "wall_seconds": metrics.pop("wall_seconds")}
        with publish(out) as staging:
            write_half_maps(staging, torch.stack([m.density for m in maps]), found.whole.voxel_size)
            write_map(staging / "average.mrc", found.final)
            write_map(staging / "mask.mrc", DensityMap(found.mask, found.whole.voxel_size))
            write_map(staging / "local_resolution.mrc", found.local)
            write_map(staging / "locally_filtered.mrc", found.locally_filtered)
            write_fsc(staging / "fsc.csv", found.fsc, found.curves())
            draw_fsc(staging / "fsc.png", found.fsc, found.curves())
            write_fsc_xml(staging / "fsc.xml", found.fsc)
            save_average_slices(staging / "slices.npz", out, len(self.state.rows), found)
            tables = {"summary": summary, "iterations": list(self.state.rows), "particles": self._particles()}
            write_metrics(staging / "metrics.json", {"verdict": verdict.record(), **metrics, **tables})
            write_set_aside(staging / "set_aside.txt", self.state.faults)
            (staging / "config.yaml").write_text(configuration, encoding="utf-8")
            if report is not None:
                shutil.copy(out / "iterations.csv", staging / "iterations.csv")
                report(staging)
            save_poses(out / "poses.star", self.loop, self.state)
        views = write_views(out, "average.mrc", found.final.voxel_size, found.final.box[0])
        outcome = _outcome(out, summary)
        return replace(outcome, notes=(*outcome.notes, *views), verdict=verdict, strict=strict)

    def verdict(self) -> Verdict:
        """Everything that can be said of the run."""
        loop, fsc, rows = self.loop, self.final.fsc, self.state.rows
        noise = NoiseAlone()(fsc, loop.settings.initial_resolution_angstrom)
        order = loop.symmetry.order if self.state.symmetric else 1
        few = None if noise is not None else FewParticles()(fsc, self.final.mask, order, len(loop.particles))
        dark = DarkAverage()(*self.final.halves, fsc) if loop.given is None else None
        progress = [dark, GotWorse()(rows, self.state.iteration), NotConverged()(rows, self.iterations), few]
        return Verdict.of(
            [
                SetAside()(self.state.faults),
                *self.findings,
                *self.final.judged(),
                noise,
                *progress,
                self._without_symmetry(),
            ]
        )

    def _without_symmetry(self) -> Finding | None:
        """Where there was no sign of the symmetry."""
        loop = self.loop
        if loop.symmetry.order == 1 or self.state.symmetric:
            return None
        text = (
            f"{loop.symmetry.name} was not imposed: the half-maps did not agree on its axes; allow more iterations, or "
            "start from a map"
        )
        return Finding("symmetry_not_imposed", "doubt", text)

    def _counts(self) -> dict[str, Any]:
        rows = self.state.rows
        return {
            "particles": len(self.loop.particles),
            "set_aside": sum(bool(fault) for fault in self.state.faults),
            "iterations": len(rows),
            "best_iteration": self.state.iteration,
            **self.loop.judge(self.state.result.poses),
        }

    def _particles(self) -> dict[str, list[Any]]:
        result = self.state.result
        names = ("scores", "covariances", "ambiguity", "converged", "passes")
        columns = {name: getattr(result, name).numpy() for name in names}
        columns |= {"rotations": result.poses.rotations.numpy(), "shifts": result.poses.shifts.numpy()}
        columns |= {"fault": np.array(self.state.faults), "cpu_seconds": np.full(len(result), np.nan)}
        table = alignment_columns(self.loop.particles, columns, None)
        del table["cpu_seconds"]
        return {**table, "half": self.loop.halves.tolist()}


def save_poses(path: Path, loop: AveragingLoop, state: AveragingState) -> None:
    """The particles that were not set aside, with poses, scores and halves."""
    kept = torch.tensor([i for i, fault in enumerate(state.faults) if not fault])
    result = state.result
    write_poses(
        path,
        loop.particles.select(kept.tolist()),
        result.poses[kept],
        scores=result.scores[kept],
        covariances=result.covariances[kept],
        halves=loop.halves[kept],
        columns={AMBIGUITY: result.ambiguity[kept].tolist()},
    )


def _outcome(out: Path, summary: dict[str, Any]) -> Outcome:
    rows = [("particles", str(summary["particles"])), ("iterations", str(summary["iterations"]))]
    rows += [(label, f"{summary[name]:.2f}") for name, label in _LABELS.items() if name in summary]
    maps = ("average.mrc", "half1.mrc", "half2.mrc", "mask.mrc", "local_resolution.mrc", "locally_filtered.mrc")
    notes = files_made(out, (*maps, "fsc.csv", "fsc.xml", "poses.star", "metrics.json"))
    return Outcome("average", ("", "value"), tuple(rows), notes)
