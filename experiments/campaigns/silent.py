"""What damage has changed without a word.

A file that is accepted although it is damaged is *silently changed* if something that undamaged bytes say reads
otherwise than before, and no warning was given. What the damaged bytes themselves say may differ: a digit for a digit
is known to no reader. By kind:

- lists: an entry whose text is whole has the pose, position, half-set, class and wedge that it had, or, for the last
  three, none, where the name of the column was damaged; no such entry is missing;
- maps: the voxels whose bytes are whole are there, in their places unless the header is damaged, and then perhaps
  along other axes;
- models: atoms whose lines are whole are there, in their places to each other;
- yaml: keys whose lines are whole have their values;
- packed and checked files: everything.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import torch

from torchsag.io.particle_list import ParticleList
from torchsag.simulation.point_model import PointModel

_POSE = ("rotations", "shifts", "shift_unit", "box_frames", "positions")
_LABELS = ("halves", "classes", "tilt_ranges", "tomograms")

Entries = dict[str, list[dict[str, Any]]]


def entries(value: Any) -> Entries:
    """What a list says of each particle, by its name, or by its place where entries are only counted."""
    found: Entries = {}
    if not isinstance(value, ParticleList):
        poses, names = value
        for row, name in enumerate(names):
            found.setdefault(name, []).append({"rotations": poses.rotations[row], "shifts": poses.shifts[row]})
        return found
    columns = {name: getattr(value, name) for name in (*_POSE, *_LABELS)}
    for row, name in enumerate(value.names):
        one = {
            key: column if column is None or isinstance(column, str) else column[row] for key, column in columns.items()
        }
        found.setdefault(_own(one) if name.startswith("position_") else name, []).append(one)
    return found


def _own(entry: dict[str, Any]) -> str:
    """What an entry without a name of its own goes by: where it is."""
    return " ".join(str((entry[key] + 0.0).tolist()) for key in ("positions", "rotations") if entry[key] is not None)


def _differs(key: str, before: Any, now: Any) -> bool:
    if now is None and key in _LABELS:
        return False
    if isinstance(before, torch.Tensor) and isinstance(now, torch.Tensor):
        return not bool((before.double() - now.double()).abs().max() < 1e-9)
    return before is not None and before != now


def changed_entries(before: Entries, now: Entries, whole: list[str]) -> str:
    """The first particle whose text is whole and which reads otherwise."""
    for name in whole:
        (was,) = before[name]
        found = now.get(name, [])
        differing = [[key for key in was if _differs(key, was[key], one.get(key))] for one in found]
        if not found:
            return f"{name} is missing"
        if all(differing):
            return f"{name} has other {', '.join(differing[0])}"
    return ""


def changed_voxels(damaged: bytes, original: bytes, before: torch.Tensor, now: torch.Tensor) -> str:
    """Voxels that are whole and not where they were."""
    header = len(original) - 4 * before.numel()
    same_size = len(damaged) == len(original)
    touched = np.frombuffer(damaged, np.uint8) != np.frombuffer(original, np.uint8) if same_size else np.ones(0, bool)
    own = touched[header:].reshape(-1, 4).any(-1) if same_size else np.zeros(before.numel(), bool)
    one, other = before.numpy().ravel(), now.numpy().ravel()
    if len(one) == len(other) and bool((one == other)[~own].all()):
        return ""
    missing = Counter(one[~own].tolist()) - Counter(other.tolist())
    if not missing and same_size and touched[:header].any():
        return ""  # along other axes, as the damaged header says
    return f"{len(one)} voxels were, {len(other)} are, {sum(missing.values())} of the whole ones are missing or moved"


def changed_atoms(damaged: bytes, original: bytes, before: PointModel, now: PointModel) -> str:
    """Atoms whose lines are whole and which are not where they were, seen from each other."""
    lines = [line for line in original.split(b"\n") if line.startswith((b"ATOM", b"HETATM"))]
    left = Counter(damaged.split(b"\n"))
    rows = [row for row, line in enumerate(lines) if left[line]]
    if not rows:
        return ""
    ahead = now.positions - before.positions[rows[0]]
    best = 0
    for shift in ahead:
        there = torch.cdist(before.positions[rows] + shift, now.positions).amin(-1) < 1e-2
        best = max(best, int(there.sum()))
    return "" if best == len(rows) else f"{len(rows) - best} of {len(rows)} whole atoms are missing or moved"


def changed_settings(damaged: bytes, original: bytes, before: dict[str, str], now: dict[str, str]) -> str:
    """Keys whose lines are whole, and those above them, and whose values are others."""
    left = Counter(damaged.split(b"\n"))
    above: list[tuple[int, str, bool]] = []
    for line in original.split(b"\n"):
        key, colon, _ = line.decode().partition(":")
        if not colon:
            continue
        depth = len(key) - len(key.lstrip())
        above = [one for one in above if one[0] < depth]
        above.append((depth, key.strip(), bool(left[line])))
        full = ".".join(name for _, name, _ in above)
        if full in before and all(whole for _, _, whole in above) and before[full] != now.get(full):
            return f"{full} is {now.get(full)}, was {before[full]}"
    return ""


Chunks = dict[str, tuple[int, bytes]]


def whole_names(damaged: bytes, chunks: Chunks, separator: bytes | int) -> list[str]:
    """The particles whose text is whole: somewhere between separators, or at its place in a file of records."""
    if isinstance(separator, int):
        return [name for name, (place, chunk) in chunks.items() if damaged[place : place + separator] == chunk]
    left = Counter(damaged.split(separator))
    return [name for name, (_, chunk) in chunks.items() if left[chunk]]
