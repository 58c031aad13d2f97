#!/usr/bin/env bash
# gemmi 0.7.5 reads STAR by the letter of CIF 1.1, where a bare value is printable ASCII: a list with one particle whose
# file name holds an umlaut or an accent is refused as a whole, "parse error" with line and column. Quoted, the same name
# is read. RELION 3.1.3 writes such names without quotes and reads them back (relion_star_handler), and so do starfile
# 0.5.13 and starfile-rs 0.1.12. Who reads RELION's lists with gemmi must expect the error where users have names in
# their own language.
# The obvious guess: a parser of STAR reads what RELION writes.
set -euo pipefail
here=$(mktemp -d); trap 'rm -rf "$here"' EXIT
python3 -m venv "$here/venv"
"$here/venv/bin/pip" install --quiet gemmi==0.7.5 starfile==0.5.13 starfile-rs==0.1.12 numpy pandas==3.0.0
cat > "$here/case.py" <<'PY'
import sys
from importlib.metadata import version
from pathlib import Path

import gemmi
import starfile
import starfile_rs

folder = Path(sys.argv[1])
READERS = {
    "gemmi": lambda path: [gemmi.cif.as_string(v) for v in gemmi.cif.read(path)["particles"].find_loop("_rlnImageName")],
    "starfile": lambda path: starfile.read(path, always_dict=True)["particles"]["rlnImageName"].tolist(),
    "starfile-rs": lambda path: starfile_rs.read_star(path)["particles"].trust_loop().to_pandas()["rlnImageName"].tolist(),
}


def attempt(reader, name):
    path = folder / f"{len(list(folder.iterdir()))}.star"
    path.write_text(f"\ndata_particles\n\nloop_\n_rlnImageName #1\n_rlnAngleRot #2\n{name} 10\nb.mrc 20\n\n", "utf-8")
    try:
        return READERS[reader](str(path))
    except Exception as error:
        return f"{type(error).__name__}: {str(error).replace(str(folder) + '/', '')}"


right = True
for reader in READERS:
    bare, quoted = attempt(reader, "Müller_a.mrc"), attempt(reader, '"Müller_a.mrc"')
    print(f"{reader} {version(reader)}: bare: {bare}; quoted: {quoted}")
    every = ["Müller_a.mrc", "b.mrc"]
    right &= quoted == every and ("parse error" in bare if reader == "gemmi" else bare == every)
sys.exit(not right)
PY
PYTHONIOENCODING=utf-8 "$here/venv/bin/python" -W ignore "$here/case.py" "$here"
# Output seen:
#   gemmi 0.7.5: bare: ValueError: 2.star:7:0(56): parse error; quoted: ['Müller_a.mrc', 'b.mrc']
#   starfile 0.5.13: bare: ['Müller_a.mrc', 'b.mrc']; quoted: ['Müller_a.mrc', 'b.mrc']
#   starfile-rs 0.1.12: bare: ['Müller_a.mrc', 'b.mrc']; quoted: ['Müller_a.mrc', 'b.mrc']
