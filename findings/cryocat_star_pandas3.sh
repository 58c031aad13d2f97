#!/usr/bin/env bash
# cryoCAT 0.7.1 as pip installs it (with pandas 3): every STAR list, STOPGAP's own among them, ends with "invalid error
# value specified", since its reader calls pandas.to_numeric(errors="ignore"), which pandas 3 has taken away. With
# pandas 2 the same list is read. A block of single values, as RELION 5 writes one above its particles (data_general), is
# refused with either: its reader knows blocks that are tables, no others.
# The obvious guess: the newest cryoCAT reads STOPGAP's own lists, and what RELION 5 writes.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet cryocat==0.7.1 pandas==3.0.0
cat > "$here/motl.star" <<'STAR'

data_stopgap_motivelist

loop_
_motl_idx
_tomo_num
_object
_subtomo_num
_halfset
_orig_x
_orig_y
_orig_z
_score
_x_shift
_y_shift
_z_shift
_phi
_psi
_the
_class

1 3 1 17 A 100.0 200.0 50.0 0.4 0.5 -1.25 2.0 10.0 20.0 30.0 1
2 3 1 18 B 110.0 210.0 60.0 0.5 0.0 0.0 0.0 -170.0 5.0 90.0 2
STAR
cat > "$here/general.star" <<'STAR'

# version 50001

data_general

_rlnTomoSubTomosAre2DStacks                       0
 

# version 50001

data_particles

loop_ 
_rlnTomoName #1 
_rlnAngleRot #2 
TS_01 10.0 
TS_01 20.0 
STAR
cat > "$here/case.py" <<'PY'
import sys
import warnings
from importlib.metadata import version

warnings.filterwarnings("ignore")
import pandas
from cryocat import cryomotl, starfileio


def attempt(read, path):
    try:
        return f"read, {len(read(path))} rows or blocks"
    except Exception as error:
        return f"{type(error).__name__}: {error}"


motl = attempt(lambda path: cryomotl.Motl.load(path, motl_type="stopgap").df, sys.argv[1])
general = attempt(lambda path: starfileio.Starfile.read(path)[0], sys.argv[2])
print(f"cryoCAT {version('cryocat')}, pandas {pandas.__version__}: STOPGAP list: {motl}")
print(f"cryoCAT {version('cryocat')}, pandas {pandas.__version__}: list with data_general: {general}")
major = int(pandas.__version__.split(".")[0])
expected = ("invalid error value" in motl) if major >= 3 else motl.startswith("read, 2 rows")
sys.exit(not (expected and not general.startswith("read")))
PY
"$here/venv/bin/python" "$here/case.py" "$here/motl.star" "$here/general.star"
"$here/venv/bin/pip" install --quiet pandas==2.3.3
"$here/venv/bin/python" "$here/case.py" "$here/motl.star" "$here/general.star"
# Output seen:
#   cryoCAT 0.7.1, pandas 3.0.0: STOPGAP list: ValueError: invalid error value specified
#   cryoCAT 0.7.1, pandas 3.0.0: list with data_general: OSError: Expected TokenType.LOOP but got TokenType.NEWLINE at (18, 1).
#   cryoCAT 0.7.1, pandas 2.3.3: STOPGAP list: read, 2 rows or blocks
#   cryoCAT 0.7.1, pandas 2.3.3: list with data_general: OSError: Expected TokenType.LOOP but got TokenType.NEWLINE at (18, 1).
