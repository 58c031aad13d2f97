"""acryo on the alignment tasks: its alignment models, given rotations in two levels.

    pip install acryo==0.9.1 mrcfile
    python experiments/bench/acryo_entrant.py DIR/tasks OUT --first 20

acryo aligns from a starting orientation: ``rotations=`` of a model are tried one by one, each with all shifts within
``max_shifts``. No search of all orientations is offered, so one is made of its parts, as its documentation says for
finer rotations: first a grid that covers all orientations with `PCCAlignment` (a tenth of the time of
`ZNCCAlignment`), then two finer grids about the best with `ZNCCAlignment`, its default. Box centre of acryo is
``(n - 1) / 2``, that of the tasks ``n // 2``.
"""

from __future__ import annotations

import os

import numpy as np
from acryo.alignment import PCCAlignment, ZNCCAlignment
from acryo.tilt import single_axis
from entrant import FLIP, Problem, everywhere, nearby, run, soft_sphere
from scipy.spatial.transform import Rotation

COARSE = int(os.environ.get("ACRYO_ROTATIONS", "2500"))  # 18 degrees apart
SHIFTS = (3.0, 3.0, 3.0)


def align(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """Every particle, one after another."""
    reference = problem.volume("reference.mrc")
    box = len(reference)
    mask = soft_sphere(box, box / 2 - 1, (box - 1) / 2)
    tilt = single_axis(problem.tilts, "y")
    coarse = PCCAlignment(reference, mask=mask, rotations=list(everywhere(COARSE)), tilt=tilt)
    rotations, shifts = [], []
    for name in problem.names:
        particle = problem.volume(name)
        found = coarse.align(particle, SHIFTS)
        for reach, step in ((12.0, 6.0), (4.0, 2.0)):
            around = list(nearby(reach, step) * Rotation.from_quat(found.quat))
            found = ZNCCAlignment(reference, mask=mask, rotations=around, tilt=tilt).align(particle, SHIFTS)
        turn = FLIP @ Rotation.from_quat(found.quat).as_matrix() @ FLIP
        rotations.append(turn)
        shifts.append(found.shift[::-1] + (turn - np.eye(3)) @ np.full(3, 0.5))
    return np.array(rotations), np.array(shifts)


if __name__ == "__main__":
    run(align, __doc__)
