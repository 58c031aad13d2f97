#!/usr/bin/env bash
# acryo, pyTME and RELION on the alignment tasks, and their sheets below experiments/bench/sheets. One thread; some 50
# minutes with as many particles as below. PEERS is an environment with acryo==0.9.1, pytme==0.3.6 and mrcfile.
#   PEERS=/path/to/venv experiments/bench/peers.sh FOLDER
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1
export OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1
torchsag bench "out=$out" 'task=[align_easy,align_normal,align_hard]'
enter() { # script, particles, name
  "$PEERS/bin/python" "$here/$1_entrant.py" "$out/tasks" "$out/$1" --first "$2"
  torchsag bench "judge=$out/$1" "out=$out/sheets/$1" "first=$2" "name=$3"
  cp "$out/sheets/$1/sheet.json" "$here/sheets/$1.json"
}
enter relion 100 "RELION 3.1.3"
enter pytme 20 "pyTME 0.3.6"
enter acryo 20 "acryo 0.9.1"
