"""Align a particle set chunk by chunk: memory does not grow with the number of particles."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag import loggers
from torchsag.alignment.aligner import OF_MODES, AlignmentResult, PreparedAligner
from torchsag.errors import InputError
from torchsag.parallel import Workers, fair_chunk
from torchsag.particles import ParticleBatch, ParticleSet
from torchsag.runs.checkpoint import Checkpoint, Columns
from torchsag.runs.progress import progress
from torchsag.runs.usable_particles import load_usable
from torchsag.timing import StageClock, stage

_log = logging.getLogger(__name__)

_STAGE = "stage_cpu_seconds."
_RESULTS = ("rotations", "shifts", "scores", "covariances", "ambiguity", "converged", "passes")


@dataclass(frozen=True)
class ChunkAligner:
    """Loads and aligns some rows of a particle set.

    Attributes
    ----------
    particles
        The set.
    method
        The aligner, prepared for the reference.
    device
        Where it computes.
    seed
        Of torch's global generator, set anew before each chunk. torchsag's own methods do not draw from it: they have
        a seed of their own and draw the same numbers for every particle, so that results do not depend on the chunks.
    skip_bad
        Whether unusable particles, and those on which the method fails, get a row that says so instead of ending the
        run. A particle whose pose comes out as no number always does.
    centres
        Where to look for each particle, voxels from its box centre; None for the box centres.
    """

    particles: ParticleSet
    method: PreparedAligner
    device: torch.device
    seed: int
    skip_bad: bool
    centres: Float[Tensor, "particles 3"] | None = None

    def __call__(self, rows: range) -> Columns:
        """One row of every column for each particle in `rows`."""
        with StageClock() as clock, stage("total"):
            batch, good, faults = self._load(rows)
            with stage("alignment"):
                result, good = self._align(batch, good, faults)
        columns = _columns(len(rows), result, [row - rows.start for row in good])
        columns["fault"] = np.array([faults.get(row, "") for row in rows])
        total = clock.cpu_seconds["total"]
        columns["cpu_seconds"] = np.full(len(rows), total / len(rows))
        columns.update({f"{_STAGE}{name}": np.array([spent]) for name, spent in clock.cpu_seconds.items()})
        return columns

    def _align(
        self, batch: ParticleBatch | None, rows: list[int], faults: dict[int, str]
    ) -> tuple[AlignmentResult | None, list[int]]:
        """The result of the particles that have one, and which they are; what is wrong with others joins `faults`."""
        if batch is None:
            return None, []
        try:
            parts = self._results(batch, rows)
        except InputError:
            raise
        except Exception as error:  # one particle's fault, of whatever kind, must not cost the others of its chunk
            if not self.skip_bad:
                raise
            _log.info("%s: %s; aligning particles %s one by one", type(error).__name__, error, rows)
            parts = [self._attempt(batch[k : k + 1], row, faults) for k, row in enumerate(rows)]
            rows = [row for row in rows if row not in faults]
        found = [part for part in parts if part is not None]
        if not found:
            return None, []
        result = AlignmentResult.concatenate(found)
        finite = result.poses.shifts.isfinite().all(-1) & result.poses.rotations.isfinite().all((-2, -1))
        for k in (~finite).nonzero()[:, 0].tolist():
            faults[rows[k]] = (
                f"particle {self.particles.names[rows[k]]}: expected a pose, got numbers that are not finite"
            )
        return result[finite], [row for row in rows if row not in faults]

    def _attempt(self, particle: ParticleBatch, row: int, faults: dict[int, str]) -> AlignmentResult | None:
        """One particle; if that fails it is set aside."""
        try:
            return self._result(particle, [row])
        except Exception as error:  # whatever it is, the others go on, and the reason is in the results
            faults[row] = f"particle {particle.names[0]}: alignment failed, {type(error).__name__}: {error}"
            return None

    def _results(self, batch: ParticleBatch, rows: list[int]) -> list[AlignmentResult]:
        """Of all at once, or, where a GPU's memory does not hold that, of one half after the other."""
        try:
            return [self._result(batch, rows)]
        except torch.OutOfMemoryError:
            if len(rows) == 1:
                raise
        # Outside of the handler, which keeps what was computed so far.
        _log.info("the GPU's memory does not hold %d particles at once; aligning half of them at a time", len(rows))
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
        middle = len(rows) // 2
        return self._results(batch[:middle], rows[:middle]) + self._results(batch[middle:], rows[middle:])

    def _result(self, batch: ParticleBatch, rows: list[int]) -> AlignmentResult:
        torch.manual_seed(self.seed)
        if self.centres is None:
            return self.method(batch).to("cpu")
        centres = self.centres[torch.tensor(rows)]
        return self.method(batch.recentred(centres)).to("cpu").moved(centres)

    def _load(self, rows: range) -> tuple[ParticleBatch | None, list[int], dict[int, str]]:
        with stage("reading"):
            return load_usable(self.particles, rows, self.device, self.skip_bad)


