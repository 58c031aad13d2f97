"""What a classification knows between two rounds; saved after each, so that a killed run carries on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.classification.classifier import Division
from torchsag.geometry import Poses
from torchsag.runs.record import Columns, Unusable, discard, read_record, require_poses, write_record


@dataclass(frozen=True)
class ClassificationState:
    """After some rounds.

    Attributes
    ----------
    poses
        Candidate poses ``[particles, candidates]`` in the frame of the common average.
    stage
        How often the particles have been aligned to class averages.
    division
        Of the run in progress; None between two.
    finished
        The settled memberships of the runs, from different seeds, that are done; in later stages of the best alone.
    values
        The completed likelihood of each.
    rows
        The table of rounds so far.
    seed_labels
        The labels that each seed's run ended with, before any alignment to class averages: how stable they are.
    lost
        Particles that could be used when the run began and no longer can: row of the list, and why. The others are
        those of all that the state holds.
    """

    poses: Poses
    stage: int = 0
    division: Division | None = None
    finished: tuple[Float[Tensor, "particles candidates classes"], ...] = ()
    values: tuple[float, ...] = ()
    rows: tuple[dict[str, Any], ...] = ()
    seed_labels: tuple[Integer[Tensor, " particles"], ...] = ()
    lost: tuple[tuple[int, str], ...] = ()

    def without(self, faults: Mapping[int, str], rows: Sequence[int], seeds: int) -> ClassificationState:
        """The state of the others.

        Parameters
        ----------
        faults
            What is wrong, by position among the state's particles.
        rows
            Of the list, for each of them.
        seeds
            How many runs there are in the first stage: likelihoods of some with and some without these particles could
            not be compared, so that unless all are done they are done again.
        """
        keep = [position for position in range(len(rows)) if position not in faults]
        lost = (*self.lost, *((rows[position], reason) for position, reason in sorted(faults.items())))
        if self.stage == 0 and len(self.finished) < seeds:
            return ClassificationState(self.poses[keep], lost=lost)
        return replace(
            self,
            poses=self.poses[keep],
            division=None,
            finished=tuple(one[keep] for one in self.finished),
            seed_labels=tuple(one[keep] for one in self.seed_labels),
            lost=lost,
        )

    def save(self, folder: Path) -> None:
        """Write to `folder`; a kill at any moment leaves the state before or this one."""
        arrays = {"rotations": self.poses.rotations.numpy(), "shifts": self.poses.shifts.numpy()}
        arrays |= {f"finished{i}": one.numpy() for i, one in enumerate(self.finished)}
        arrays |= {f"labels{i}": one.numpy() for i, one in enumerate(self.seed_labels)}
        header: dict[str, Any] = {"stage": self.stage, "values": self.values, "rows": self.rows, "lost": self.lost}
        header |= {"finished": len(self.finished), "labels": len(self.seed_labels), "division": None}
        if self.division is not None:
            arrays |= {"membership": self.division.membership.numpy(), "best": self.division.best.numpy()}
            names = ("best_value", "rounds", "finished", "rows")
            header["division"] = {name: getattr(self.division, name) for name in names}
        write_record(folder / "state.npz", {"header": np.array(json.dumps(header)), **arrays})

    @staticmethod
    def load(folder: Path) -> ClassificationState | None:
        """The state saved there, if any; one that is damaged or another version's is discarded."""
        path = folder / "state.npz"
        if not os.path.lexists(path):
            return None
        try:
            return _rebuilt(read_record(path))
        except Unusable as reason:
            discard(path, reason, "the rounds are done again")
            return None


def _rebuilt(arrays: Columns) -> ClassificationState:
    require_poses(arrays, np.isnan(arrays["shifts"].sum(-1)))
    stored = {name: torch.from_numpy(array) for name, array in arrays.items() if name != "header"}
    header = json.loads(str(arrays["header"]))
    division = None
    if header["division"] is not None:
        values = {**header["division"], "rows": tuple(header["division"]["rows"])}
        division = Division(stored["membership"], stored["best"], **values)
    return ClassificationState(
        poses=Poses(stored["rotations"], stored["shifts"]),
        stage=header["stage"],
        division=division,
        finished=tuple(stored[f"finished{i}"] for i in range(header["finished"])),
        values=tuple(header["values"]),
        rows=tuple(header["rows"]),
        seed_labels=tuple(stored[f"labels{i}"] for i in range(header["labels"])),
        lost=tuple((row, reason) for row, reason in header["lost"]),
    )
