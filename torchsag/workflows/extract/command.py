"""Cut particles out of tomograms or tilt series: the loop behind ``torchsag extract``."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.position_list import read_positions
from torchsag.parallel import Serial, Workers, fair_chunk
from torchsag.particles import TiltRange
from torchsag.runs.checkpoint import Checkpoint, Columns, describe
from torchsag.runs.chunked_alignment import remaining_chunks
from torchsag.runs.metrics import surroundings, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim, publish, require_room
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance
from torchsag.workflows.extract.from_tilt_series import FromTiltSeries
from torchsag.workflows.extract.from_tomograms import FromTomograms
from torchsag.workflows.extract.plan import Plan, Writer

_log = logging.getLogger(__name__)
# Settings that say how a run is carried out; entries of the list and their tomograms have signatures.
_HOW = {"positions", "tomogram", "tilt_series", "out", "chunk", "resume", "parallel", "skip_bad"}
_TOMOGRAMS_ONLY = {"tomogram": None, "rescale": None, "tilt_min_deg": None, "edges": "set_aside"}
_LARGEST_EDGE = 1024  # voxels of a tomogram: 4 GiB a box
_SHOWN = 5
_BY_HAND = Provenance("extract")


@dataclass(frozen=True, kw_only=True)
class Extract:
    """Particles cut out of tomograms or tilt series, written with their listed poses.

    Attributes
    ----------
    positions
        Positions: a .star of RELION 3 to 5, WarpTools or STOPGAP, .tbl of Dynamo, .em of AV3, .xml of PyTom, .csv with
        x, y, z, or picks: .mod of IMOD, .csv of PEET or emClarity, .json of copick or EMAN2, .lst of EMAN2, .ndjson of
        the CryoET Data Portal, .vll of Dynamo.
    out
        Folder for everything.
    tomogram
        The tomogram (.mrc, .rec, .st, .map, .em), a folder with files named as the list names tomograms, or Dynamo's
        .vll or .doc; None finds them by the list and its tomograms.star.
    tilt_series
        A tomograms.star of RELION 4 or 5: cut tilt images out of its aligned series, in place of volumes out of
        tomograms.
    box
        Voxels per axis of the boxes, after binning.
    binning
        Voxels of the tomogram along an edge of one written voxel, by Fourier cropping.
    rescale
        Voxels of the tomogram for one of the list, such as 4 for positions picked in a tomogram four times coarser;
        None takes 1, or what the list says in angstrom.
    counted_from
        What the list calls the first voxel: 0, or 1 in lists of programs that count from one.
    voxel_size_angstrom
        Angstrom per voxel of the tomograms in place of what their headers say; None believes them. With tilt_series,
        what positions count where the list does not tell.
    tilt_min_deg, tilt_max_deg
        Tilt range of particles whose list gives none.
    invert
        Turn the contrast: torchsag wants particles bright.
    background_radius_voxels
        Mean 0 and variance 1 outside this many voxels of the box centre; None is half the box, 0 takes the whole box.
    edges
        A box that reaches over the border: set_aside, or pad with the mean of its inside. Of tilt images that do only
        the others are written.
    premultiply
        Multiply tilt images by their CTF and dose weight, in boxes twice as large that are cropped then, so that signal
        which the CTF spread out of the box comes back.
    float16
        Half-precision volumes: half the size, three digits.
    skip_bad
        Set particles of tomograms or tilt series that are missing or damaged aside instead of stopping; those whose
        own voxels are unusable are in any case.
    resume
        Carry on from an unfinished run in the same folder; false starts over.
    chunk
        Particles cut at a time; results do not depend on it.
    parallel
        The processes that share the work.
    """

    positions: str
    out: str
    tomogram: str | None = None
    tilt_series: str | None = None
    box: int = 64
    binning: int = 1
    rescale: float | None = None
    counted_from: float = 0.0
    voxel_size_angstrom: float | None = None
    tilt_min_deg: float | None = None
    tilt_max_deg: float | None = None
    invert: bool = False
    background_radius_voxels: float | None = None
    edges: str = "set_aside"
    premultiply: bool = True
    float16: bool = False
    skip_bad: bool = False
    resume: bool = True
    chunk: int = 64
    parallel: Workers = field(default_factory=Serial)

    def __post_init__(self):
        for name, least in (("box", 8), ("binning", 1), ("chunk", 1)):
            if getattr(self, name) < least:
                raise InputError(f"{name}: expected at least {least}, got {getattr(self, name)}")
        if self.box * self.binning > _LARGEST_EDGE:
            raise InputError(
                f"box: expected boxes of at most {_LARGEST_EDGE} voxels of the tomogram, got {self.box} x binning "
                f"{self.binning}"
            )
        for name in ("rescale", "voxel_size_angstrom"):
            value = getattr(self, name)
            if value is not None and not 1e-3 < value < 1e5:
                raise InputError(f"{name}: expected a number between 0.001 and 100000 or null, got {value}")
        if not abs(self.counted_from) <= 1:
            raise InputError(f"counted_from: expected the number of the first voxel, 0 or 1, got {self.counted_from}")
        radius = self.background_radius_voxels
        if radius is not None and not 0 <= radius <= self.box / 2:
            raise InputError(f"background_radius_voxels: expected 0 to half the box, {self.box / 2:g}, got {radius}")
        if self.edges not in ("set_aside", "pad"):
            raise InputError(f"edges: expected set_aside or pad, got {self.edges!r}")
        if (self.tilt_min_deg is None) != (self.tilt_max_deg is None):
            raise InputError(
                f"tilt range: expected both tilt_min_deg and tilt_max_deg, got {self.tilt_min_deg} and "
                f"{self.tilt_max_deg}"
            )
        given = [name for name in _TOMOGRAMS_ONLY if self.tilt_series and getattr(self, name) != _TOMOGRAMS_ONLY[name]]
        if given:
            raise InputError(f"{given[0]}: concerns tomograms, and tilt_series= cuts images; leave one of them out")

    def __call__(self, provenance: Provenance = _BY_HAND) -> Outcome:
        """Cut and write the particles, then the list of them, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable; nothing has been written then.
        """
        start = time.perf_counter() if provenance is _BY_HAND else provenance.began
        listing = read_positions(self.positions)
        plan = self._plan(listing)
        out, files = Path(self.out), ("particles.star",)
        with ExitStack() as stack:
            checkpoint = None
            if self.parallel.is_root:
                stack.enter_context(claim(out, command=provenance.command))
                missing = sum(not plan.writer.file(row).exists() for row in range(len(plan.writer.numbers)))
                require_room(out, missing * plan.bytes_each)
                settings = {key: value for key, value in describe(self).items() if key.split(".")[0] not in _HOW}
                voxel_size = f"{plan.figures['voxel_size_angstrom']:.9g}"
                checkpoint = Checkpoint.begin(out, {**settings, "voxel_size": voxel_size}, self.resume)
                _say_aside(plan.outside, plan.listed)
            columns = self._cut(plan.writer, checkpoint)
            if checkpoint is None:
                return Outcome()
            faults = columns["fault"].tolist()
            kept = [row for row, fault in enumerate(faults) if not fault]
            if not kept:
                raise InputError(f"{listing.path}: not one particle could be used; the first: {faults[0]}")
            with publish(out) as staging:
                write_set_aside(staging / "set_aside.txt", [*plan.outside, *faults])
                self._write_metrics(staging, provenance, plan, len(kept), time.perf_counter() - start)
            files = plan.write_list(out, kept, columns)
            checkpoint.remove()
        return self._outcome(plan, files, len(kept), time.perf_counter() - start)

    def _plan(self, listing: ParticleList) -> Plan:
        radius = self.box / 2 if self.background_radius_voxels is None else float(self.background_radius_voxels)
        if self.tilt_series is not None:
            return FromTiltSeries(
                out=Path(self.out),
                tomograms=Path(self.tilt_series),
                box=self.box,
                binning=self.binning,
                counted_from=self.counted_from,
                voxel_size_angstrom=self.voxel_size_angstrom,
                invert=self.invert,
                background_radius=radius,
                premultiply=self.premultiply,
                float16=self.float16,
                skip_bad=self.skip_bad,
            ).plan(listing)
        tilts = None
        if self.tilt_min_deg is not None and self.tilt_max_deg is not None:
            tilts = TiltRange(self.tilt_min_deg, self.tilt_max_deg)
        return FromTomograms(
            out=Path(self.out),
            tomogram=None if self.tomogram is None else Path(self.tomogram),
            box=self.box,
            binning=self.binning,
            rescale=self.rescale,
            counted_from=self.counted_from,
            voxel_size_angstrom=self.voxel_size_angstrom,
            tilt_range=tilts,
            invert=self.invert,
            background_radius=radius,
            pad=self.edges == "pad",
            float16=self.float16,
            skip_bad=self.skip_bad,
        ).plan(listing)

    def _cut(self, writer: Writer, checkpoint: Checkpoint | None) -> Columns:
        count, marks = len(writer.numbers), writer.marks()
        done = {} if checkpoint is None else _still_there(checkpoint.finished(marks), writer)
        done = self.parallel.broadcast(done)
        finished = sum(len(rows) for rows in done)
        if finished and checkpoint is not None:
            _log.info("resuming: %d of %d particles are there", finished, count)
        with progress("extracting", count, finished, visible=checkpoint is not None) as advance:
            size = fair_chunk(count - finished, self.chunk, self.parallel.size)
            for rows, columns in self.parallel.map_chunks(writer, remaining_chunks(list(done), count, size)):
                if checkpoint is not None:
                    checkpoint.save(rows, marks, columns)
                for fault in filter(None, columns["fault"]):
                    _log.warning("set aside: %s", fault)
                done[rows] = columns
                advance(len(rows))
        parts = [done[rows] for rows in sorted(done, key=lambda rows: rows.start)]
        return {name: np.concatenate([part[name] for part in parts]) for name in (parts[0] if parts else ())}

    def _write_metrics(self, folder: Path, provenance: Provenance, plan: Plan, kept: int, seconds: float) -> None:
        metrics = {
            **surroundings(provenance, 0, torch.device("cpu"), self.parallel.size),
            "listed": plan.listed,
            "particles": kept,
            "set_aside": plan.listed - kept,
            "tomograms": plan.sources,
            **plan.figures,
            "wall_seconds": round(seconds, 3),
        }
        write_metrics(folder / "metrics.json", metrics)
        (folder / "config.yaml").write_text(provenance.configuration, encoding="utf-8")

    def _outcome(self, plan: Plan, files: tuple[str, ...], kept: int, seconds: float) -> Outcome:
        rows = [("particles", str(kept)), ("set aside", str(plan.listed - kept))]
        rows += [("tomograms", str(plan.sources)), ("box (voxels)", str(self.box))]
        rows += [("voxel size (angstrom)", f"{plan.figures['voxel_size_angstrom']:g}"), ("seconds", f"{seconds:.1f}")]
        named = [*files, *(["set_aside.txt"] if kept < plan.listed else [])]
        return Outcome("extract", ("", "value"), tuple(rows), tuple(str(Path(self.out) / name) for name in named))


def _still_there(done: dict[range, Columns], writer: Writer) -> dict[range, Columns]:
    """Finished chunks whose files nobody has removed."""
    return {
        rows: columns
        for rows, columns in done.items()
        if all(fault or writer.file(row).exists() for row, fault in zip(rows, columns["fault"], strict=True))
    }


def _say_aside(outside: list[str], listed: int) -> None:
    if outside:
        shown = "; ".join(outside[:_SHOWN]) + ("; ..." if len(outside) > _SHOWN else "")
        _log.warning("%d of %d particles are set aside (all in set_aside.txt): %s", len(outside), listed, shown)