def align_in_chunks(
    aligner: ChunkAligner,
    chunk: int,
    workers: Workers,
    checkpoint: Checkpoint | None,
    signatures: Sequence[str],
    within: range | None = None,
) -> Columns:
    """Align the set, or the rows `within`; what a checkpoint holds already is not computed again.

    Returns
    -------
    Columns over all particles that are done, on the root, in order; empty on other ranks.
    """
    within = range(len(aligner.particles)) if within is None else within
    gathered = _Gathered(len(aligner.particles))
    done = {} if checkpoint is None else checkpoint.finished(signatures)
    for rows, columns in done.items():
        gathered.add(rows, columns)
    known = workers.broadcast(list(done))
    finished = sum(len(_common(rows, within)) for rows in known)
    size = fair_chunk(len(within) - finished, chunk, workers.size)
    if finished and workers.is_root:
        _log.info("resuming: %d of %d particles are done", finished, len(within))
        loggers.skip("chunk", finished)
    with progress("aligning", len(within), finished, visible=workers.is_root) as advance:
        for rows, columns in workers.map_chunks(aligner, remaining_chunks(known, within.stop, size, within.start)):
            if checkpoint is not None:
                checkpoint.save(rows, signatures, columns)
            gathered.add(rows, columns)
            advance(len(rows))
            loggers.note("chunk", chunk_numbers(columns), advance=len(rows))
            for fault in filter(None, columns["fault"]):
                _log.warning("set aside: %s", fault)
    return gathered.columns() if workers.is_root else {}


def chunk_numbers(columns: Columns) -> dict[str, float | int]:
    """What can be said of a chunk: medians over the particles that have a pose."""
    used = columns["fault"] == ""
    numbers: dict[str, float | int] = {"particles": len(used), "set_aside": int((~used).sum())}
    if used.any():
        numbers |= {
            "median_score": float(np.median(columns["scores"][used])),
            "median_cpu_seconds": float(np.median(columns["cpu_seconds"][used])),
            "median_passes": float(np.median(columns["passes"][used])),
            "converged": float(columns["converged"][used].mean()),
        }
    return numbers


def remaining_chunks(done: list[range], count: int, chunk: int, first: int = 0) -> list[range]:
    """Cut what is not done yet of the rows from `first` to `count` into ranges of at most `chunk` rows."""
    gaps: list[range] = []
    position = first
    for rows in [*sorted(done, key=lambda rows: rows.start), range(count, count)]:
        end = min(rows.start, count)
        gaps += [range(start, min(start + chunk, end)) for start in range(position, end, chunk)]
        position = max(position, rows.stop)
    return gaps


def stage_seconds(columns: Columns) -> dict[str, float]:
    """Total CPU seconds by stage."""
    return {key[len(_STAGE) :]: float(column.sum()) for key, column in columns.items() if key.startswith(_STAGE)}


def to_result(columns: Columns, rows: np.ndarray) -> AlignmentResult:
    """The alignment of some rows."""
    known = {*_RESULTS, *OF_MODES}
    return AlignmentResult.from_columns({name: column[rows] for name, column in columns.items() if name in known})


def _columns(count: int, result: AlignmentResult | None, rows: list[int]) -> Columns:
    empty: Columns = {
        "rotations": np.full((count, 3, 3), np.nan, np.float32),
        "shifts": np.full((count, 3), np.nan, np.float32),
        "scores": np.full(count, np.nan, np.float32),
        "covariances": np.full((count, 6, 6), np.nan, np.float32),
        "ambiguity": np.full(count, np.nan, np.float32),
        "converged": np.zeros(count, bool),
        "passes": np.full(count, np.nan, np.float32),
    }
    if result is not None:
        for name, column in result.columns().items():
            if name not in empty:
                empty[name] = np.full((count, *column.shape[1:]), np.nan, column.dtype)
            empty[name][rows] = column
    return empty


def _common(one: range, other: range) -> range:
    return range(max(one.start, other.start), min(one.stop, other.stop))


class _Gathered:
    """Columns of finished chunks, in arrays with a row for every particle of the set.

    Kept chunk by chunk they would be thousands of small arrays between the large ones that come and go, and the C
    library could not join what is free around them (experiments/benchmarks/long_run.py).
    """

    def __init__(self, count: int):
        self._whole: Columns = {"fault": np.full(count, "", object)}
        self._done = np.zeros(count, bool)
        self._seconds: dict[str, float] = {}

    def add(self, rows: range, columns: Columns) -> None:
        """Take in what was found of `rows`."""
        for name, column in columns.items():
            if name.startswith(_STAGE):
                self._seconds[name] = self._seconds.get(name, 0.0) + float(column.sum())
                continue
            if name not in self._whole:
                self._whole[name] = np.zeros((len(self._done), *column.shape[1:]), column.dtype)
            self._whole[name][rows.start : rows.stop] = column
        self._done[rows.start : rows.stop] = True

    def columns(self) -> Columns:
        """Of all rows that are done, in order."""
        found = {name: column if self._done.all() else column[self._done] for name, column in self._whole.items()}
        return {**found, "fault": found["fault"].astype(str), **{k: np.array([v]) for k, v in self._seconds.items()}}
