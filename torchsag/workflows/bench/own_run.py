"""torchsag's own methods as entrants: from the files of a task to a list, through the same door as others."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from torchsag.alignment.aligner import Aligner
from torchsag.averaging.frames import symmetrised
from torchsag.bench.task import Task
from torchsag.classification.classifier import Classifier
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles, write_poses
from torchsag.parallel import Serial
from torchsag.runs.calibration import calibrated_with
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.device import pick_device
from torchsag.runs.provenance import Provenance
from torchsag.workflows.average.command import Average
from torchsag.workflows.classify.command import Classify

_CHUNK = 64


@dataclass(frozen=True)
class OwnEntrant:
    """Methods of torchsag, one for each kind of task.

    Attributes
    ----------
    method
        Aligns.
    local_method
        Takes over near known poses when averages are made; None for not.
    classifier
        Divides.
    seed, device
        As in every command.
    """

    method: Aligner
    local_method: Aligner | None
    classifier: Classifier
    seed: int
    device: str

    def __call__(self, task: Task, data: Path, out: Path, provenance: Provenance) -> tuple[Path, float]:
        """Solve a task; returns the list and the CPU seconds it took, from reading to writing."""
        out.mkdir(parents=True, exist_ok=True)
        run = {"average": self._average, "classify": self._classify}.get(task.kind, self._align)
        start = time.process_time()
        return run(task, data, out, provenance), time.process_time() - start

    def _align(self, task: Task, data: Path, out: Path, provenance: Provenance) -> Path:
        device, symmetry = pick_device(self.device), Symmetry(task.symmetry)
        particles = read_particles(data / "particles.star")
        reference = symmetrised(read_map(data / "reference.mrc"), symmetry)
        prepared = calibrated_with(self.method.prepare(reference, symmetry, device), particles, device)
        aligner = ChunkAligner(particles, prepared, device, self.seed, False)
        columns = align_in_chunks(aligner, _CHUNK, Serial(), None, [])
        result = to_result(columns, np.arange(len(particles)))
        write_poses(out / "poses.star", particles, result.poses, scores=result.scores, covariances=result.covariances)
        return out / "poses.star"

    def _average(self, task: Task, data: Path, out: Path, provenance: Provenance) -> Path:
        Average(
            particles=str(data / "particles.star"),
            out=str(out),
            reference=str(data / "reference.mrc") if task.reference_given else None,
            method=self.method,
            local_method=self.local_method,
            symmetry=task.symmetry,
            seed=self.seed,
            device=self.device,
        )(Provenance("average", provenance.configuration, provenance.packages))
        return out / "poses.star"

    def _classify(self, task: Task, data: Path, out: Path, provenance: Provenance) -> Path:
        Classify(
            particles=str(data / "particles.star"),
            out=str(out),
            reference=str(data / "reference.mrc"),
            method=self.classifier,
            alignment=self.method,
            local_alignment=self.local_method,
            classes=len(task.structures),
            symmetry=task.symmetry,
            seed=self.seed,
            device=self.device,
        )(Provenance("classify", provenance.configuration, provenance.packages))
        return out / "poses.star"
