"""The same particles through several methods: the work behind ``torchsag compare``."""

from __future__ import annotations

import csv
import dataclasses
import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import Aligner, AlignmentResult, PreparedAligner
from torchsag.errors import InputError
from torchsag.evaluation import compare_poses
from torchsag.evaluation.paired_tests import paired_tests
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.fourier_band import FourierBand
from torchsag.imaging.fourier_table import FourierTable
from torchsag.imaging.reference import isolated
from torchsag.parallel import Serial, Workers
from torchsag.particles import DensityMap, ParticleBatch
from torchsag.scoring.fisher import noise_variance, pose_covariance
from torchsag.scoring.fourier_blocks import BlockSums, block_sums
from torchsag.scoring.observations import Observations, observe
from torchsag.workflows.device import pick_device
from torchsag.workflows.metrics import surroundings, write_metrics
from torchsag.workflows.outcome import Outcome, Report
from torchsag.workflows.output_folder import claim, publish
from torchsag.workflows.provenance import Provenance
from torchsag.workflows.trials import Trial, Trials

_log = logging.getLogger(__name__)

_QUANTITIES = ("ccc", "rotation_error_deg", "shift_error_angstrom")
_SHOWN = {
    "trial": ("trial", "{}"),
    "method": ("method", "{}"),
    "mean_ccc": ("CCC", "{:.4f}"),
    "median_rotation_error_deg": ("rotation error (deg)", "{:.2f}"),
    "bound_rotation_deg": ("bound, rms (deg)", "{:.2f}"),
    "median_shift_error_angstrom": ("shift error (angstrom)", "{:.2f}"),
    "within_10_deg": ("within 10 deg", "{}"),
    "cpu_seconds": ("CPU s / particle", "{:.3f}"),
    "mean_passes": ("passes", "{:.0f}"),
}

