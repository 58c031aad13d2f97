#!/usr/bin/env bash
# An empty line between the rows of a STAR table. STAR knows no lines between values, so rows go on behind it, and
# starfile 0.5.13 and gemmi 0.7.5 read them. starfile-rs 0.1.12 ends the table there and says nothing of the rows that
# follow: no error, no warning. (RELION 3.1.3 does the same: relion_star_handler keeps two of these three rows. So tables
# that were joined or edited by hand lose particles on the way, and which reader one takes decides how many there are.)
# The obvious guess: every reader of STAR finds the same number of rows.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet starfile-rs==0.1.12 starfile==0.5.13 gemmi==0.7.5 numpy pandas==3.0.0
cat > "$here/particles.star" <<'STAR'

# version 30001

data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
1 2.5


# version 30001

data_particles

loop_
_rlnImageName #1
_rlnAngleRot #2
a.mrc 10
b.mrc 20

c.mrc 30

STAR
cat > "$here/case.py" <<'PY'
import sys
from importlib.metadata import version

import gemmi
import starfile
import starfile_rs

path = sys.argv[1]
found = {
    "starfile-rs": starfile_rs.read_star(path)["particles"].trust_loop().to_pandas()["rlnImageName"].tolist(),
    "starfile": starfile.read(path)["particles"]["rlnImageName"].tolist(),
    "gemmi": list(gemmi.cif.read(path)["particles"].find_loop("_rlnImageName")),
}
for name, rows in found.items():
    print(name, version(name), len(rows), "rows:", *rows)
every = ["a.mrc", "b.mrc", "c.mrc"]
sys.exit(not (found["starfile-rs"] == every[:2] and found["starfile"] == found["gemmi"] == every))
PY
"$here/venv/bin/python" -W ignore "$here/case.py" "$here/particles.star"
# Output seen:
#   starfile-rs 0.1.12 2 rows: a.mrc b.mrc
#   starfile 0.5.13 3 rows: a.mrc b.mrc c.mrc
#   gemmi 0.7.5 3 rows: a.mrc b.mrc c.mrc
