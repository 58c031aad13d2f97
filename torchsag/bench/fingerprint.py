"""Is what was made here what was made everywhere else?

Recipes and poses are whole numbers and text, so their hashes are exact. Volumes are floating point: other processors,
libraries and numbers of threads sum in another order, and a hash of the bytes would differ though nothing is wrong.
They are compared by sketches: sums over all voxels with signs of plus and minus one, drawn bit by bit from a
counter-based generator, by the root of the sum of squares. Such a sum is normally distributed with unit variance, and a
change of the data by a relative size of d moves it by about d (Johnson & Lindenstrauss 1984): one wrong or exchanged
particle moves it by more than 0.01, rounding by 2e-6 (seen with AVX switched off).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float

from torchsag.bench.making import Problem
from torchsag.bench.task import Task
from torchsag.errors import InputError

TOLERANCE = 1e-4
_SKETCHES = 4
_FILE = "fingerprints.json"


@dataclass(frozen=True)
class Fingerprint:
    """What tells one set of data from another.

    Attributes
    ----------
    recipe, truth
        SHA-256.
    particles, reference, weights
        The root mean square and the sketches; empty where there are no such data.
    """

    recipe: str
    truth: str
    particles: tuple[float, ...]
    reference: tuple[float, ...]
    weights: tuple[float, ...]

    @staticmethod
    def of(problem: Problem) -> Fingerprint:
        """Of a task as made here."""
        reference = problem.reference
        return Fingerprint(
            problem.task.recipe_digest,
            problem.truth.digest,
            _sketch(problem.particles.volumes.numpy()),
            () if reference is None else _sketch(reference.density.numpy()),
            _sketch(problem.particles.weights.numpy()),
        )

    def differences(self, other: Fingerprint) -> list[str]:
        """What is not the same, in words; empty where all is."""
        exact = [name for name in ("recipe", "truth") if getattr(self, name) != getattr(other, name)]
        close = [
            name
            for name in ("particles", "reference", "weights")
            if not _close(getattr(self, name), getattr(other, name))
        ]
        return exact + close

    def record(self) -> dict[str, Any]:
        """For a json file."""
        numbers = {name: list(getattr(self, name)) for name in ("particles", "reference", "weights")}
        return {"recipe": self.recipe, "truth": self.truth, **numbers}


def published(task: Task) -> Fingerprint:
    """What the task is everywhere, as it was when the benchmark was made."""
    record = json.loads(files("torchsag.bench").joinpath(_FILE).read_text("utf-8"))[task.name]
    numbers = {name: tuple(record[name]) for name in ("particles", "reference", "weights")}
    return Fingerprint(record["recipe"], record["truth"], **numbers)


def require_published(problem: Problem) -> None:
    """Refuse to go on with data that are not the benchmark's.

    Raises
    ------
    InputError
        If what was made here differs: numpy's random numbers, or torch's transforms, are not what they were.
    """
    different = Fingerprint.of(problem).differences(published(problem.task))
    if different:
        raise InputError(
            f"task {problem.task.name}: expected the data that the benchmark was published with, but "
            f"{' and '.join(different)} made here differ, so that scores could not be compared; try the versions of "
            "numpy and torch that pyproject.toml names"
        )


def _sketch(values: Float[np.ndarray, "..."]) -> tuple[float, ...]:
    flat = values.astype(np.float64).ravel()
    root = float(np.sqrt(np.square(flat).sum()))
    sums = [float((flat * _signs(key, flat.size)).sum()) / max(root, 1e-300) for key in range(_SKETCHES)]
    return root / flat.size**0.5, *sums


def _signs(key: int, count: int) -> Float[np.ndarray, " values"]:
    words = np.random.Philox(key=key).random_raw(-(-count // 64)).astype("<u8")
    return np.unpackbits(words.view(np.uint8), count=count).astype(np.float64) * 2 - 1


def _close(found: tuple[float, ...], expected: tuple[float, ...]) -> bool:
    if len(found) != len(expected):
        return False
    if not found:
        return True
    scale = abs(found[0] - expected[0]) <= TOLERANCE * abs(expected[0])
    return scale and all(abs(a - b) <= TOLERANCE for a, b in zip(found[1:], expected[1:], strict=True))
