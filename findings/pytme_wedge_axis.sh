#!/usr/bin/env bash
# pyTME 0.3.6: the wedge of "tilting over the x-axis". Its filters take an opening axis and a tilt axis, and so does
# match_template (--wedge-axes, default 2,0: "the typical projection over z and tilting over the x-axis"). A tilt about x
# measures every frequency along x, and misses frequencies along z in the plane of y and z. The filter of these axes has
# it the other way round: it measures all along y and misses z in the plane of x and z, which is the wedge of tilts about
# y. So who gives the axis of the tilt, as the words say, weighs particles by a wedge turned by 90 degrees; the default
# fits series that were tilted about y (axes of arrays are x, y, z: pyTME turns files round when it reads them).
# The obvious guess: a filter for tilts about an axis passes what lies along that axis.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet pytme==0.3.6 mrcfile
cat > "$here/case.py" <<'PY'
import sys
from importlib.metadata import version

import mrcfile
import numpy as np
from tme import Density
from tme.filters import WedgeReconstructed

with mrcfile.new(sys.argv[1], overwrite=True) as file:
    file.set_data(np.zeros((4, 5, 6), np.float32))  # sections, rows, columns: z, y, x
order = Density.from_file(sys.argv[1]).shape
print("pytme", version("pytme"), "- a file of 6 x 5 x 4 voxels (x, y, z) is an array of", order)


def first(values):
    """The first frequency that is measured."""
    return next((k for k, value in enumerate(values) if value > 0), None)


found = {}
for kind, words in {
    "continuous": {"angles": (60, 60), "create_continuous_wedge": True},
    "by tilts": {"angles": tuple(range(-60, 61, 3))},
}.items():
    wedge = WedgeReconstructed(opening_axis=2, tilt_axis=0, **words)
    mask = np.asarray(wedge(shape=(32, 32, 32), return_real_fourier=False)["data"])
    found[kind] = first(mask[:16, 0, 8]), first(mask[0, :16, 8])
    print(f"tilt_axis=0 (x), {kind:10}: at k_z = 8 measured from k_x = {found[kind][0]} on, from k_y = {found[kind][1]} on")
# Tilts about x to 60 degrees measure |k_z| <= |k_y| tan 60.
print("tilts about x would measure from k_x = None on, from k_y = 5 on; tilts about y the reverse")
sys.exit(order != (6, 5, 4) or any(x not in (4, 5) or y is not None for x, y in found.values()))
PY
"$here/venv/bin/python" -W ignore "$here/case.py" "$here/axes.mrc"
# Output seen:
#   pytme 0.3.6 - a file of 6 x 5 x 4 voxels (x, y, z) is an array of (6, 5, 4)
#   tilt_axis=0 (x), continuous: at k_z = 8 measured from k_x = 5 on, from k_y = None on
#   tilt_axis=0 (x), by tilts  : at k_z = 8 measured from k_x = 4 on, from k_y = None on
#   tilts about x would measure from k_x = None on, from k_y = 5 on; tilts about y the reverse
