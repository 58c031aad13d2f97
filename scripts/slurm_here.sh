#!/bin/bash
# A Slurm cluster of this machine alone, for as long as one command runs:
#
#   scripts/slurm_here.sh COMMAND [WORD ...]
#   scripts/slurm_here.sh bash        # a shell that has sbatch, srun, squeue
#   CPUS=16 scripts/slurm_here.sh sbatch --wait job.sh    # pretends to have 16 cores of 4 GB
#
# Starts munged, slurmctld and slurmd as the user who calls, on the loopback, with their files in a new temporary folder;
# ends them and removes the folder when COMMAND ends, and has its exit status. Jobs that still run then are cancelled.
# The machine's own Slurm, if it has one, is neither used nor touched. Ends with 77 where Slurm or munge is not
# installed (Debian: slurm-wlm, munge).
set -euo pipefail
if [ $# -eq 0 ]; then
    echo "usage: $0 COMMAND [WORD ...]" >&2
    exit 2
fi
PATH=$PATH:/usr/sbin:/sbin
for program in munged slurmctld slurmd srun sbatch scancel scontrol sinfo; do
    if ! command -v "$program" >/dev/null; then
        echo "$0: expected Slurm and munge, got no $program; Debian: apt-get install slurm-wlm munge" >&2
        exit 77
    fi
done

folder=$(mktemp -d "${TMPDIR:-/tmp}/torchsag-slurm.XXXXXX")
daemons=()

end_daemon() { # PROCESS
    kill "$1" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$1" 2>/dev/null || return 0
        sleep 0.1
    done
    kill -9 "$1" 2>/dev/null || true
}

clean_up() {
    if [ -n "${SLURM_CONF:-}" ]; then
        timeout 10 scancel --user="$user" --signal=KILL 2>/dev/null || true
        timeout 10 scancel --user="$user" 2>/dev/null || true
        for _ in $(seq 50); do # a step's own daemon outlives slurmd
            [ -n "$(timeout 5 squeue --noheader 2>/dev/null)" ] || break
            sleep 0.1
        done
    fi
    for ((number = ${#daemons[@]} - 1; number >= 0; number--)); do
        end_daemon "${daemons[$number]}"
    done
    rm -rf "$folder"
}
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

show_logs() {
    echo "$0: Slurm did not start:" >&2
    tail -n 20 "$folder"/*.log >&2 || true
}

user=$(id -un)
mkdir -p "$folder/state" "$folder/spool"
chmod 711 "$folder" # munged wants everybody to be able to reach its socket
(umask 077 && head -c 1024 /dev/urandom >"$folder/munge.key")

# Ports that nobody listens on now.
read -r controller_port node_port < <(python3 - <<'PYTHON'
import socket

sockets = [socket.socket() for _ in range(2)]
for one in sockets:
    one.bind(("127.0.0.1", 0))
print(*(one.getsockname()[1] for one in sockets))
PYTHON
)
# What this machine is made of, as slurmd sees it: NodeName=... CPUs=... RealMemory=...
node=$(slurmd -C | head -n 1)
binding=task/affinity
if [ -n "${CPUS:-}" ]; then
    node="${node%% *} CPUs=$CPUS RealMemory=$((CPUS * 4000))"
    binding=task/none
fi

cat >"$folder/slurm.conf" <<CONF
ClusterName=here
SlurmctldHost=$(hostname -s)(127.0.0.1)
SlurmctldPort=$controller_port
SlurmdPort=$node_port
SlurmUser=$user
SlurmdUser=$user
AuthType=auth/munge
CredType=cred/munge
AuthInfo=socket=$folder/munge.socket,cred_expire=5
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/pgid
TaskPlugin=$binding
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
DefMemPerCPU=100
SlurmdParameters=config_overrides
JobCompType=jobcomp/none
JobAcctGatherType=jobacct_gather/none
SchedulerParameters=batch_sched_delay=0,sched_interval=1
KillWait=5
MinJobAge=600
ReturnToService=2
SlurmdTimeout=300
$node NodeAddr=127.0.0.1 State=UNKNOWN
PartitionName=here Nodes=ALL Default=YES MaxTime=INFINITE State=UP
CONF
export SLURM_CONF=$folder/slurm.conf

munged --foreground --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
    --seed-file="$folder/munged.seed" --log-file="$folder/munged.log" --num-threads=2 >"$folder/munged.out.log" 2>&1 &
daemons+=($!)
for _ in $(seq 100); do
    if [ -S "$folder/munge.socket" ]; then break; fi
    sleep 0.1
done
if [ ! -S "$folder/munge.socket" ]; then
    show_logs
    exit 1
fi
slurmctld -D >"$folder/slurmctld.out.log" 2>&1 &
daemons+=($!)
slurmd -D >"$folder/slurmd.out.log" 2>&1 &
daemons+=($!)

for _ in $(seq 300); do
    state=$(timeout 5 sinfo --noheader --format=%t 2>/dev/null || true)
    if [ "$state" = idle ]; then
        status=0
        "$@" || status=$?
        exit "$status"
    fi
    sleep 0.1
done
show_logs
exit 1
