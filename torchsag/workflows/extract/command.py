"""Cut subtomograms out of tomograms: the loop behind ``torchsag extract``."""

from __future__ import annotations

import hashlib
import logging
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.io.particle_list import ParticleList
from torchsag.io.position_list import read_positions
from torchsag.io.tomogram_files import tomogram_files
from torchsag.io.volumes import map_volume
from torchsag.parallel import Serial, Workers, fair_chunk
from torchsag.particles import TiltRange
from torchsag.runs.checkpoint import Checkpoint, Columns, describe
from torchsag.runs.chunked_alignment import remaining_chunks
from torchsag.runs.metrics import surroundings, write_metrics, write_set_aside
from torchsag.runs.outcome import Outcome
from torchsag.runs.output_folder import claim, publish, require_room
from torchsag.runs.progress import progress
from torchsag.runs.provenance import Provenance
from torchsag.runs.signatures import file_signature
from torchsag.workflows.extract.extracted_list import write_extracted
from torchsag.workflows.extract.scale import common_voxel_size
from torchsag.workflows.extract.sites import Sites, find_sites
from torchsag.workflows.extract.subvolumes import SubvolumeWriter, fits, site_name, volume_name

_log = logging.getLogger(__name__)
# Settings that say how a run is carried out; entries of the list and their tomograms have signatures.
_HOW = {"positions", "tomogram", "out", "chunk", "resume", "parallel"}
_LARGEST_EDGE = 1024  # voxels of a tomogram: 4 GiB a box
_SHOWN = 5
_BY_HAND = Provenance("extract")


