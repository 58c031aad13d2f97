"""pyTME on the alignment tasks: template matching of one particle at a time, with a finer search about the best.

    pip install pytme==0.3.6 mrcfile
    python experiments/bench/pytme_entrant.py DIR/tasks OUT --first 20

What ``match_template`` does (`tme.matching_exhaustive`, score FLCSphericalMask, which is its default, wedge filter on
template and target) with the particle as the target: all rotations of ``get_rotation_matrices(15)``, then two finer
grids about the best; the shift from a parabola through the peak of the scores. Arrays are (x, y, z), as pyTME reads
files. ``tilt_axis=0`` with ``opening_axis=2`` is the wedge of tilts about *y* (findings/pytme_wedge_axis.sh). Its
matrices are the inverse of R; templates turn about ``(n - 1) / 2``, while the peak is where ``n // 2`` lies
(findings/pytme_turning_centre.sh).
"""

from __future__ import annotations

import numpy as np
from entrant import Problem, nearby, run, soft_sphere
from tme.analyzer import MaxScoreOverRotations
from tme.filters import Compose, WedgeReconstructed
from tme.matching_data import MatchingData
from tme.matching_exhaustive import MATCHING_EXHAUSTIVE_REGISTER, match_exhaustive
from tme.rotations import get_rotation_matrices

REACH = 3
SETUP, SCORE = MATCHING_EXHAUSTIVE_REGISTER["FLCSphericalMask"]


def wedge(tilts: tuple[float, float]) -> Compose:
    """As match_template makes it of ``--tilt-angles 60,60``."""
    angles = (abs(tilts[0]), abs(tilts[1]))
    return Compose((WedgeReconstructed(angles=angles, create_continuous_wedge=True, opening_axis=2, tilt_axis=0),))


def match(
    particle: np.ndarray, reference: np.ndarray, mask: np.ndarray, rotations: np.ndarray, tilts: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """The rotation with the highest score near the box centre, and the shift of its peak."""
    data = MatchingData(target=particle.copy(), template=reference.copy(), template_mask=mask, rotations=rotations)
    data.template_filter = data.target_filter = wedge(tilts)
    scores, _, best, matrices, *_ = match_exhaustive(
        matching_data=data, matching_score=SCORE, matching_setup=SETUP, callback_class=MaxScoreOverRotations
    )
    centre = len(particle) // 2
    window = (slice(centre - REACH, centre + REACH + 1),) * 3
    near = scores[window]
    at = np.array(np.unravel_index(near.argmax(), near.shape)) + centre - REACH
    return np.asarray(matrices[int(best[tuple(at)])]), at - centre + parabola(scores, at)


def parabola(scores: np.ndarray, at: np.ndarray) -> np.ndarray:
    """Where the peak lies between voxels, along each axis."""
    found = np.zeros(3)
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        low, middle, high = (scores[tuple(at + k * step)] for k in (-1, 0, 1))
        bend = low - 2 * middle + high
        found[axis] = np.clip((low - high) / (2 * bend), -0.5, 0.5) if bend < 0 else 0.0
    return found


def align(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Every particle, one after another."""
    reference = problem.volume("reference.mrc").transpose(2, 1, 0)
    box = len(reference)
    mask = soft_sphere(box, box / 2 - 1.5, box // 2)
    everywhere = get_rotation_matrices(15, dim=3)
    rotations, shifts = [], []
    for name in problem.names:
        particle = problem.volume(name).transpose(2, 1, 0)
        found, shift = match(particle, reference, mask, everywhere, problem.tilts)
        for reach, step in ((12.0, 6.0), (4.0, 2.0)):
            grid = (nearby(reach, step).as_matrix() @ found).astype(np.float32)
            found, shift = match(particle, reference, mask, grid, problem.tilts)
        turn = found.T.astype(float)
        rotations.append(turn)
        shifts.append(shift + (turn - np.eye(3)) @ np.full(3, 0.5))
    return np.array(rotations), np.array(shifts)


if __name__ == "__main__":
    run(align, __doc__)
