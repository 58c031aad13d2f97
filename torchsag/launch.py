"""How this process was started: alone, by mpiexec or srun, or by torchrun; and the cores that it may use."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

# What srun tells each of its tasks, whether or not it helps them to find each other (--mpi).
_SRUN_VARIABLES = ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_STEP_TASKS_PER_NODE")
# rank, size, rank on this host, processes on this host: first Hydra (MPICH, Intel MPI), then Open MPI, then srun with
# PMI-2 (MPICH) and with PMIx (Open MPI).
_MPI_VARIABLES = (
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", *_SRUN_VARIABLES[2:]),
    ("PMIX_RANK", *_SRUN_VARIABLES[1:]),
)
_TORCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
# Of control groups, version 2 and 1: microseconds of CPU time that this process's group may use in each period.
_QUOTAS = (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us"))


@dataclass(frozen=True)
class Launch:
    """What the environment says about this process and its companions.

    Attributes
    ----------
    launcher
        ``mpi``, ``torch``, ``none``, or ``srun``: several tasks that cannot find each other.
    rank, size
        This process's number and how many there are; a size of 0 is not known before MPI is up.
    local_rank, local_size
        The same among the processes on this host.
    """

    launcher: str = "none"
    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @staticmethod
    def of(environment: Mapping[str, str]) -> Launch:
        """Read the variables that launchers set.

        torchrun comes first: within a Slurm job its processes carry the variables of both. One process of MPI is one on
        its own.
        """
        if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= environment.keys():
            return Launch("torch", *_numbers(environment, _TORCH_VARIABLES))
        told = [names for names in _MPI_VARIABLES if names[0] in environment]
        if told:
            # Who says which of a host's processes this is knows best.
            launch = Launch("mpi", *_numbers(environment, next((n for n in told if n[2] in environment), told[0])))
        else:
            launch = Launch("srun", *_numbers(environment, _SRUN_VARIABLES))
        # A task on its own needs no MPI, and may have been started by an srun that does not suit it.
        return launch if launch.size > 1 or (told and not launch.size) else Launch()


def threads_per_process(environment: Mapping[str, str] = os.environ) -> int | None:
    """CPU threads that leave each process on this host its share; None for whatever torch takes.

    Slurm says how many it gave to each of its tasks; otherwise the cores that may be used are divided evenly. A process
    on its own takes what Slurm or a container left it of the cores, unless ``OMP_NUM_THREADS`` says otherwise.
    """
    launch = Launch.of(environment)
    cores = _cores(environment)
    if "SLURM_CPUS_PER_TASK" in environment and _is_task(launch, environment):
        # Since Slurm 22.05 srun repeats the job's number without giving its tasks so many.
        cores_of_task = min(cores, int(environment["SLURM_CPUS_PER_TASK"]))
    else:
        cores_of_task = max(1, cores // launch.local_size)
    if launch.launcher != "none":
        return cores_of_task
    if "OMP_NUM_THREADS" in environment or cores_of_task >= _seen_cores():
        return None
    return cores_of_task


def _is_task(launch: Launch, environment: Mapping[str, str]) -> bool:
    """Whether this process is itself what Slurm calls a task, and not one of several that a task has started."""
    if launch.launcher == "none":
        return True
    rank, size, _, _ = _numbers(environment, _SRUN_VARIABLES)
    return launch.launcher != "torch" and (rank, size) == (launch.rank, launch.size)


def _cores(environment: Mapping[str, str]) -> int:
    """Cores that this process and its companions on this host may use."""
    granted = environment.get("SLURM_CPUS_ON_NODE", "")
    limits = [_seen_cores(), _quota(), int(granted) if granted.isdecimal() else math.inf]
    return max(1, int(min(limits)))


def _seen_cores() -> int:
    """Cores that the operating system lets this process run on: what torch counts."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores' worth of time that a container may use (``docker --cpus``), rounded up; infinite without a limit."""
    for files in _QUOTAS:
        try:
            words = " ".join((root / file).read_text() for file in files).split()
        except OSError:
            continue
        if len(words) == 2 and all(word.isdecimal() for word in words) and int(words[1]) > 0:
            return float(math.ceil(int(words[0]) / int(words[1])))
    return math.inf


def _numbers(environment: Mapping[str, str], names: tuple[str, str, str, str]) -> tuple[int, int, int, int]:
    """The four numbers, Slurm's ``4(x2)`` read as 4."""
    found = [re.match(r"\d+", environment.get(name, "")) for name in names]
    rank, size, local_rank, local_size = (None if number is None else int(number[0]) for number in found)
    # Without numbers of the host, all processes are taken to be on one.
    size = 0 if size is None else size
    return rank or 0, size, (rank or 0) if local_rank is None else local_rank, max(1, local_size or size)
