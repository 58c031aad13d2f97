#!/usr/bin/env bash
# torchsag's own methods on the benchmark: one sheet each below experiments/bench/sheets. One thread; about 25 minutes.
#   experiments/bench/own_methods.sh FOLDER [METHOD ...]
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
out=$1; shift
poses='align_easy,align_normal,align_hard'
mkdir -p "$here/sheets"
for method in "${@:-curvature_sag xu_alber chen_frm fast_matching sag candidate_refinement}"; do
  for one in $method; do
    case $one in
      curvature_sag) words=(method@local_method=curvature_sag_local) ;;
      *) words=("task=[$poses,calibrate_easy,calibrate_normal,calibrate_hard]") ;;
    esac
    torchsag bench "out=$out/$one" "method=$one" "name=torchsag $one" threads=1 "${words[@]}"
    cp "$out/$one/sheet.json" "$here/sheets/$one.json"
  done
done
