"""Align a particle set to one reference: the loop behind ``torchsag align``."""

from __future__ import annotations

import logging
import math
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from torchsag.alignment.aligner import Aligner, LearningAligner
from torchsag.alignment.learnt import Learnt
from torchsag.averaging.frames import symmetrised
from torchsag.errors import InputError
from torchsag.evaluation import Frame, PoseErrors, SameFrame, compare_poses
from torchsag.geometry import Poses, Symmetry
from torchsag.io import write_map, write_poses
from torchsag.io.relion import AMBIGUITY
from torchsag.particles import DensityMap, ParticleSet
from torchsag.runs import job
from torchsag.runs.calibration import calibrated_with
from torchsag.runs.central_slices import save_alignment_slices
from torchsag.runs.checkpoint import Checkpoint, Columns
from torchsag.runs.chunked_alignment import ChunkAligner, stage_seconds, to_result
from torchsag.runs.chunked_sums import average_at
from torchsag.runs.closing import judging_seconds
from torchsag.runs.device import pick_device
from torchsag.runs.hand import in_hand_of, judge_hand
from torchsag.runs.listed_origins import listed_origins
from torchsag.runs.matching_map import matching_map
from torchsag.runs.metrics import alignment_columns, alignment_summary, surroundings, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome, files_made
from torchsag.runs.output_folder import claim, publish, require_room
from torchsag.runs.part import Part
from torchsag.runs.particle_run import ParticleRun
from torchsag.runs.provenance import Provenance
from torchsag.runs.sharing import ByParticle, Sharing
from torchsag.runs.signatures import file_signature, particle_signatures
from torchsag.runs.truth import true_poses
from torchsag.runs.usable_particles import seen_by
from torchsag.runs.views import write_views
from torchsag.verdict import Finding, Verdict
from torchsag.verdict.alignment import judge_reference, judge_symmetry, judge_views, meaningless_errors
from torchsag.verdict.input import judge_input
from torchsag.verdict.sample import search_radius
from torchsag.verdict.set_aside import SetAside

_SHOWN = (
    ("median_score", "median score", 3),
    ("median_rotation_error_deg", "median rotation error (deg)", 2),
    ("median_shift_error_angstrom", "median shift error (angstrom)", 2),
    ("within_10_deg", "within 10 deg of the truth", 0),
    ("median_rotation_sigma_deg", "median expected rotation error (deg)", 2),
    ("median_shift_sigma_angstrom", "median expected shift error (angstrom)", 2),
    ("median_cpu_seconds", "CPU seconds per particle", 3),
)
# Seconds before the first particle at a box of 48 voxels; what averaging a particle costs by aligning one
# (experiments/benchmarks/time_left.py).
_PREPARING, _AVERAGING = 1.3, 0.15
_log = logging.getLogger(__name__)

_EXPECTED = ("rotation_sigma_deg", "shift_sigma_angstrom")


@dataclass(frozen=True)
class _Inputs:
    """What the settings stand for, read and checked."""

    particles: ParticleSet
    reference: DensityMap
    symmetry: Symmetry
    device: torch.device
    truth: Poses | None
    centres: Tensor | None
    copies: list[Finding | None]
    mirrored: bool = False


def phases(particles: int, box: int, part: Part | None = None) -> list[job.Phase]:
    """What is going to be done."""
    mine = particles if part is None else len(part.rows(particles))
    found = [
        job.Phase("preparing", 1, "preparing", seconds=_PREPARING * (box / 48) ** 3),
        job.Phase("aligning", mine, "alignment"),
    ]
    if part is not None:
        return found
    found.append(job.Phase("averaging", particles, "averaging", cost=_AVERAGING))
    return [*found, job.Phase("verdict and results", 1, "closing", seconds=judging_seconds(particles, box))]


