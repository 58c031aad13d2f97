#!/bin/bash
# torchsag align as an array of Slurm jobs, each on a part of the particles, and the merge that follows:
#
#   job=$(sbatch --parsable --array=1-8 scripts/slurm_align_array.sh PARTICLES REFERENCE OUT [key=value ...])
#   sbatch --dependency=afterany:$job --array=0 scripts/slurm_align_array.sh PARTICLES REFERENCE OUT [key=value ...]
#
# The first command aligns part 1/8 to 8/8, into one OUT that all nodes must see; the jobs need not run at the same time.
# The second, task 0, finds what they have done, aligns what a failed job has left, and writes poses, average, metrics
# and report. Particles are copied to the node's own disk when first read, where the cluster sets TMPDIR to one.
#SBATCH --job-name=torchsag-part
#SBATCH --nodes=1
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --time=04:00:00

set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: sbatch --array=1-PARTS $0 PARTICLES REFERENCE OUT [key=value ...]" >&2
    exit 2
fi
words=(align "particles=$1" "reference=$2" "out=$3" "${@:4}")
if [ -n "${TMPDIR:-}" ]; then
    words+=("staging=$TMPDIR/torchsag")
fi
if [ "$SLURM_ARRAY_TASK_ID" -gt 0 ]; then
    words+=("part=$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT")
fi
exec torchsag "${words[@]}"
