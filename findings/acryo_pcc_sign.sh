#!/usr/bin/env bash
# acryo 0.9.1: PCCAlignment, "alignment model using phase cross correlation". Nothing in it is divided by an amplitude, and
# its score is the square of the plain cross-correlation of the two volumes. So it is blind to contrast: a particle and its
# negative get the same score, shift and rotation; and of two templates the one with the larger numbers wins, whichever it
# resembles (scores of ZNCCAlignment, the default, are correlations from -1 to 1).
# The obvious guess: phase correlation weighs every frequency alike, does not depend on scale, and has a sign.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet acryo==0.9.1
cat > "$here/case.py" <<'PY'
import sys
from importlib.metadata import version

import numpy as np
from acryo.alignment import PCCAlignment, ZNCCAlignment

random = np.random.default_rng(0)
grid = np.stack(np.meshgrid(*[np.arange(24) - 11.5] * 3, indexing="ij"), -1)


def blobs():
    return sum(np.exp(-((grid - p) ** 2).sum(-1) / 6) for p in random.uniform(-6, 6, (10, 3))).astype(np.float32)


one, other = blobs(), blobs()
one, other = one - one.mean(), other - other.mean()
print("acryo", version("acryo"))
found = {}
for model in (PCCAlignment, ZNCCAlignment):
    name = model.__name__
    scores = [float(model(one).align(sign * one, (2, 2, 2)).score) for sign in (1, -1)]
    label = model([one, 10 * other]).align(one, (2, 2, 2)).label
    found[name] = (scores[1] / scores[0], label)
    print(f"{name}: score of the negative by that of the particle {scores[1] / scores[0]:.2f}; "
          f"of itself and ten times another structure the particle resembles number {label}")
(pcc, pcc_label), (zncc, zncc_label) = found["PCCAlignment"], found["ZNCCAlignment"]
sys.exit(not (abs(pcc - 1) < 1e-3 and pcc_label == 1 and zncc < 0.9 and zncc_label == 0))
PY
"$here/venv/bin/python" -W ignore "$here/case.py"
# Output seen:
#   acryo 0.9.1
#   PCCAlignment: score of the negative by that of the particle 1.00; of itself and ten times another structure the particle resembles number 1
#   ZNCCAlignment: score of the negative by that of the particle -0.35; of itself and ten times another structure the particle resembles number 0
