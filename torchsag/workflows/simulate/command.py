"""Make a data set of subtomograms with known poses: the loop behind ``torchsag simulate``."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from torchsag.errors import InputError
from torchsag.fourier import low_pass
from torchsag.io import write_map, write_poses
from torchsag.io.relion import WEIGHT
from torchsag.parallel import Serial, Workers, fair_chunk
from torchsag.particles import DensityMap
from torchsag.runs.checkpoint import Checkpoint, Columns, describe
from torchsag.runs.chunked_alignment import remaining_chunks
from torchsag.runs.device import pick_device
from torchsag.runs.metrics import surroundings, write_metrics
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim, publish, require_room
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance
from torchsag.simulation.fast import FastPipeline
from torchsag.simulation.pipeline import Pipeline
from torchsag.simulation.pose_distribution import PoseDistribution, UniformPoses
from torchsag.simulation.resampling import structure_radius
from torchsag.simulation.structures import Structure
from torchsag.workflows.simulate.particle_writer import ParticleWriter, volume_name

_log = logging.getLogger(__name__)

# Settings that say how a run is carried out, not what it makes: they may change when it is resumed.
_HOW = {"out", "device", "chunk", "resume", "parallel", "low_pass_angstrom"}


_SHIFTS_LOOKED_AT = 200
_WHOLE_STRUCTURE = 0.999
_BY_HAND = Provenance("simulate")


@dataclass(frozen=True)
class Simulate:
    """Particles of a structure, or of a mixture, written with their true poses.

    Attributes
    ----------
    out
        Folder for everything.
    structure
        What is simulated.
    pipeline
        How particles are made of it.
    poses
        How particles lie.
    n
        Number of particles.
    box
        Voxels per axis.
    voxel_size_angstrom
        Angstrom per voxel.
    others
        Further structures of a mixture, by name.
    proportions
        Share of each structure, `structure` first; None for equal shares.
    low_pass_angstrom
        The reference is also written low-passed to this resolution; None for not.
    float16
        Half-precision volumes: half the size, three digits.
    resume
        Carry on from an unfinished run in the same folder; false starts over.
    chunk
        Particles made at a time; results do not depend on it.
    seed
        Everything random follows from this number: particle i is the same in any chunk, on any device, on any rank.
    device
        ``cpu``, ``cuda``, ``cuda:1``, ...; ``auto`` takes a GPU where there is one.
    parallel
        The processes that share the work.
    """

    out: str
    structure: Structure
    pipeline: Pipeline = field(default_factory=FastPipeline)
    poses: PoseDistribution = field(default_factory=UniformPoses)
    n: int = 20
    box: int = 64
    voxel_size_angstrom: float = 6.0
    others: dict[str, Structure] = field(default_factory=dict)
    proportions: Sequence[float] | None = None
    low_pass_angstrom: float | None = 60.0
    float16: bool = False
    resume: bool = True
    chunk: int = 16
    seed: int = 0
    device: str = "auto"
    parallel: Workers = field(default_factory=Serial)

    def __post_init__(self):
        if not isinstance(self.pipeline, Pipeline):
            raise InputError(
                "pipeline: expected an object with prepare, snr and snr_convention "
                f"(torchsag.simulation.pipeline.Pipeline), got {type(self.pipeline).__name__}"
            )
        for name in ("n", "chunk"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.seed < 0:
            raise InputError(f"seed: expected a whole number of at least 0, got {self.seed}")
        if self.box < 8:
            raise InputError(f"box: expected at least 8 voxels, got {self.box}")
        if not self.voxel_size_angstrom > 0:
            raise InputError(f"voxel_size_angstrom: expected a number above 0, got {self.voxel_size_angstrom}")
        if self.low_pass_angstrom is not None and not self.low_pass_angstrom >= 2 * self.voxel_size_angstrom:
            raise InputError(
                f"low_pass_angstrom: expected at least two voxels ({2 * self.voxel_size_angstrom:g} angstrom) or null, "
                f"got {self.low_pass_angstrom}"
            )
        shares = self.proportions
        if shares is not None and (len(shares) != 1 + len(self.others) or min(shares) < 0 or not sum(shares) > 0):
            raise InputError(
                f"proportions: expected {1 + len(self.others)} numbers, one for each structure, none negative, "
                f"got {list(shares)}"
            )

    def __call__(self, provenance: Provenance = _BY_HAND) -> Outcome:
        """Make and write the particles, then the list of them, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable.
        """
        start = time.perf_counter() if provenance is _BY_HAND else provenance.began
        device = pick_device(self.device)
        structures = [self.structure, *self.others.values()]
        references = [one.density(self.box, self.voxel_size_angstrom) for one in structures]
        self._check_room(references)
        shares = np.ones(len(references)) if self.proportions is None else np.asarray(self.proportions, dtype=float)
        writer = ParticleWriter(
            Path(self.out),
            tuple(self.pipeline.prepare(one.to(device)) for one in references),
            tuple((shares / shares.sum()).tolist()),
            self.poses,
            self.seed,
            self.float16,
        )
        with ExitStack() as stack:
            checkpoint = None
            if self.parallel.is_root:
                out = stack.enter_context(claim(Path(self.out), command=provenance.command))
                missing = sum(not (out / volume_name(i)).exists() for i in range(self.n))
                require_room(out, missing * (2 if self.float16 else 4) * self.box**3)
                checkpoint = self._open_checkpoint(references)
            columns = self._make(writer, checkpoint)
            if checkpoint is None:
                return Outcome()
            outcome = self._publish(writer, references, columns, provenance, start, device)
            checkpoint.remove()
        return outcome

    def _check_room(self, references: list[DensityMap]) -> None:
        """Warn where shifts carry a structure over the border of its box, to come back on the other side."""
        shift = float(self.poses.draw(self.seed, range(min(self.n, _SHIFTS_LOOKED_AT))).shifts.norm(dim=-1).max())
        radius = max(structure_radius(one.density, _WHOLE_STRUCTURE) for one in references)
        if radius + shift > self.box / 2:
            _log.warning(
                "shifts of up to %.1f voxels carry a structure of radius %.0f voxels over the border of a box of %d: "
                "use box=%d",
                *(shift, radius, self.box, 2 * math.ceil(radius + shift)),
            )

    def _open_checkpoint(self, references: list[DensityMap]) -> Checkpoint:
        settings = {key: value for key, value in describe(self).items() if key.split(".")[0] not in _HOW}
        settings["reference"] = " ".join(_digest(one) for one in references)
        return Checkpoint.begin(Path(self.out), settings, self.resume)

    def _make(self, writer: ParticleWriter, checkpoint: Checkpoint | None) -> Columns:
        names = [volume_name(i) for i in range(self.n)]
        present = [name if (writer.folder / name).exists() else "" for name in names]
        done = self.parallel.broadcast({} if checkpoint is None else checkpoint.finished(present))
        finished = sum(len(rows) for rows in done)
        if finished and checkpoint is not None:
            _log.info("resuming: %d of %d particles are there", finished, self.n)
        with progress("simulating", self.n, finished, visible=checkpoint is not None) as advance:
            size = fair_chunk(self.n - finished, self.chunk, self.parallel.size)
            chunks = remaining_chunks(list(done), self.n, size)
            for rows, columns in self.parallel.map_chunks(writer, chunks):
                if checkpoint is not None:
                    checkpoint.save(rows, names, columns)
                done[rows] = columns
                advance(len(rows))
        parts = [done[rows]["weight"] for rows in sorted(done, key=lambda rows: rows.start)]
        return {"weight": np.concatenate(parts)} if parts else {}

    def _publish(
        self,
        writer: ParticleWriter,
        references: list[DensityMap],
        columns: Columns,
        provenance: Provenance,
        start: float,
        device: Any,
    ) -> Outcome:
        out = Path(self.out)
        particles = writer.particle_set(references[0], columns["weight"].tolist())
        counts = np.bincount(writer.classes(range(self.n)), minlength=len(references)).tolist()
        seconds = time.perf_counter() - start
        with publish(out) as staging:
            for index, reference in enumerate(references):
                self._write_reference(staging, "" if index == 0 else f"_class{index + 1}", reference)
            metrics = {
                **surroundings(provenance, self.seed, device, self.parallel.size),
                "particles": self.n,
                "particles_per_class": counts,
                "box": references[0].box,
                "voxel_size_angstrom": self.voxel_size_angstrom,
                "snr": self.pipeline.snr,
                "snr_convention": self.pipeline.snr_convention,
                "wall_seconds": round(seconds, 3),
            }
            write_metrics(staging / "metrics.json", metrics)
            (staging / "config.yaml").write_text(provenance.configuration, encoding="utf-8")
        write_poses(out / "particles.star", particles, None, columns={WEIGHT: columns["weight"].tolist()})
        rows = [("particles", str(self.n)), ("box (voxels)", str(self.box))]
        rows += [("voxel size (angstrom)", f"{self.voxel_size_angstrom:g}"), ("SNR", f"{self.pipeline.snr:g}")]
        rows += [("seconds", f"{seconds:.1f}")]
        notes = (f"SNR: {self.pipeline.snr_convention}", *(str(out / n) for n in ("particles.star", "reference.mrc")))
        return Outcome("simulate", ("", "value"), tuple(rows), notes)

    def _write_reference(self, folder: Path, suffix: str, reference: DensityMap) -> None:
        write_map(folder / f"reference{suffix}.mrc", reference)
        if self.low_pass_angstrom is not None:
            smooth = low_pass(reference.density, self.low_pass_angstrom, reference.voxel_size)
            name = f"reference{suffix}_{self.low_pass_angstrom:g}A.mrc"
            write_map(folder / name, DensityMap(smooth, reference.voxel_size))


def _digest(reference: DensityMap) -> str:
    return hashlib.sha256(reference.density.contiguous().numpy().tobytes()).hexdigest()[:16]