@dataclass(frozen=True, kw_only=True)
class Extract:
    """Particles cut out of tomograms, written with their listed poses.

    Attributes
    ----------
    positions
        Positions: a .star of RELION 3 to 5, WarpTools or STOPGAP, .tbl of Dynamo, .em of AV3, .xml of PyTom, .csv with
        x, y, z, or picks: .mod of IMOD, .csv of PEET, .json of copick or EMAN2, .ndjson of the CryoET Data Portal.
    out
        Folder for everything.
    tomogram
        The tomogram (.mrc, .rec, .st, .map, .em), or a folder with files named as the list names tomograms; None finds
        them by the list and its tomograms.star.
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
        Angstrom per voxel of the tomograms in place of what their headers say; None believes them.
    tilt_min_deg, tilt_max_deg
        Tilt range of particles whose list gives none.
    invert
        Turn the contrast: torchsag wants particles bright.
    background_radius_voxels
        Mean 0 and variance 1 outside this many voxels of the box centre; None is half the box, 0 takes the whole box.
    edges
        A box that reaches over the border: set_aside, or pad with the mean of its inside.
    float16
        Half-precision volumes: half the size, three digits.
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
    float16: bool = False
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

    def __call__(self, provenance: Provenance = _BY_HAND) -> Outcome:
        """Cut and write the particles, then the list of them, and say how it went.

        Raises
        ------
        InputError
            If something given from outside is unusable; nothing has been written then.
        """
        start = time.perf_counter() if provenance is _BY_HAND else provenance.began
        listing = self._with_tilts(read_positions(self.positions))
        files = tomogram_files(listing, None if self.tomogram is None else Path(self.tomogram))
        shapes = {file: map_volume(file).shape for file in dict.fromkeys(files)}
        voxel_size = common_voxel_size(list(shapes), self.voxel_size_angstrom)
        sizes = [shapes[file] for file in files]
        sites = find_sites(listing, sizes, voxel_size, self.rescale, self.counted_from)
        rows, outside = self._divide(listing, files, sizes, sites)
        writer = self._writer(files, sites, rows, voxel_size)
        out = Path(self.out)
        with ExitStack() as stack:
            checkpoint = None
            if self.parallel.is_root:
                stack.enter_context(claim(out, command=provenance.command))
                missing = sum(not (out / volume_name(row)).exists() for row in rows)
                require_room(out, missing * (2 if self.float16 else 4) * self.box**3)
                settings = {key: value for key, value in describe(self).items() if key.split(".")[0] not in _HOW}
                checkpoint = Checkpoint.begin(out, {**settings, "voxel_size": f"{voxel_size:.9g}"}, self.resume)
                _say_aside(outside, len(files))
            columns = self._cut(writer, checkpoint)
            if checkpoint is None:
                return Outcome()
            faults = columns["fault"].tolist()
            kept = [row for row, fault in zip(rows, faults, strict=True) if not fault]
            if not kept:
                raise InputError(f"{listing.path}: not one particle could be used; the first: {faults[0]}")
            with publish(out) as staging:
                write_set_aside(staging / "set_aside.txt", [*outside, *faults])
                self._write_metrics(staging, provenance, writer, len(kept), len(files), time.perf_counter() - start)
            write_extracted(out / "particles.star", listing, sites, kept, writer)
            checkpoint.remove()
        return self._outcome(writer, len(kept), len(files), time.perf_counter() - start)

    def _with_tilts(self, listing: ParticleList) -> ParticleList:
        """The list with a tilt range for every particle."""
        given = None
        if self.tilt_min_deg is not None and self.tilt_max_deg is not None:
            given = TiltRange(self.tilt_min_deg, self.tilt_max_deg)
        ranges = [one or given for one in listing.tilt_ranges or [None] * len(listing.names)]
        if None in ranges:
            raise InputError(
                f"{listing.path}: entry {ranges.index(None) + 1}: says nothing about the tilts; give tilt_min_deg= and "
                "tilt_max_deg=, -90 and 90 if nothing is missing"
            )
        return replace(listing, tilt_ranges=ranges)

    def _divide(
        self, listing: ParticleList, files: list[Path], shapes: list[tuple[int, int, int]], sites: Sites
    ) -> tuple[list[int], list[str]]:
        """Entries whose boxes lie inside of their tomograms, and a sentence for each other one."""
        edge, pad = self.box * self.binning, self.edges == "pad"
        centres = [_triple(centre) for centre in sites.centres.tolist()]
        inside = [fits(shape, centre, edge, pad) for shape, centre in zip(shapes, centres, strict=True)]
        if not any(inside):
            low, high = sites.centres.amin(0).tolist(), sites.centres.amax(0).tolist()
            raise InputError(
                f"{listing.path}: not one box of {edge} voxels lies inside its tomogram: box centres run from {low} to "
                f"{high} (x, y, z), {files[0]} has {list(shapes[0][::-1])} voxels; check tomogram=, rescale= and box="
            )
        outside = [
            f"{site_name(row, centres[row], files[row])}: its box of {edge} voxels reaches over the border"
            for row, good in enumerate(inside)
            if not good
        ]
        return [row for row, good in enumerate(inside) if good], outside

    def _writer(self, files: list[Path], sites: Sites, rows: list[int], voxel_size: float) -> SubvolumeWriter:
        radius = self.box / 2 if self.background_radius_voxels is None else self.background_radius_voxels
        return SubvolumeWriter(
            folder=Path(self.out),
            tomograms=[files[row] for row in rows],
            centres=[_triple(centre) for centre in sites.centres[rows].tolist()],
            numbers=rows,
            box=self.box,
            binning=self.binning,
            voxel_size=voxel_size * self.binning,
            invert=self.invert,
            background_radius=float(radius),
            pad=self.edges == "pad",
            float16=self.float16,
        )

    def _cut(self, writer: SubvolumeWriter, checkpoint: Checkpoint | None) -> Columns:
        count = len(writer.numbers)
        marks = _signatures(writer)
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
        parts = [done[rows]["fault"] for rows in sorted(done, key=lambda rows: rows.start)]
        return {"fault": np.concatenate(parts)} if parts else {}

    def _write_metrics(
        self, folder: Path, provenance: Provenance, writer: SubvolumeWriter, kept: int, listed: int, seconds: float
    ) -> None:
        metrics = {
            **surroundings(provenance, 0, torch.device("cpu"), self.parallel.size),
            "listed": listed,
            "particles": kept,
            "set_aside": listed - kept,
            "tomograms": len(set(writer.tomograms)),
            "box": self.box,
            "voxel_size_angstrom": writer.voxel_size,
            "background_radius_voxels": writer.background_radius,
            "wall_seconds": round(seconds, 3),
        }
        write_metrics(folder / "metrics.json", metrics)
        (folder / "config.yaml").write_text(provenance.configuration, encoding="utf-8")

    def _outcome(self, writer: SubvolumeWriter, kept: int, listed: int, seconds: float) -> Outcome:
        rows = [("particles", str(kept)), ("set aside", str(listed - kept))]
        rows += [("tomograms", str(len(set(writer.tomograms)))), ("box (voxels)", str(self.box))]
        rows += [("voxel size (angstrom)", f"{writer.voxel_size:g}"), ("seconds", f"{seconds:.1f}")]
        files = ["particles.star"] + (["set_aside.txt"] if kept < listed else [])
        return Outcome("extract", ("", "value"), tuple(rows), tuple(str(Path(self.out) / name) for name in files))


def _triple(centre: list[int]) -> tuple[int, int, int]:
    x, y, z = centre
    return x, y, z


def _signatures(writer: SubvolumeWriter) -> list[str]:
    """By what a resumed run knows a particle: its entry, its place and its tomogram as it is now."""
    marks = {path: file_signature(path) for path in dict.fromkeys(writer.tomograms)}
    particles = zip(writer.numbers, writer.centres, writer.tomograms, strict=True)
    texts = [f"{number}|{centre}|{marks[path]}" for number, centre, path in particles]
    return [hashlib.sha256(text.encode()).hexdigest()[:32] for text in texts]


def _still_there(done: dict[range, Columns], writer: SubvolumeWriter) -> dict[range, Columns]:
    """Finished chunks whose volumes nobody has removed."""
    return {
        rows: columns
        for rows, columns in done.items()
        if all(
            fault or (writer.folder / volume_name(writer.numbers[row])).exists()
            for row, fault in zip(rows, columns["fault"], strict=True)
        )
    }


def _say_aside(outside: list[str], listed: int) -> None:
    if outside:
        shown = "; ".join(outside[:_SHOWN]) + ("; ..." if len(outside) > _SHOWN else "")
        _log.warning("%d of %d particles are set aside (all in set_aside.txt): %s", len(outside), listed, shown)
