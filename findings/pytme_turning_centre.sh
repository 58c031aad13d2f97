#!/usr/bin/env bash
# pyTME 0.3.6: in an even box the position of a peak depends on the orientation. match_exhaustive turns the template about
# (n - 1) / 2, between voxels, but a template at the middle of the target peaks at voxel n // 2. A particle that was turned
# about its voxel n // 2, RELION's centre, comes out displaced by (I - R) (1/2, 1/2, 1/2): up to 1.7 voxels, another one for
# each orientation, so that no single offset takes it back. Odd boxes have one centre, and no displacement. The matrix that
# comes with the peak is the inverse of the turn.
# The obvious guess: a particle in the middle of its box is found in the middle, whichever way it is turned.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet pytme==0.3.6
cat > "$here/case.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from scipy.spatial.transform import Rotation
from tme.analyzer import MaxScoreOverRotations
from tme.matching_data import MatchingData
from tme.matching_exhaustive import MATCHING_EXHAUSTIVE_REGISTER, match_exhaustive

SETUP, SCORE = MATCHING_EXHAUSTIVE_REGISTER["FLCSphericalMask"]
POINTS = np.random.default_rng(0).uniform(-7, 7, (12, 3))


def volume(n, points):
    """Blobs about voxel n // 2."""
    grid = np.stack(np.meshgrid(*[np.arange(n) - n // 2] * 3, indexing="ij"), -1)
    return sum(np.exp(-((grid - p) ** 2).sum(-1) / 8) for p in points).astype(np.float32)


def peak(n, turn):
    """Where the turned particle is found, voxels from n // 2: the template is tried in its true orientation only."""
    mask = np.ones((n, n, n), np.float32)
    data = MatchingData(
        target=volume(n, POINTS @ turn.T), template=volume(n, POINTS), template_mask=mask,
        rotations=turn.T[None].astype(np.float32),
    )
    scores, *_ = match_exhaustive(
        matching_data=data, matching_score=SCORE, matching_setup=SETUP, callback_class=MaxScoreOverRotations
    )
    at = np.array(np.unravel_index(scores.argmax(), scores.shape))
    for axis in range(3):
        step = np.eye(3, dtype=int)[axis]
        low, middle, high = (scores[tuple(at.round().astype(int) + k * step)] for k in (-1, 0, 1))
        at = at + step * (low - high) / (2 * (low - 2 * middle + high))
    return at - n // 2, scores.max()


print("pytme", version("pytme"))
worst = {}
for n in (32, 33):
    for name, turn in {
        "half a turn about z": Rotation.from_rotvec([0, 0, np.pi]).as_matrix(),
        "a quarter about y": Rotation.from_rotvec([0, np.pi / 2, 0]).as_matrix(),
    }.items():
        found, score = peak(n, turn)
        expected = (np.eye(3) - turn) @ np.full(3, 0.5) * (n % 2 == 0)
        worst[n, name] = np.abs(found - expected).max()
        print(f"box {n}, {name:20}: found at {found.round(1) + 0.0}, (I - R) / 2 is {expected.round(1) + 0.0}, score {score:.2f}")
sys.exit(bool(max(worst.values()) > 0.2))
PY
"$here/venv/bin/python" -W ignore "$here/case.py"
# Output seen:
#   pytme 0.3.6
#   box 32, half a turn about z : found at [1. 1. 0.], (I - R) / 2 is [1. 1. 0.], score 1.00
#   box 32, a quarter about y   : found at [0. 0. 1.], (I - R) / 2 is [0. 0. 1.], score 1.00
#   box 33, half a turn about z : found at [0. 0. 0.], (I - R) / 2 is [0. 0. 0.], score 1.00
#   box 33, a quarter about y   : found at [0. 0. 0.], (I - R) / 2 is [0. 0. 0.], score 1.00
