"""How long the end of a run takes, when its particles are done: judging it, and its page."""

from __future__ import annotations

from torchsag.verdict.alignment import SAMPLE

# CPU seconds (experiments/benchmarks/time_left.py): of a page with its surfaces; of matching a particle of the sample
# with all maps, and as much again for every `_LARGER` of the box, where the transforms outweigh the matching.
_PAGE, _MATCHING, _LARGER = 1.7, 0.06, 96**3


def judging_seconds(particles: int, box: int) -> float:
    """What the verdict on a reference and the page take, seconds; independent of how the particles were aligned."""
    return _PAGE + min(particles, SAMPLE) * _MATCHING * (1 + box**3 / _LARGER)
