"""Choose particles of one list or several: the work behind ``torchsag select``."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from torchsag.errors import InputError
from torchsag.geometry import Symmetry
from torchsag.io.atomic import remove_remains
from torchsag.io.convert import program_for, write_list
from torchsag.io.list_joining import joined, start_of_names, volume_keys
from torchsag.io.list_selection import (
    at_voxel_size,
    distinct,
    expanded,
    places,
    taken,
    voxel_size_of,
    with_volumes_of,
)
from torchsag.io.lists import program_of
from torchsag.io.particle_list import ParticleList
from torchsag.io.position_list import read_list_or_positions
from torchsag.runs.outcome import Outcome
from torchsag.runs.provenance import Provenance
from torchsag.workflows.select.apart import kept_apart
from torchsag.workflows.select.columns import best_first, columns_of, needed
from torchsag.workflows.select.expression import chosen_by

_CLASHES = ("stop", "first", "best", "all")
_SPLITS = ("half", "class", "tomogram")


@dataclass(frozen=True, kw_only=True)
class Select:
    """Particles chosen from lists, joined, split, expanded by symmetry, carried over to another voxel size.

    Steps are taken in the order of the attributes, from `clash` to `split`; all conditions must hold.

    Attributes
    ----------
    particles
        A list of any program, or several, as in [a.star,b.star], to be joined; also positions alone, without volumes.
    out
        The file to write. With `split`, one file for each part, its name before the suffix.
    program
        What the list is written for: relion, stopgap, dynamo, av3, pytom or csv; None lets the suffix of `out` decide,
        and keeps STOPGAP lists what they are.
    clash
        What to do with a volume that several lists name: ``stop`` refuses, ``first`` keeps it as the first list has it,
        ``best`` where its score is highest, ``all`` keeps all. Copies within one list are never touched.
    least_score
        Particles of at least this score.
    classes
        Particles of these classes, as in [1,3].
    half
        Particles of this half-set, 1 or 2.
    tomograms
        Particles of these tomograms, as in [TS_01,TS_03].
    most_ambiguity
        Particles whose best other pose explains at most this much as well, 0 to 1.
    most_rotation_error_deg, most_shift_error_angstrom
        Particles of at most this expected error.
    where
        A condition over the list's columns, as in 'rlnDefocusU < 30000 and class == 1'; plain words: score, class,
        half, tomogram, ambiguity, rotation_error_deg, shift_error_angstrom, rot_deg, tilt_deg, psi_deg, x, y, z, name,
        row.
    distance_angstrom
        Of two particles nearer than this in one tomogram the one of the lower score goes, without scores the later one.
    best
        This many of the highest score.
    random
        This many, drawn at random.
    seed
        Of what is drawn at random.
    expand
        A symmetry: each particle once for each of its rotations, all copies in its half-set. torchsag itself does not
        read such a list again, as copies share their volume.
    new_volumes
        A folder of the same particles at another binning: names become those of the volumes of the same file name or
        number there, and the voxel size that of the first.
    new_voxel_size_angstrom
        The voxel size of the new list: poses and positions stay where they are in the specimen. None takes that of
        `new_volumes`, or keeps the old one.
    split
        half, class or tomogram: a file for each; a number: that many random parts of equal size; None for one file.
    voxel_size_angstrom
        Of the particles as they are listed, in place of what the files say; None believes them.
    volumes
        The folder in which the volumes of the lists are; None finds out.
    project
        For a RELION list: the folder in which RELION will run, from which names start; None is that of `out`.
    """

    particles: str | list[str]
    out: str
    program: str | None = None
    clash: str = "stop"
    least_score: float | None = None
    classes: list[int] | None = None
    half: int | None = None
    tomograms: list[str] | None = None
    most_ambiguity: float | None = None
    most_rotation_error_deg: float | None = None
    most_shift_error_angstrom: float | None = None
    where: str | None = None
    distance_angstrom: float | None = None
    best: int | None = None
    random: int | None = None
    seed: int = 0
    expand: str = "C1"
    new_volumes: str | None = None
    new_voxel_size_angstrom: float | None = None
    split: str | int | None = None
    voxel_size_angstrom: float | None = None
    volumes: str | None = None
    project: str | None = None

    def __post_init__(self):
        Symmetry(self.expand)
        program_for(Path(self.out), self.program)
        if self.clash not in _CLASHES:
            raise InputError(f"clash: expected one of {', '.join(_CLASHES)}, got {self.clash!r}")
        known = isinstance(self.split, int) and self.split > 1
        if self.split is not None and self.split not in _SPLITS and not known:
            raise InputError(f"split: expected {', '.join(_SPLITS)} or a number above 1, got {self.split!r}")
        if self.half not in (None, 1, 2):
            raise InputError(f"half: expected 1 or 2, got {self.half}")
        for name in ("best", "random"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1 particle, got {getattr(self, name)}")
        for name in ("distance_angstrom", "new_voxel_size_angstrom", "voxel_size_angstrom"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise InputError(f"{name}: expected a length above 0 angstrom, got {value}")

    def __call__(self, provenance: Provenance) -> Outcome:
        """Read, choose and write.

        Raises
        ------
        InputError
            If a list cannot be read, lacks what a key needs, or nothing is left; nothing is written then.
        """
        sources = [self.particles] if isinstance(self.particles, str) else list(self.particles)
        if not sources:
            raise InputError("particles: expected at least one list, got none")
        listings = [read_list_or_positions(source, self.volumes) for source in sources]
        program = self.program or program_of(sources[0], Path(self.out).suffix)
        steps = [("listed", sum(len(one.names) for one in listings))]
        listing, sizes = self._joined(listings, steps)
        listing, sizes = self._filtered(listing, sizes, steps)
        if Symmetry(self.expand).order > 1:
            order = Symmetry(self.expand).order
            listing, sizes = expanded(listing, Symmetry(self.expand)), [s for s in sizes for _ in range(order)]
            steps.append((f"expanded by {self.expand}", len(listing.names)))
        listing = self._carried_over(listing, sizes)
        parts = self._parts(listing)
        size = self.voxel_size_angstrom if listing.voxel_sizes is None else None
        for path, rows in parts:
            part = listing if rows is None else taken(listing, rows)
            remove_remains(path.parent, below=False)
            write_list(path, part, voxel_size_angstrom=size, program=program, project=self.project)
        notes = [f"{path}: {len(listing.names) if rows is None else len(rows)} particles" for path, rows in parts]
        if Symmetry(self.expand).order > 1 and listing.halves is None:
            notes.append("no half-sets are listed: divide the particles before copies of one get into both halves")
        return Outcome("select", ("step", "particles"), tuple((name, str(n)) for name, n in steps), tuple(notes))

    def _sizes(self, listing: ParticleList) -> list[float] | None:
        """Angstrom per voxel of each particle, where anything tells."""
        count = len(listing.names)
        if self.voxel_size_angstrom is not None:
            return [self.voxel_size_angstrom] * count
        if listing.voxel_sizes is not None:
            return list(listing.voxel_sizes)
        try:
            size = voxel_size_of(start_of_names(listing), listing)
        except InputError:
            return None
        return None if size is None else [size] * count

    def _joined(
        self, listings: list[ParticleList], steps: list[tuple[str, int]]
    ) -> tuple[ParticleList, list[float | None]]:
        if len(listings) > 1 and self.clash != "all":
            listings = self._without_clashes(listings)
            steps.append(("without those listed again", sum(len(one.names) for one in listings)))
            listings = [one for one in listings if len(one.names)]
        sizes = [self._sizes(one) for one in listings]
        whole = joined(listings, sizes)
        flat = [size for one, its in zip(listings, sizes, strict=True) for size in (its or [None] * len(one.names))]
        return whole, flat

    def _without_clashes(self, listings: list[ParticleList]) -> list[ParticleList]:
        owners: dict[object, tuple[int, float]] = {}
        keys = [volume_keys(one) for one in listings]
        for number, (listing, its) in enumerate(zip(listings, keys, strict=True)):
            if self.clash == "best" and listing.scores is None:
                raise InputError(f"clash: expected scores in all lists to keep the best, {listing.path} has none")
            scores = [0.0] * len(its) if listing.scores is None else listing.scores.tolist()
            for key, name, score in zip(its, listing.names, scores, strict=True):
                owner, known = owners.get(key, (number, -math.inf))
                if owner != number and self.clash == "stop":
                    raise InputError(
                        f"{listing.path}: particle {name} is also in {listings[owner].path}; say which to keep with "
                        "clash=first, best or all"
                    )
                if key not in owners or (self.clash == "best" and score > known):
                    owners[key] = (number, score)
        return [
            taken(listing, [row for row, key in enumerate(its) if owners[key][0] == number])
            for number, (listing, its) in enumerate(zip(listings, keys, strict=True))
        ]

    def _filtered(
        self, listing: ParticleList, sizes: list[float | None], steps: list[tuple[str, int]]
    ) -> tuple[ParticleList, list[float | None]]:
        for key in (*_CONDITIONS, "where", "distance_angstrom", "best", "random"):
            value = getattr(self, key)
            if value is None:
                continue
            rows = self._rows(key, listing, sizes)
            if not len(rows):
                raise InputError(f"{key}: expected a particle to be left of {len(listing.names)}, got none for {value}")
            listing, sizes = taken(listing, rows), [sizes[row] for row in rows]
            steps.append((f"{key}={value}", len(rows)))
        return listing, sizes

    def _rows(self, key: str, listing: ParticleList, sizes: Sequence[float | None]) -> list[int]:
        columns, count = columns_of(listing), len(listing.names)
        if key == "where":
            keep = chosen_by(str(self.where), columns, count)
        elif key == "distance_angstrom":
            known = _known(key, listing, sizes)
            assert self.distance_angstrom is not None
            order = best_first(listing, columns)
            return kept_apart(places(listing, known), listing.tomograms, order, self.distance_angstrom)
        elif key == "best":
            needed(columns, listing, "score", key)
            return sorted(best_first(listing, columns)[: self.best].tolist())
        elif key == "random":
            draw = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
            return sorted(draw[: self.random].tolist())
        else:
            word, holds = _CONDITIONS[key]
            keep = holds(needed(columns, listing, word, key), getattr(self, key))
        return np.flatnonzero(keep).tolist()

    def _carried_over(self, listing: ParticleList, sizes: Sequence[float | None]) -> ParticleList:
        new = self.new_voxel_size_angstrom
        if self.new_volumes is not None:
            listing = with_volumes_of(listing, Path(self.new_volumes))
            new = new or voxel_size_of(Path(), listing)
            if new is None:
                raise InputError(
                    f"new_volumes: expected volumes in {self.new_volumes} whose headers give a voxel size; give "
                    "new_voxel_size_angstrom="
                )
        if new is None:
            return listing
        return at_voxel_size(listing, new, _known("new_voxel_size_angstrom", listing, sizes))

    def _parts(self, listing: ParticleList) -> list[tuple[Path, list[int] | None]]:
        out, count = Path(self.out), len(listing.names)
        if self.split is None:
            return [(out, None)]
        if isinstance(self.split, int):
            draw = torch.randperm(count, generator=torch.Generator().manual_seed(self.seed))
            if self.split > count:
                raise InputError(f"split: expected at most as many parts as particles, {count}, got {self.split}")
            names = {str(k + 1): sorted(draw[k :: self.split].tolist()) for k in range(self.split)}
        else:
            word = "class_" if self.split == "class" else self.split
            values = needed(columns_of(listing), listing, word, "split").tolist()
            texts = [value if isinstance(value, str) else f"{value:g}" for value in values]
            names = {text: [row for row, other in enumerate(texts) if other == text] for text in distinct(texts)}
            names = {f"{self.split}_{text.replace(os.sep, '_')}": rows for text, rows in names.items()}
        return [(out.with_name(f"{out.stem}_{name}{out.suffix}"), rows) for name, rows in names.items()]


_CONDITIONS = {
    "least_score": ("score", np.greater_equal),
    "classes": ("class_", np.isin),
    "half": ("half", np.equal),
    "tomograms": ("tomogram", lambda column, value: np.isin(column, [str(one) for one in value])),
    "most_ambiguity": ("ambiguity", np.less_equal),
    "most_rotation_error_deg": ("rotation_error_deg", np.less_equal),
    "most_shift_error_angstrom": ("shift_error_angstrom", np.less_equal),
}


def _known(key: str, listing: ParticleList, sizes: Sequence[float | None]) -> list[float]:
    if any(size is None for size in sizes):
        raise InputError(f"{key}: expected to know the voxel size of {listing.path}; give voxel_size_angstrom=")
    return [size for size in sizes if size is not None]
