"""How long the end of a run takes, when its particles are done: judging it, and its page."""

from __future__ import annotations

from torchsag.verdict.alignment import SAMPLE

# CPU seconds (experiments/benchmarks/time_left.py), each as much again at a box from which on transforms outweigh the
# rest: of matching a particle of the sample with all maps, of the final maps of an average, and of those of classes.
_PAGE = 1.7
_MATCHING, _MATCHING_BOX = 0.03, 45.0
_FINAL_MAPS, _FINAL_MAPS_BOX = 1.6, 50.0
_CLASS_MAPS, _CLASS_MAPS_BOX = 1.0, 70.0


def judging_seconds(particles: int, box: int) -> float:
    """What the verdict on a reference and the page take, seconds; whatever the method that aligned the particles."""
    return _PAGE + min(particles, SAMPLE) * _growing(_MATCHING, box, _MATCHING_BOX)


def final_maps_seconds(particles: int, box: int) -> float:
    """What the end of an average takes, seconds: final maps, verdict and page."""
    return judging_seconds(particles, box) + _growing(_FINAL_MAPS, box, _FINAL_MAPS_BOX)


def class_maps_seconds(box: int) -> float:
    """What the end of a classification takes, seconds."""
    return _growing(_CLASS_MAPS, box, _CLASS_MAPS_BOX)


def _growing(least: float, box: int, twice_at: float) -> float:
    return least * (1 + (box / twice_at) ** 3)
