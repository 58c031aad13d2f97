"""Views of particles kept on disk while a classification runs: made once, on the CPU, and read as they are needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from torchsag.classification.evidence import Views
from torchsag.classification.frame import CommonFrame
from torchsag.geometry import Poses
from torchsag.io import atomic_path
from torchsag.parallel import Workers
from torchsag.particles import ParticleError, ParticleSet
from torchsag.runs.progress import progress
from torchsag.runs.record import Unusable, checksum, discard, read_record, write_record
from torchsag.runs.usable_particles import load_usable

_ARRAYS = ("data", "weights", "power", "common")


@dataclass(frozen=True)
class ViewStore:
    """One file per chunk and array, mapped into memory: the operating system keeps what fits.

    Attributes
    ----------
    folder
        Where the files are, seen by all processes.
    frame
        The common average's.
    particles
        All of them usable.
    poses
        Candidate poses ``[particles, candidates]``.
    skip_bad
        Whether `make` looks for all particles that can no longer be used, or stops at the first.
    """

    folder: Path
    frame: CommonFrame
    particles: ParticleSet
    poses: Poses
    skip_bad: bool = False

    def make(self, chunks: list[range], workers: Workers) -> None:
        """Make what is not there yet.

        Raises
        ------
        ParticleError
            If some particles can no longer be used; with `skip_bad` of all of these, on every rank.
        """
        if workers.is_root:
            self.folder.mkdir(exist_ok=True)
        missing = workers.broadcast([rows for rows in chunks if not self._is_whole(rows)] if workers.is_root else [])
        with progress("viewing", len(self.particles), visible=workers.is_root) as advance:
            lost: dict[int, str] = {}
            for rows, faults in workers.map_chunks(self._make_one, missing):
                advance(len(rows))
                lost |= faults
        lost = workers.broadcast(lost)  # nobody reads before the root knows that all is written
        if lost:
            raise ParticleError(lost)

    def load(self, rows: range) -> Views:
        """The views of a chunk that was made."""
        # Copy on write: torch wants arrays it may write to, and never does.
        arrays = [torch.from_numpy(np.load(self._path(rows, name), mmap_mode="c")) for name in _ARRAYS]
        return Views(*arrays)

    def _make_one(self, rows: range) -> dict[int, str]:
        """Nothing is kept of a chunk in which particles are lost; which, and why."""
        batch, _, faults = load_usable(self.particles, rows, skip_bad=self.skip_bad)
        if batch is None or faults:
            return faults
        views = self.frame.views(batch, self.poses[rows.start : rows.stop])
        for name in _ARRAYS:
            path = self._path(rows, name)
            with atomic_path(path) as temporary, temporary.open("wb") as file:
                np.save(file, getattr(views, name).numpy())
        write_record(self._record(rows), {"checksums": self._checksums(rows)})
        return {}

    def _is_whole(self, rows: range) -> bool:
        """Whether the files of a chunk are those that were written; damaged ones are made again."""
        record = self._record(rows)
        if not os.path.lexists(record):
            return False
        try:
            if (read_record(record)["checksums"] == self._checksums(rows)).all():
                return True
            raise Unusable("does not fit the views beside it")
        except (Unusable, OSError, KeyError) as reason:
            discard(record, reason, "its views are made again")
            return False

    def _checksums(self, rows: range) -> np.ndarray:
        return np.array([checksum(self._path(rows, name)) for name in _ARRAYS])

    def _record(self, rows: range) -> Path:
        return self.folder / f"{rows.start:09d}-{rows.stop:09d}.npz"

    def _path(self, rows: range, name: str) -> Path:
        return self.folder / f"{rows.start:09d}-{rows.stop:09d}-{name}.npy"