@dataclass(frozen=True, kw_only=True)
class Align(ParticleRun):
    """Find where a reference sits in each particle.

    Attributes
    ----------
    reference
        The map to align to (.mrc, .map, .em), with the particles' box and voxel size.
    method
        How to align.
    symmetry
        Symmetry of the reference: C1, Cn, Dn, T, O or I, with RELION's axes.
    truth
        A list of true poses of the same particles, to report errors; None for none.
    evaluation
        Which frame the poses are judged in.
    sharing
        How processes share the work.
    part
        Align only one part of the particles, such as ``3/8``, into an `out` that all parts share; the run without a
        part that follows finds them done and writes the results. None aligns all.
    mirror
        Whether to align to the mirror image of the reference; None finds out for tilt stacks, whose hand the sign of
        the tilt angles decides, and takes the reference as it is for volumes.
    """

    reference: str
    method: Aligner
    symmetry: str = "C1"
    truth: str | None = None
    evaluation: Frame = field(default_factory=SameFrame)
    sharing: Sharing = field(default_factory=ByParticle)
    part: str | None = None
    mirror: bool | None = None

    how: ClassVar[frozenset[str]] = ParticleRun.how | {"truth", "evaluation", "sharing", "part"}

    def __post_init__(self):
        super().__post_init__()
        if not isinstance(self.method, Aligner):
            raise InputError(f"method: expected an aligner, got {type(self.method).__name__}")
        Symmetry(self.symmetry)
        if self.part is not None and not self.resume:
            raise InputError(
                f"part={self.part}: expected resume=true, as resume=false would remove what other parts have done; to "
                f"start over remove {self.out} first"
            )

    def __call__(self, provenance: Provenance) -> Outcome:
        """Align, write the results below `out`, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable; results of earlier runs are then untouched.
        """
        with self.logged(provenance):
            return self.carry_out(provenance)[0]

    def carry_out(self, provenance: Provenance) -> tuple[Outcome, Columns, DensityMap | None]:
        """As a call; also one row for each particle and, on the root, the average of those that were aligned."""
        part = None if self.part is None else Part.parse(self.part)
        inputs = self._read_inputs()
        with ExitStack() as stack:
            if self.parallel.is_root:
                out = stack.enter_context(claim(Path(self.out), part is not None, provenance.command))
                require_room(out, _room(inputs.particles))
            checkpoint = self.open_checkpoint(reference=file_signature(self.reference))
            inputs = self._in_the_hand_of_the_particles(inputs)
            if self.parallel.is_root:
                job.plan(phases(len(inputs.particles), inputs.particles.box[0], part))
            columns, learnt = self._align(inputs, checkpoint, part)
            if part is not None:
                return (self._outcome_of(part, columns) if self.parallel.is_root else Outcome()), columns, None
            aligned = self._aligned(columns) if self.parallel.is_root else (np.zeros(0, int), Poses.identity(0))
            kept, poses = self.parallel.broadcast(aligned)
            job.begin("averaging")
            usable = inputs.particles.select(kept.tolist())
            lost: dict[int, str] = {}
            at_once = self.at_once(usable.box)
            average = average_at(
                usable, poses, inputs.symmetry, inputs.device, at_once, self.parallel, self.skip_bad, lost
            )
            if checkpoint is None:
                return Outcome(), columns, None
            columns = _without(columns, {int(kept[position]): reason for position, reason in lost.items()})
            job.begin("verdict and results")
            outcome = self._publish(inputs, columns, average, learnt, provenance)
            checkpoint.remove()
        return outcome, columns, average

    def _in_the_hand_of_the_particles(self, inputs: _Inputs) -> _Inputs:
        reference, mirrored = in_hand_of(
            inputs.particles, inputs.reference, self.mirror, self.method, inputs.symmetry, inputs.device, self.parallel
        )
        return replace(inputs, reference=reference, mirrored=mirrored)

    def _align(
        self, inputs: _Inputs, checkpoint: Checkpoint | None, part: Part | None
    ) -> tuple[Columns, Learnt | None]:
        """One row for each particle that is done, on the root, and what the method has learnt before."""
        particles, device = inputs.particles, inputs.device
        reference = symmetrised(inputs.reference, inputs.symmetry)
        method = self.method.prepare(reference, inputs.symmetry, device)
        method = calibrated_with(method, particles, device, inputs.centres)
        aligner = ChunkAligner(particles, method, device, self.seed, self.skip_bad, inputs.centres)
        count = len(particles)
        rows = range(count) if part is None else part.rows(count)
        signatures = [] if checkpoint is None else particle_signatures(particles)
        job.begin("aligning")
        columns = self.sharing(aligner, self.at_once(particles.box), self.parallel, checkpoint, signatures, rows)
        return columns, method.learnt if isinstance(method, LearningAligner) else None

    def _aligned(self, columns: Columns) -> tuple[np.ndarray, Poses]:
        """The particles that have a pose, and their poses."""
        rows = np.flatnonzero(columns["fault"] == "")
        if len(rows) == 0:
            raise InputError(f"{self.particles}: every particle was set aside; the first: {columns['fault'][0]}")
        return rows, to_result(columns, rows).poses

    def _read_inputs(self) -> _Inputs:
        particles = self.read()
        reference = matching_map(self.reference, particles, self.voxel_size_angstrom)
        truth = None if self.truth is None else true_poses(self.truth, particles)
        found = judge_input(particles, particles.halves, self.seed) if self.parallel.is_root else []
        centres = listed_origins(particles, truth)
        return _Inputs(particles, reference, Symmetry(self.symmetry), pick_device(self.device), truth, centres, found)

    def _publish(
        self,
        inputs: _Inputs,
        columns: Columns,
        average: DensityMap,
        learnt: Learnt | None,
        provenance: Provenance,
    ) -> Outcome:
        rows, _ = self._aligned(columns)
        result = to_result(columns, rows)
        kept = inputs.particles.select(rows.tolist())
        out = Path(self.out)
        with publish(out) as staging:
            write_map(staging / "average.mrc", average)
            seen_by(
                lambda some, at: save_alignment_slices(
                    staging / "slices.npz", some, result.poses[at], inputs.reference, average
                ),
                kept,
                self.skip_bad,
            )
            verdict = self._judge(inputs, rows, result.poses, columns["fault"].tolist())
            metrics = self._metrics(inputs, columns, learnt, provenance)
            metrics = _with_verdict(metrics, verdict)
            write_metrics(staging / "metrics.json", metrics)
            write_set_aside(staging / "set_aside.txt", columns["fault"])
            (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
            if self.report is not None:
                self.report(staging)
            # Written straight to its place, in one piece: it names the particles relative to where it stands.
            write_poses(
                out / "poses.star",
                kept,
                result.poses,
                scores=result.scores,
                covariances=result.covariances,
                columns={AMBIGUITY: result.ambiguity.tolist()},
            )
        views = write_views(out, "average.mrc", average.voxel_size, average.box[0])
        outcome = _outcome(out, metrics)
        return replace(outcome, notes=(*outcome.notes, *views), verdict=verdict, strict=self.strict)

    def _judge(self, inputs: _Inputs, rows: np.ndarray, poses: Poses, faults: list[str]) -> Verdict:
        """What can be said of the poses of the particles that have one."""
        kept = inputs.particles.select(rows.tolist())
        centres = None if inputs.centres is None else inputs.centres[torch.from_numpy(rows)]

        def look(some: ParticleSet, at: list[int]) -> list[Finding | None]:
            from_where = None if centres is None else centres[at]
            known = judge_reference(some, inputs.reference, search_radius(self.method), from_where, self.seed)
            return [*known, *judge_views(some, poses[at], inputs.symmetry, self.seed)]

        findings = [
            SetAside()(faults),
            *inputs.copies,
            judge_hand(self.mirror, inputs.mirrored),
            *judge_symmetry(inputs.reference, inputs.symmetry, inputs.truth is not None),
            *(seen_by(look, kept, self.skip_bad) or []),
        ]
        return Verdict.of(findings)

    def _outcome_of(self, part: Part, columns: Columns) -> Outcome:
        rows = (("particles done", str(len(columns["fault"]))),)
        note = "when all parts are done, the same command without part= writes the results"
        return Outcome(f"align, part {part.number} of {part.total}", ("", "value"), rows, (note,))

    def _metrics(
        self, inputs: _Inputs, columns: Columns, learnt: Learnt | None, provenance: Provenance
    ) -> dict[str, Any]:
        table = alignment_columns(inputs.particles, columns, self._errors(inputs, columns))
        return {
            **surroundings(provenance, self.seed, inputs.device, self.parallel.size),
            "method": type(self.method).__name__,
            "symmetry": inputs.symmetry.name,
            "particle_list": self.particles,
            "reference": self.reference,
            "reference_mirrored": inputs.mirrored,
            "learnt": None if learnt is None else learnt.record(),
            "box": inputs.particles.box,
            "voxel_size_angstrom": inputs.particles.voxel_size,
            "summary": {**alignment_summary(table), "wall_seconds": round(provenance.seconds, 3)},
            "stage_cpu_seconds": stage_seconds(columns),
            "particles": table,
        }

    def _errors(self, inputs: _Inputs, columns: Columns) -> PoseErrors | None:
        if inputs.truth is None:
            return None
        estimated = to_result(columns, np.arange(len(inputs.particles))).poses
        judged = self.evaluation(estimated, inputs.truth, inputs.symmetry)
        return compare_poses(judged, inputs.truth, inputs.symmetry)


def _with_verdict(metrics: dict[str, Any], verdict: Verdict) -> dict[str, Any]:
    """The metrics with the verdict, and without a summary of expected errors that a wrong model makes meaningless."""
    summary = metrics["summary"]
    if meaningless_errors(verdict.findings):
        summary = {**summary, **{name: None for name in summary if name.endswith(_EXPECTED)}}
    return {"verdict": verdict.record(), **metrics, "summary": summary}


def _without(columns: Columns, lost: dict[int, str]) -> Columns:
    """What was found, without the particles that could be aligned and no longer be averaged, by their rows."""
    faults = [lost.get(row, fault) for row, fault in enumerate(columns["fault"])]
    for reason in lost.values():
        _log.warning("set aside: %s", reason)
    return {**columns, "fault": np.array(faults)}


def _room(particles: ParticleSet) -> int:
    """Bytes that a run writes: its checkpoint and tables, and a few maps."""
    return 4000 * len(particles) + 40 * math.prod(particles.box)


def _outcome(out: Path, metrics: dict[str, Any]) -> Outcome:
    summary = metrics["summary"]
    rows = [("particles aligned", str(summary["aligned"]))]
    if summary["set_aside"]:
        rows.append(("particles set aside", str(summary["set_aside"])))
    for name, label, digits in _SHOWN:
        if summary.get(name) is not None:
            rows.append((label, f"{summary[name]:.{digits}f}"))
    learnt = metrics["learnt"]
    if learnt is not None:
        rows.append(("finest detail of the reference that counts (angstrom)", f"{learnt['finest_angstrom']:.1f}"))
    notes = [*files_made(out, ("poses.star", "average.mrc", "metrics.json"))]
    if metrics["reference_mirrored"]:
        notes.append("poses and average.mrc are of the mirror image of the reference, z (of T x) counted backwards")
    return Outcome(f"align with {metrics['method']}", ("", "value"), tuple(rows), tuple(notes))
