#!/bin/bash
# Two hosts on one machine: two network namespaces joined by a cable, one torchrun in each, a few particles.
#
#   sudo scripts/two_hosts.sh [FOLDER]
#
# Aligns the same particles on one process and on 2 x 1 processes that meet at 10.77.0.1, and compares the poses. Shows that
# the processes need nothing in common but the network and a folder. Needs Linux, root, and ip (Debian: iproute2).
set -euo pipefail
folder=${1:-$(mktemp -d)}
mkdir -p "$folder"
export OMP_NUM_THREADS=1 GLOO_SOCKET_IFNAME=cable TP_SOCKET_IFNAME=cable
python=${PYTHON:-python}
hosts=(torchsag-one torchsag-two)

clean_up() {
    for host in "${hosts[@]}"; do
        ip netns del "$host" 2>/dev/null || true
    done
}
trap clean_up EXIT
clean_up
for host in "${hosts[@]}"; do
    ip netns add "$host"
    ip -n "$host" link set lo up
done
ip -n torchsag-one link add cable type veth peer name cable netns torchsag-two
ip -n torchsag-one address add 10.77.0.1/24 dev cable
ip -n torchsag-two address add 10.77.0.2/24 dev cable
for host in "${hosts[@]}"; do
    ip -n "$host" link set cable up
done

cd "$folder"
settings=(particles=data/particles.star reference=data/reference.mrc device=cpu '~report')
"$python" -m torchsag simulate out=data n=24 structure=ribosome box=32 voxel_size_angstrom=12 snr=0.1 device=cpu
"$python" -m torchsag align "${settings[@]}" out=one resume=false threads=1

on_host() { # NAME RANK ADDRESS
    ip netns exec "$1" "$python" -m torch.distributed.run --nnodes=2 --nproc-per-node=1 --node-rank="$2" \
        --master-addr=10.77.0.1 --master-port=29400 --local-addr="$3" \
        -m torchsag align "${settings[@]}" out=two resume=false chunk=3
}
on_host torchsag-two 1 10.77.0.2 &
second=$!
on_host torchsag-one 0 10.77.0.1
wait "$second"

"$python" - <<'PYTHON'
from torchsag.io import read_particles

one, two = (read_particles(f"{name}/poses.star").poses for name in ("one", "two"))
turned = float((one.rotations - two.rotations).abs().max())
moved = float((one.shifts - two.shifts).abs().max())
print(f"one process and two hosts: rotations differ by {turned:.1e}, shifts by {moved:.1e} voxels at most")
assert max(turned, moved) < 1e-5
PYTHON
