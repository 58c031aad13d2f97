#!/usr/bin/env bash
# A point that was set in the middle of voxel (10, 11, 12), counted from 0, stands in an IMOD model as (10.5, 11.5, 12):
# IMOD counts X and Y from the corner of the first voxel and Z from the middle of the first slice
# (https://bio3d.colorado.edu/imod/doc/binspec.html, "Model Coordinate Conventions"). imodmodel 0.1.0 gives the numbers as
# they stand, and cryoCAT 0.7.1 takes them for positions in voxels: its list lies half a voxel further in x and y and not in
# z, and its whole voxels for extraction, rounded half up, one voxel further.
# The obvious guess: positions of a model count voxels of the volume alike along all axes.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet imodmodel==0.1.0 cryocat==0.7.1
cat > "$here/case.py" <<'PY'
import sys
import warnings

warnings.filterwarnings("ignore")
import imodmodel
import pandas
from cryocat import cryomotl

table = pandas.DataFrame({"object_id": [0], "contour_id": [0], "x": [10.5], "y": [11.5], "z": [12.0]})
imodmodel.write(table, sys.argv[1])
read = imodmodel.read(sys.argv[1])[["x", "y", "z"]].to_numpy()[0].tolist()
listed = cryomotl.ModMotl(sys.argv[1])
place = listed.get_coordinates()[0].tolist()
cut = listed.df[["x", "y", "z"]].to_numpy()[0].tolist()
print(f"the voxel: [10, 11, 12]; imodmodel: {read}; cryoCAT: {place}, to be cut at {cut}")
sys.exit(not (read == place == [10.5, 11.5, 12.0] and cut == [11.0, 12.0, 12.0]))
PY
"$here/venv/bin/python" "$here/case.py" "$here/TS_1.mod"
# Output seen:
#   the voxel: [10, 11, 12]; imodmodel: [10.5, 11.5, 12.0]; cryoCAT: [10.5, 11.5, 12.0], to be cut at [11.0, 12.0, 12.0]
