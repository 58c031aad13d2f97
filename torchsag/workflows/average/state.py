"""What an averaging run knows between two iterations; saved after each, so that a killed run carries on."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses
from torchsag.likelihood.noise_shape import NoiseShape
from torchsag.runs.record import Columns, Unusable, discard, read_record, require_poses, write_record

_MAPS = ("maps", "references", "weight")
_POWER = "noise_power"


@dataclass(frozen=True)
class AveragingState:
    """After some iterations.

    Attributes
    ----------
    iteration
        How many are done.
    result
        Poses of all particles, in the order of the set, with what the aligner said of them; NaN for particles set
        aside.
    maps
        The two half-maps, unfiltered.
    references
        What each part of each half is aligned to next: the half's other parts, filtered.
    weight
        How far each Fourier shell is trusted: the FSC up to where it means something.
    symmetric
        Whether the symmetry is imposed from here on.
    rows
        One row of the table of iterations for each.
    faults
        What is wrong with each particle set aside, empty for the others.
    noise
        What the particles have said of their noise; None before their poses had settled.
    """

    iteration: int
    result: AlignmentResult
    maps: Float[Tensor, "halves z y x"]
    references: Float[Tensor, "halves parts z y x"]
    weight: Float[Tensor, " shells"]
    symmetric: bool
    rows: tuple[dict[str, Any], ...]
    faults: tuple[str, ...]
    noise: NoiseShape | None = None

    def save(self, folder: Path, name: str = "state") -> None:
        """Write to `folder`; a kill at any moment leaves the state before or this one."""
        result = self.result
        arrays = result.columns()
        arrays |= {name: getattr(self, name).numpy() for name in _MAPS}
        arrays["faults"] = np.array(self.faults)
        noise = self.noise
        if noise is not None and noise.power is not None:
            arrays[_POWER] = noise.power.cpu().numpy()
        excess = None if noise is None else noise.excess
        known = {"iteration": self.iteration, "symmetric": self.symmetric, "rows": self.rows, "noise_excess": excess}
        header = json.dumps(known)
        write_record(folder / f"{name}.npz", {"header": np.array(header), **arrays})

    @staticmethod
    def load(folder: Path, name: str = "state") -> AveragingState | None:
        """The state saved there, if any; one that is damaged or another version's is discarded."""
        path = folder / f"{name}.npz"
        if not os.path.lexists(path):
            return None
        try:
            return _rebuilt(read_record(path))
        except Unusable as reason:
            discard(path, reason, "the iterations are done again")
            return None

    @property
    def best_iteration(self) -> int:
        """Number of the iteration with the largest area under its FSC, of those that count.

        A run without a reference counts from where it imposes its symmetry: until then its frame is being found. A run
        from a map counts from its second iteration, where it has one: in the first both halves were aligned to the same
        map, and agree in what that has wrong. The place where a noisy curve crosses a threshold is a poorer judge: the
        finest of many is a lucky one.
        """
        counting = [row for row in self.rows if row["settled"]] or self.rows
        return max(counting, key=lambda row: row["fsc_area_shells"])["iteration"]


def _rebuilt(stored: Columns) -> AveragingState:
    require_poses(stored, stored["faults"] != "")
    header = json.loads(str(stored["header"]))
    tensors = {name: torch.from_numpy(stored[name]) for name in _MAPS}
    if not all(bool(tensors[name].isfinite().all()) for name in _MAPS):
        raise Unusable("holds maps that are not finite")
    return AveragingState(
        iteration=header["iteration"],
        result=AlignmentResult.from_columns(stored),
        **{name: tensors[name] for name in _MAPS},
        symmetric=header["symmetric"],
        rows=tuple(header["rows"]),
        faults=tuple(str(fault) for fault in stored["faults"]),
        noise=_noise(stored, header["noise_excess"]),
    )


def _noise(stored: Columns, excess: float | None) -> NoiseShape | None:
    if excess is None:
        return None
    power = torch.from_numpy(stored[_POWER]) if _POWER in stored else None
    if not excess > 0 or (power is not None and not bool((power > 0).all())):
        raise Unusable("holds noise that is not above zero")
    return NoiseShape(power, float(excess))


def unaligned(poses: Poses) -> AlignmentResult:
    """A result for poses that no aligner has judged yet."""
    count, nan = len(poses), float("nan")
    return AlignmentResult(
        poses,
        scores=torch.full((count,), nan),
        covariances=torch.full((count, 6, 6), nan),
        ambiguity=torch.full((count,), nan),
        converged=torch.zeros(count, dtype=torch.bool),
        passes=torch.zeros(count),
    )


def joined(parts: list[AlignmentResult], rows: list[Tensor]) -> AlignmentResult:
    """Results of disjoint parts of a set, put back into its order."""
    order = torch.cat(rows).argsort()
    whole = AlignmentResult.concatenate(parts)
    return whole[order]
