"""What an averaging run knows between two iterations; saved after each, so that a killed run carries on."""

from __future__ import annotations

import json
import math
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

_RESULT = ("scores", "covariances", "ambiguity", "converged", "passes")


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
    weight
        Factor of each Fourier shell that makes a half-map the next reference.
    symmetric
        Whether the symmetry is imposed from here on.
    rows
        One row of the table of iterations for each.
    faults
        What is wrong with each particle set aside, empty for the others.
    """

    iteration: int
    result: AlignmentResult
    maps: Float[Tensor, "halves z y x"]
    weight: Float[Tensor, " shells"]
    symmetric: bool
    rows: tuple[dict[str, Any], ...]
    faults: tuple[str, ...]

    def save(self, folder: Path, name: str = "state") -> None:
        """Write to `folder`; a kill at any moment leaves the state before or this one."""
        result = self.result
        arrays = {name: getattr(result, name).numpy() for name in _RESULT}
        arrays |= {"rotations": result.poses.rotations.numpy(), "shifts": result.poses.shifts.numpy()}
        arrays |= {"maps": self.maps.numpy(), "weight": self.weight.numpy(), "faults": np.array(self.faults)}
        header = json.dumps({"iteration": self.iteration, "symmetric": self.symmetric, "rows": self.rows})
        temporary = folder / f"{name}.tmp"
        with temporary.open("wb") as file:
            np.savez(file, header=np.array(header), **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, folder / f"{name}.npz")

    @staticmethod
    def load(folder: Path, name: str = "state") -> AveragingState | None:
        """The state saved there, if any."""
        path = folder / f"{name}.npz"
        if not path.exists():
            return None
        with np.load(path, allow_pickle=False) as archive:
            stored = dict(archive)
        header = json.loads(str(stored["header"]))
        tensors = {name: torch.from_numpy(stored[name]) for name in (*_RESULT, "rotations", "shifts", "maps", "weight")}
        poses = Poses(tensors["rotations"], tensors["shifts"])
        return AveragingState(
            iteration=header["iteration"],
            result=AlignmentResult(poses, **{name: tensors[name] for name in _RESULT}),
            maps=tensors["maps"],
            weight=tensors["weight"],
            symmetric=header["symmetric"],
            rows=tuple(header["rows"]),
            faults=tuple(str(fault) for fault in stored["faults"]),
        )

    @property
    def resolution(self) -> float:
        """Corrected FSC 0.143 of the half-maps, angstrom; infinity before the first iteration."""
        return self.rows[-1]["resolution_0.143_angstrom"] if self.rows else math.inf

    @property
    def best_iteration(self) -> int:
        """Number of the iteration with the finest resolution, of those with the present symmetry."""
        alike = [row for row in self.rows if row["symmetry"] == self.rows[-1]["symmetry"]]
        return min(alike, key=lambda row: row["resolution_0.143_angstrom"])["iteration"]


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
    return AlignmentResult(whole.poses[order], *(getattr(whole, name)[order] for name in _RESULT))
