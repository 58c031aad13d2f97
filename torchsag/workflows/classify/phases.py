"""What a classification does, in order, for whoever shows how far it is."""

from __future__ import annotations

from torchsag.runs.closing import class_maps_seconds
from torchsag.runs.job import Phase

COMMON = "the common average"
CLOSING = "class maps and verdict"

# By aligning one particle (experiments/benchmarks/time_left.py). What a division costs depends on the particles too
# much for a time before one has been made.
_VIEWING, _DIVIDING = 0.1, 0.3


def views(stage: int) -> str:
    """Every particle as it looks from the common average."""
    return f"views of the particles{_again(stage)}"


def division(seed: int) -> str:
    """Of all particles, from one seed."""
    return f"division from seed {seed}"


def settling(stage: int) -> str:
    """Of the one division, at new poses."""
    return f"settling of the classes{_again(stage)}"


def alignment(stage: int) -> str:
    """Of every particle to every class."""
    return f"alignment to the classes{_again(stage)}"


def phases(
    particles: int, box: int, common_iterations: int, seeds: range, classes: int, alignments: int
) -> list[Phase]:
    """All of it."""
    found = []
    if common_iterations:
        found.append(Phase(COMMON, common_iterations * particles, "alignment", optional=True))
    for stage in range(1 + alignments):
        found.append(Phase(views(stage), particles, "viewing", cost=_VIEWING))
        if stage == 0:
            cost = _DIVIDING * particles
            found += [Phase(division(seed), 1, "division", cost=cost, guessed=True) for seed in seeds]
        else:
            found.append(Phase(settling(stage), 1, "settling", cost=_DIVIDING * particles / 20))
        if stage < alignments:
            found.append(Phase(alignment(stage), particles * classes, "alignment"))
    return [*found, Phase(CLOSING, 1, "closing", seconds=class_maps_seconds(box))]


def _again(stage: int) -> str:
    return "" if stage == 0 else f", round {stage + 1}"
