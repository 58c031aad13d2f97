#!/bin/bash
# torchsag align on a Slurm cluster: sbatch scripts/slurm_align.sh PARTICLES REFERENCE OUT [key=value ...]
#
# One process per GPU, started by torchrun on every node; without GPUs set --gpus-per-node=0 and PROCESSES per node.
# All nodes must see PARTICLES, REFERENCE and OUT. A job that its time limit cut off is submitted again as it is: it
# carries on from the last finished chunk.
#SBATCH --job-name=torchsag
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --gpus-per-node=4
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00

set -euo pipefail
if [ $# -lt 3 ]; then
    echo "usage: sbatch $0 PARTICLES REFERENCE OUT [key=value ...]" >&2
    exit 2
fi
particles=$1 reference=$2 out=$3
shift 3

nodes=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
first_node=${nodes%%$'\n'*} # not through head: scontrol would die of the closed pipe, and pipefail end the job
port=$((20000 + SLURM_JOB_ID % 20000)) # another job may have the same first node
# Since Slurm 22.05 srun has to be told --cpus-per-task again.
exec srun --ntasks-per-node=1 --cpus-per-task="${SLURM_CPUS_PER_TASK:-1}" --kill-on-bad-exit=1 torchrun \
    --nnodes="$SLURM_JOB_NUM_NODES" --nproc-per-node="${PROCESSES:-${SLURM_GPUS_ON_NODE:-1}}" \
    --rdzv-id="$SLURM_JOB_ID" --rdzv-backend=c10d --rdzv-endpoint="$first_node:$port" \
    -m torchsag align particles="$particles" reference="$reference" out="$out" "$@"
