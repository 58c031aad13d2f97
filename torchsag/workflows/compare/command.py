"""The same particles through several methods: the work behind ``torchsag compare``."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from torchsag.alignment.aligner import Aligner, AlignmentResult, PreparedAligner, calibrated, calibration_rows
from torchsag.errors import InputError
from torchsag.evaluation import compare_poses
from torchsag.evaluation.comparison_tables import TABLES, Row, Tables, summarise
from torchsag.geometry import Poses, Symmetry
from torchsag.loggers import Logger, Started, logged, note
from torchsag.parallel import Serial, Workers
from torchsag.particles import ParticleBatch
from torchsag.runs.checkpoint import Checkpoint, describe
from torchsag.runs.device import pick_device
from torchsag.runs.job import Job, Phase, begin, plan
from torchsag.runs.live_page import live
from torchsag.runs.metrics import surroundings, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome, Report, files_made
from torchsag.runs.output_folder import claim, publish
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance
from torchsag.trajectory import Snapshot, Trajectory
from torchsag.verdict import Finding
from torchsag.verdict.set_aside import SetAside
from torchsag.workflows.compare.trials import Trial, Trials, fingerprint
from torchsag.workflows.compare.yardsticks import average_fsc, bound, convergence, correlation

_log = logging.getLogger(__name__)

# Seconds of the tests, tables and the page.
_TABLES = 2.0

Task = tuple[int, str]
"""Number of a trial and name of a method."""

_SHOWN = {
    "trial": ("trial", "{}"),
    "method": ("method", "{}"),
    "mean_ccc": ("CCC", "{:.4f}"),
    "median_rotation_error_deg": ("rotation error (deg)", "{:.2f}"),
    "bound_rotation_deg": ("bound, rms (deg)", "{:.2f}"),
    "bound_with_reference_rotation_deg": ("with this reference", "{:.2f}"),
    "median_shift_error_angstrom": ("shift error (angstrom)", "{:.2f}"),
    "within_10_deg": ("within 10 deg", "{}"),
    "fsc_0143_angstrom": ("FSC 0.143 (angstrom)", "{:.1f}"),
    "oracle_fsc_0143_angstrom": ("with true poses", "{:.1f}"),
    "cpu_seconds": ("CPU s / particle", "{:.3f}"),
    "mean_evaluations": ("evaluations", "{:.0f}"),
}


@dataclass(frozen=True)
class Compare:
    """Align the same particles with several methods, and test whether the differences mean anything.

    Attributes
    ----------
    methods
        Aligners by name.
    trials
        The particles.
    out
        Folder for all results.
    symmetry
        Point group of the reference, divided out of all errors.
    seed
        Everything random follows from this number.
    device
        cpu, cuda, cuda:1, ...; auto takes a GPU where there is one.
    parallel
        The processes that share the work, each aligning all particles of a trial with one method at a time.
    report
        Makes the page of plots; None for none.
    resume
        Carry on an unfinished run in out=, by trial and method; false starts over.
    logger
        Keeps the numbers of every trial and method; None for none.
    """

    methods: dict[str, Aligner]
    trials: Trials
    out: str
    symmetry: str = "C1"
    seed: int = 0
    device: str = "auto"
    parallel: Workers = field(default_factory=Serial)
    report: Report | None = None
    resume: bool = True
    logger: Logger | None = None

    def __post_init__(self):
        if not self.methods:
            raise InputError("methods: expected at least one aligner, got none; add one by +method@methods.NAME=NAME")
        for name, method in self.methods.items():
            if not isinstance(method, Aligner):
                raise InputError(f"methods.{name}: expected an aligner, got {type(method).__name__}")
        Symmetry(self.symmetry)

    def __call__(self, provenance: Provenance) -> Outcome:
        """Align, and write the tables (see `torchsag.evaluation.comparison_tables`) and the plots below `out`."""
        out, device = Path(self.out), pick_device(self.device)
        with ExitStack() as stack:
            run = Started(provenance.command, out, provenance.configuration)
            if self.parallel.is_root:
                here = stack.enter_context(live(Job(run.command, provenance.began), self.report, out))
                stack.enter_context(logged(self.logger, run, here.hear))
                stack.enter_context(claim(out, command=provenance.command))
            trials = list(self.trials.make(self.seed, device))
            self._require_the_same(trials)
            tasks = [(number, name) for number in range(len(trials)) for name in self.methods]
            checkpoint = self._open_checkpoint(out, trials)
            done = self._finished(checkpoint, tasks)
            left = self.parallel.broadcast([task for task in tasks if task not in done])
            if done:
                _log.info("resuming: %d of %d methods and trials are done", len(done), len(tasks))
            if checkpoint is not None:
                plan(
                    [Phase("aligning", len(tasks), "method"), Phase("tests and tables", 1, "closing", seconds=_TABLES)]
                )
            with progress("methods and trials", len(tasks), len(done), visible=checkpoint is not None) as advance:
                for task, found in self.parallel.map_chunks(lambda t: self._align(t[1], trials[t[0]], device), left):
                    done[task] = found
                    advance(1)
                    note("trial", found.summary[0], f"{trials[task[0]].name}/{task[1]}")
                    if checkpoint is not None:
                        checkpoint.keep(self._description(task), {"tables": np.array(found.to_text())})
            begin("tests and tables")
            if checkpoint is None:
                return Outcome()
            tables = self._tables(trials, done)
            with publish(out) as staging:
                tables.write(staging)
                where = surroundings(provenance, self.seed, device, self.parallel.size)
                faults = _faults(trials)
                if faults is not None:
                    write_set_aside(staging / "set_aside.txt", faults)
                    where["set_aside"] = sum(map(bool, faults))
                write_metrics(staging / "metrics.json", {**where, "summary": tables.summary})
                (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
                if self.report is not None:
                    self.report(staging)
            checkpoint.remove()
        return _outcome(out, tables, SetAside()(faults or []))

    def _require_the_same(self, trials: Sequence[Trial]) -> None:
        """Every process has read the particles for itself; InputError where one of them has gone meanwhile."""
        mine = [trial.particles.names for trial in trials]
        if self.parallel.broadcast(mine) != mine:
            raise InputError("particles: files vanished while the processes read them; repeat the command")

    def _open_checkpoint(self, out: Path, trials: Sequence[Trial]) -> Checkpoint | None:
        """What an earlier run on the same particles has finished, on the root; methods may have been added since."""
        if not self.parallel.is_root:
            return None
        settings = {"symmetry": self.symmetry, "seed": str(self.seed)}
        settings |= {f"trial {number}": fingerprint(trial) for number, trial in enumerate(trials)}
        return Checkpoint.begin(out, settings, self.resume)

    def _finished(
        self, checkpoint: Checkpoint | None, tasks: Sequence[tuple[int, str]]
    ) -> dict[tuple[int, str], Tables]:
        kept = {} if checkpoint is None else {task: checkpoint.kept(self._description(task)) for task in tasks}
        return {task: Tables.from_text(str(columns["tables"])) for task, columns in kept.items() if columns is not None}

    def _description(self, task: Task) -> str:
        """All that the result of a method on a trial depends on, beside the settings of the checkpoint."""
        return json.dumps([task, describe(self.methods[task[1]])])

    def _tables(self, trials: Sequence[Trial], done: Mapping[tuple[int, str], Tables]) -> Tables:
        """All that was found, trial by trial, each beside what no method can do better."""
        tables = Tables()
        for number, trial in enumerate(trials):
            limits: Row = {**bound(trial), "oracle_fsc_0143_angstrom": None}
            if trial.truth is not None:
                limits["oracle_fsc_0143_angstrom"], curve = self._average(trial, "true poses", trial.truth)
                tables.fsc += curve
            for name in self.methods:
                tables.add(done[number, name])
                tables.summary[-1].update(limits)
        return tables

    def _average(self, trial: Trial, name: str, poses: Poses) -> tuple[float, list[Row]]:
        """The resolution of the average at these poses, and the rows of its curve."""
        fsc = average_fsc(trial, poses, Symmetry(self.symmetry))
        label: Row = {"trial": trial.name, "snr": trial.snr, "method": name}
        curve = [
            {**label, "shell": shell, "resolution_angstrom": resolution, "fsc": value}
            for shell, (resolution, value) in enumerate(
                zip(fsc.shell_resolutions().tolist(), fsc.unmasked.tolist(), strict=True)
            )
            if shell > 0
        ]
        return fsc.resolution(), curve

    def _align(self, name: str, trial: Trial, device: torch.device) -> Tables:
        """A row for each particle, one for each moment of the refinement that was noted, and a summary."""
        _log.info("%s: aligning with %s", trial.name, name)
        symmetry = Symmetry(self.symmetry)
        aligner = self.methods[name].prepare(trial.reference, symmetry, device)
        # Compiled code is loaded and tables are filled before the clock starts.
        aligner(trial.particles[:1])
        with Trajectory() as trajectory:
            result, seconds = _timed(aligner, trial.particles, self.seed)
        columns = {
            "ccc": correlation(trial.particles, trial.reference, result.poses),
            "cpu_seconds": torch.full_like(result.passes, seconds / len(result)),
            "evaluations": result.passes,
            "converged": result.converged,
        }
        if trial.truth is not None:
            errors = compare_poses(result.poses, trial.truth, symmetry)
            columns["rotation_error_deg"] = errors.rotation_deg
            columns["shift_error_angstrom"] = errors.shift_voxels * trial.reference.voxel_size
        values = {key: column.cpu().tolist() for key, column in columns.items()}
        label: Row = {"trial": trial.name, "snr": trial.snr, "method": name}
        rows = [
            {**label, "particle": particle, **{key: values[key][row] for key in values}}
            for row, particle in enumerate(trial.particles.names)
        ]
        every = torch.arange(len(result), device=result.passes.device)
        ended = Snapshot(float(result.passes.mean()), result.poses, every)
        steps = convergence(trial, [*trajectory.snapshots, ended], symmetry)
        resolution, curve = self._average(trial, name, result.poses)
        summary = [summarise(rows) | {"fsc_0143_angstrom": resolution}]
        return Tables(rows, summary, [{**label, **step} for step in steps], curve)


def _timed(aligner: PreparedAligner, particles: ParticleBatch, seed: int) -> tuple[AlignmentResult, float]:
    torch.manual_seed(seed)
    start = time.process_time()
    rows = calibration_rows(aligner, len(particles))
    if rows:
        aligner = calibrated(aligner, particles[rows.start : rows.stop : rows.step])
    result = aligner(particles)
    return result, time.process_time() - start


def _faults(trials: Sequence[Trial]) -> list[str] | None:
    """What is wrong with each particle that was read; None where none was."""
    read = [trial.faults for trial in trials if trial.faults is not None]
    return [fault for faults in read for fault in faults] if read else None


def _outcome(out: Path, tables: Tables, aside: Finding | None) -> Outcome:
    """What to show of a comparison."""
    summary = tables.summary
    shown = [key for key in _SHOWN if summary[0][key] is not None]
    rows = tuple(tuple(_SHOWN[key][1].format(row[key]) for key in shown) for row in summary)
    notes = [
        f"{test['trial']}: {test['first']} and {test['second']} differ in {test['quantity']} by "
        f"{test['mean_difference']:.3g} on average (Wilcoxon p {test['wilcoxon_p_holm']:.1g} after Holm's correction)"
        for test in tables.tests
        if test["wilcoxon_p_holm"] < 0.05
    ]
    notes += [aside.text] if aside is not None else []
    notes += files_made(out, TABLES)
    return Outcome("compare", tuple(_SHOWN[key][0] for key in shown), rows, tuple(notes), _merit(summary))


def _merit(summary: Sequence[Row]) -> float:
    """For a search over settings: the rotation error where the truth is known, else minus the correlation."""
    key, sign = ("median_rotation_error_deg", 1) if summary[0]["within_10_deg"] is not None else ("mean_ccc", -1)
    return sign * float(np.mean([row[key] for row in summary]))