Row = dict[str, Any]


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
        Everything random follows from it.
    device
        As in `Align`.
    parallel
        The processes that share the work, each aligning all particles of a trial with one method at a time.
    report
        Makes the page of plots; None for none.
    """

    methods: dict[str, Aligner]
    trials: Trials
    out: str
    symmetry: str = "C1"
    seed: int = 0
    device: str = "auto"
    parallel: Workers = field(default_factory=Serial)
    report: Report | None = None

    def __post_init__(self):
        if not self.methods:
            raise InputError("methods: expected at least one aligner, got none; add one by +method@methods.NAME=NAME")
        for name, method in self.methods.items():
            if not isinstance(method, Aligner):
                raise InputError(f"methods.{name}: expected an aligner, got {type(method).__name__}")
        Symmetry(self.symmetry)

    def __call__(self, provenance: Provenance) -> Outcome:
        """Align, and write ``particles.csv``, ``summary.csv``, ``paired_tests.csv`` and the plots below `out`."""
        out, device = Path(self.out), pick_device(self.device)
        with ExitStack() as stack:
            if self.parallel.is_root:
                stack.enter_context(claim(out))
            trials = list(self.trials.make(self.seed, device))
            done = self._align_all(trials, device)
            if not self.parallel.is_root:
                return Outcome()
            particles: list[Row] = []
            summary: list[Row] = []
            tests: list[Row] = []
            for number, trial in enumerate(trials):
                rows = {name: done[number, name] for name in self.methods}
                bound = _bound(trial)
                particles += [row for each in rows.values() for row in each]
                summary += [_summarise(each) | bound for each in rows.values()]
                tests += _test(trial.name, rows)
            with publish(out) as staging:
                _write(staging / "particles.csv", particles)
                _write(staging / "summary.csv", summary)
                _write(staging / "paired_tests.csv", tests)
                where = surroundings(provenance, self.seed, device, self.parallel.size)
                write_metrics(staging / "metrics.json", {**where, "summary": summary})
                (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
                if self.report is not None:
                    self.report(staging)
        return _outcome(out, summary, tests)

    def _align_all(self, trials: Sequence[Trial], device: torch.device) -> dict[tuple[int, str], list[Row]]:
        """Every trial with every method, on the root."""

        def align(task: tuple[int, str]) -> list[Row]:
            number, name = task
            return self._align(name, self.methods[name], trials[number], device)

        tasks = [(number, name) for number in range(len(trials)) for name in self.methods]
        return dict(self.parallel.map_chunks(align, tasks))

    def _align(self, name: str, method: Aligner, trial: Trial, device: torch.device) -> list[Row]:
        _log.info("%s: aligning with %s", trial.name, name)
        symmetry = Symmetry(self.symmetry)
        aligner = method.prepare(trial.reference, symmetry, device)
        # Compiled code is loaded and tables are filled before the clock starts.
        aligner(trial.particles[:1])
        result, seconds = _timed(aligner, trial.particles, self.seed)
        columns = {
            "ccc": _correlation(trial.particles, trial.reference, result.poses),
            "cpu_seconds": torch.full_like(result.passes, seconds / len(result)),
            "passes": result.passes,
            "converged": result.converged,
        }
        if trial.truth is not None:
            errors = compare_poses(result.poses, trial.truth, symmetry)
            columns["rotation_error_deg"] = errors.rotation_deg
            columns["shift_error_angstrom"] = errors.shift_voxels * trial.reference.voxel_size
        values = {key: column.cpu().tolist() for key, column in columns.items()}
        return [
            {"trial": trial.name, "method": name, "particle": particle, **{key: values[key][row] for key in values}}
            for row, particle in enumerate(trial.particles.names)
        ]


def _timed(aligner: PreparedAligner, particles: ParticleBatch, seed: int) -> tuple[AlignmentResult, float]:
    torch.manual_seed(seed)
    start = time.process_time()
    result = aligner(particles)
    return result, time.process_time() - start


def _sums(particles: ParticleBatch, model: DensityMap, poses: Poses) -> tuple[Observations, BlockSums]:
    """Particles against a placed map, over all shells but the last."""
    shell = model.box[0] // 2 - 1
    band = FourierBand.of(model.box[0], shell, device=model.density.device)
    observed = observe(particles, band)
    table = FourierTable.from_density(isolated(model.density.float()), shell)
    every = torch.arange(len(particles), device=model.density.device)
    return observed, block_sums(table, band, observed, poses, every, torch.arange(band.num_blocks)).total()


def _correlation(particles: ParticleBatch, reference: DensityMap, poses: Poses) -> Float[Tensor, " particles"]:
    """The constrained correlation, the same for all methods: all shells that a particle measured, nothing whitened."""
    observed, sums = _sums(particles, reference, poses)
    return sums.cross[:, 0] * (sums.energy[:, 0] * observed.power.sum(-1)).clamp_min(1e-30).rsqrt()


def _bound(trial: Trial) -> Row:
    """Root mean square of the least errors that an unbiased method could make, by Cramer and Rao."""
    if trial.truth is None or trial.structure is None:
        return {"bound_rotation_deg": None, "bound_shift_angstrom": None}
    observed, sums = _sums(trial.particles, trial.structure, trial.truth)
    energy = sums.energy[:, 0].clamp_min(1e-30)
    variance = noise_variance(observed, sums.cross[:, 0] * energy.rsqrt())
    diagonal = pose_covariance(sums, sums.cross[:, 0] / energy, variance).diagonal(dim1=1, dim2=2)
    turned, moved = (float(diagonal[:, part].sum(1).nanmean().sqrt()) for part in (slice(0, 3), slice(3, 6)))
    return {"bound_rotation_deg": math.degrees(turned), "bound_shift_angstrom": moved * trial.structure.voxel_size}


def _summarise(rows: Sequence[Row]) -> Row:
    """Means and medians of one method in one trial."""
    ccc = np.array([row["ccc"] for row in rows])
    summary: Row = {
        "trial": rows[0]["trial"],
        "method": rows[0]["method"],
        "particles": len(rows),
        "mean_ccc": float(ccc.mean()),
        "std_ccc": float(ccc.std(ddof=1)) if len(rows) > 1 else math.nan,
        "cpu_seconds": float(rows[0]["cpu_seconds"]),
        "mean_passes": float(np.mean([row["passes"] for row in rows])),
        "converged": sum(row["converged"] for row in rows),
        "median_rotation_error_deg": None,
        "median_shift_error_angstrom": None,
        "within_10_deg": None,
    }
    if "rotation_error_deg" in rows[0]:
        turned = np.array([row["rotation_error_deg"] for row in rows])
        summary["median_rotation_error_deg"] = float(np.median(turned))
        summary["median_shift_error_angstrom"] = float(np.median([row["shift_error_angstrom"] for row in rows]))
        summary["within_10_deg"] = int((turned < 10).sum())
    return summary


def _test(trial: str, rows: dict[str, list[Row]]) -> list[Row]:
    """Every pair of methods on every quantity; Holm's correction is over the pairs of one quantity in one trial."""
    present = next(iter(rows.values()))[0]
    tests: list[Row] = []
    for quantity in _QUANTITIES:
        if quantity in present:
            values = {name: np.array([row[quantity] for row in each]) for name, each in rows.items()}
            tests += [{"trial": trial, "quantity": quantity, **dataclasses.asdict(t)} for t in paired_tests(values)]
    return tests


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        writer.writerows(rows)


def _outcome(out: Path, summary: Sequence[Row], tests: Sequence[Row]) -> Outcome:
    shown = [key for key in _SHOWN if summary[0][key] is not None]
    rows = tuple(tuple(_SHOWN[key][1].format(row[key]) for key in shown) for row in summary)
    notes = [
        f"{test['trial']}: {test['first']} and {test['second']} differ in {test['quantity']} by "
        f"{test['mean_difference']:.3g} on average (Wilcoxon p {test['wilcoxon_p_holm']:.1g} after Holm's correction)"
        for test in tests
        if test["wilcoxon_p_holm"] < 0.05
    ]
    files = ("particles.csv", "summary.csv", "paired_tests.csv", "report.html")
    return Outcome("compare", tuple(_SHOWN[key][0] for key in shown), rows, (*notes, *(str(out / f) for f in files)))
