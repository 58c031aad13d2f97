"""The same particle twice, found before a run: one file under two names, equal voxels, positions on top of each other.

Noise that both halves share makes their FSC too good. What is looked at costs next to nothing: names after resolving
links, a few hundred voxels of every volume, and positions where the list has them. Overlapping boxes that were cut
independently are what ``torchsag duplicates`` finds.
"""

from __future__ import annotations

import hashlib
import math
import os
from collections import defaultdict
from collections.abc import Hashable, Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.regular_file import open_regular
from torchsag.particles import ParticleSet, VolumeSource
from torchsag.particles.sources import DensitySource
from torchsag.verdict.finding import Finding

Pairs = list[tuple[int, int]]

_PROBE_BYTES = 512


def same_file(particles: ParticleSet) -> Pairs:
    """Rows that name one volume, links and ``..`` resolved."""
    return _equal((os.path.realpath(source.path), _place(source)) for source in particles.volumes)


def _place(source: DensitySource) -> Hashable:
    """Where in its file a volume, or its images, are."""
    return (source.index or 0) if isinstance(source, VolumeSource) else source.sections


def same_voxels(particles: ParticleSet) -> Pairs:
    """Rows whose volumes are equal voxel by voxel; only those are read whole whose files have a piece in common."""
    probes: dict[Hashable, list[int]] = defaultdict(list)
    for row, source in enumerate(particles.volumes):
        probes[_probe(source)].append(row)
    alike = [rows for rows in probes.values() if len(rows) > 1]
    return [pair for rows in alike for pair in _equal_voxels(particles, rows)]


def _probe(source: DensitySource) -> Hashable:
    """Size of a file and what stands in its middle; of a stack nothing, so that its volumes are compared by reading."""
    if isinstance(source, VolumeSource) and source.index is not None:
        return "stack"
    try:
        with open_regular(source.path) as file:
            size = file.seek(0, 2)
            file.seek(size // 2)
            return size, file.read(_PROBE_BYTES)
    except (InputError, OSError):
        return str(source)


def _equal_voxels(particles: ParticleSet, rows: list[int]) -> Pairs:
    """Pairs among some rows; what cannot be read is left to the run to complain of."""
    keys: list[Hashable] = []
    for row in rows:
        try:
            volume = particles.reader(particles.volumes[row]).contiguous()
        except (InputError, OSError):
            keys.append(("unread", row))
            continue
        constant = bool((volume == volume.flatten()[0]).all())
        keys.append(("empty", row) if constant else hashlib.sha256(volume.numpy().tobytes()).digest())
    return [(rows[a], rows[b]) for a, b in _equal(keys)]


def close_positions(
    places: Float[Tensor, "particles 3"], tomograms: tuple[str, ...] | None, least_distance: float
) -> Pairs:
    """Rows of one tomogram whose positions are closer than `least_distance`, in the positions' unit.

    A tomogram that gives all its particles one position gives none, as lists do whose program wants a number there.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for row in range(len(places)):
        if bool(places[row].isfinite().all()):
            groups["" if tomograms is None else tomograms[row]].append(row)
    pairs: Pairs = []
    for rows in groups.values():
        if bool((places[rows] == places[rows[0]]).all()):
            continue
        from scipy.spatial import KDTree  # most lists have no positions

        tree = KDTree(places[torch.tensor(rows)].double().numpy())
        close = tree.query_pairs(least_distance, output_type="ndarray")
        pairs += [(rows[a], rows[b]) for a, b in np.asarray(close).tolist()]
    return pairs


@dataclass(frozen=True)
class CopiesInBothHalves:
    """Pairs of equal particles.

    Attributes
    ----------
    tolerated
        Part of the particles that may lie too close to another one before the result is doubted; exact copies across
        the halves are never tolerated.
    """

    tolerated: float = 0.02
    code: str = "copies_in_both_halves"

    def __call__(
        self,
        particles: ParticleSet,
        exact: Pairs,
        close: Pairs,
        halves: Integer[Tensor, " particles"] | None,
        least_distance_angstrom: float = math.nan,
    ) -> Finding | None:
        """Judge equal particles and those closer than a distance; without `halves` only equal ones are doubted."""
        pairs = sorted(set(exact) | set(close))
        if not pairs:
            return None
        crossing = [(a, b) for a, b in pairs if halves is not None and int(halves[a]) != int(halves[b])]
        exact_crossing = sum(pair in set(exact) for pair in crossing)
        first, second = (crossing or pairs)[0]
        evidence = {
            "pairs": len(pairs),
            "equal": len(set(exact)),
            "across_halves": len(crossing),
            "first": [particles.names[first], particles.names[second]],
        }
        named = f"{particles.names[first]} and {particles.names[second]}"
        what = f"are the same particle twice ({named})"
        if not exact:
            what = (
                f"lie closer to each other than {least_distance_angstrom:.0f} angstrom ({named}), as one picked twice"
            )
        if not crossing:
            text = f"{len(pairs)} pairs of particles {what}; keep one of each"
            return Finding(self.code, "note" if halves is not None or not exact else "doubt", text, evidence)
        text = (
            f"{len(crossing)} pairs of particles with one in each half {what}: the half-maps share their noise and the "
            "FSC is too good; keep one of each pair (torchsag select distance_angstrom=...), or use halves=by_tomogram"
        )
        many = exact_crossing > 0 or len(crossing) > self.tolerated * len(particles)
        return Finding(self.code, "wrong" if exact_crossing else "doubt" if many else "note", text, evidence)


def _equal(keys: Iterable[Hashable]) -> Pairs:
    """Each row with the first of the same key."""
    seen: dict[Hashable, int] = {}
    pairs: Pairs = []
    for row, key in enumerate(keys):
        if key in seen:
            pairs.append((seen[key], row))
        else:
            seen[key] = row
    return pairs
