"""A task: what particles are made of, what an entrant is given, and what is asked; hashed as text."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from dataclasses import dataclass
from typing import Literal

from torchsag.errors import InputError

EDITION = 1
"""Of the benchmark: sheets of different editions are not compared."""

Kind = Literal["align", "average", "classify", "calibrate"]
Difficulty = Literal["easy", "normal", "hard"]


@dataclass(frozen=True)
class Task:
    """A recipe; particle, pose and reference follow from it.

    Attributes
    ----------
    kind
        What is asked: poses against a given reference, poses from the particles alone (their average counts), classes,
        or poses with their uncertainty.
    difficulty
        Within its kind.
    seed
        Everything random follows from it.
    snr
        Variance of the first structure over the whole box by that of the noise per voxel, before the wedge.
    tilt_deg
        Tilts run from minus to plus this angle, about y.
    structures
        Built-in structures, one for each class.
    symmetry
        Divided out of errors; entrants are told.
    particles
        How many.
    box
        Voxels per axis.
    voxel_size_angstrom
        Angstrom per voxel.
    max_shift_voxels
        Shifts are uniform in a ball of this radius.
    reference_angstrom
        The reference is low-passed to this resolution; None leaves it.
    reference_particles
        The reference is the average of so many other particles of the task, at their true poses; 0 takes the
        structure itself.
    reference_given
        Whether entrants get it.
    """

    kind: Kind
    difficulty: Difficulty
    seed: int
    snr: float
    tilt_deg: float = 60.0
    structures: tuple[str, ...] = ("ribosome",)
    symmetry: str = "C1"
    particles: int = 100
    box: int = 32
    voxel_size_angstrom: float = 10.0
    max_shift_voxels: float = 2.5
    reference_angstrom: float | None = None
    reference_particles: int = 0
    reference_given: bool = True

    @property
    def name(self) -> str:
        """Such as ``align_easy``."""
        return f"{self.kind}_{self.difficulty}"

    @property
    def recipe_digest(self) -> str:
        """SHA-256 of every field and the edition: the same everywhere, as it is made of text alone."""
        recipe = {"edition": EDITION, **dataclasses.asdict(self)}
        return hashlib.sha256(json.dumps(recipe, sort_keys=True, separators=(",", ":")).encode()).hexdigest()

    def particle_name(self, particle: int) -> str:
        """Name of a particle's file; it tells the task, so that lists of two tasks are not taken for each other."""
        return f"{self.name}_{particle:06d}.mrc"


# Alignment and calibration: a structure without symmetry, of the size of a ribosome. Easy is where every sound method
# arrives; at hard the matched filter of a true pose is some nine standard deviations of noise, near where searches of
# all poses begin to fail, and the reference lacks most of what decides.
# Classes: rings with and without a dome, as GroEL with GroES.
# Noise was chosen so that torchsag's default method fails with a part of what is hard; nothing else was tuned.
TASKS = (
    Task("align", "easy", 101, snr=0.1),
    Task("align", "normal", 102, snr=0.01, reference_angstrom=30.0),
    Task("align", "hard", 103, snr=0.003, reference_angstrom=40.0),
    Task("average", "easy", 201, snr=0.1, reference_angstrom=60.0),
    Task("average", "normal", 202, snr=0.03, reference_given=False),
    Task("average", "hard", 203, snr=0.008, reference_given=False),
    Task("classify", "easy", 301, snr=0.1, structures=("groel", "capped"), symmetry="C7", reference_angstrom=40.0),
    Task("classify", "normal", 302, snr=0.02, structures=("groel", "capped"), symmetry="C7", reference_angstrom=40.0),
    Task("classify", "hard", 303, snr=0.016, structures=("groel", "capped"), symmetry="C7", reference_angstrom=40.0),
    Task("calibrate", "easy", 401, snr=0.1, particles=200),
    Task("calibrate", "normal", 402, snr=0.01, particles=200, reference_angstrom=30.0),
    Task("calibrate", "hard", 403, snr=0.005, particles=200, tilt_deg=50.0, reference_particles=100),
)


def task_named(name: str) -> Task:
    """The task of a name.

    Raises
    ------
    InputError
        If there is none.
    """
    for task in TASKS:
        if task.name == name:
            return task
    raise InputError(f"task: expected one of {', '.join(task.name for task in TASKS)}, got {name!r}")
