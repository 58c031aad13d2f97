"""How this process was started: alone, by mpiexec or srun, or by torchrun."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

# rank, size, rank on this host, processes on this host: first Hydra (MPICH, Intel MPI), then Open MPI, then PMIx.
_MPI_VARIABLES = (
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMIX_RANK", "SLURM_NTASKS", "SLURM_LOCALID", "SLURM_TASKS_PER_NODE"),
)
_TORCH_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")


@dataclass(frozen=True)
class Launch:
    """What the environment says about this process and its companions.

    Attributes
    ----------
    launcher
        ``mpi``, ``torch`` or ``none``.
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

        torchrun comes first: within a Slurm job its processes carry the variables of both.
        """
        if {"RANK", "WORLD_SIZE", "MASTER_ADDR"} <= environment.keys():
            return Launch("torch", *_numbers(environment, _TORCH_VARIABLES))
        for names in _MPI_VARIABLES:
            if names[0] in environment:
                return Launch("mpi", *_numbers(environment, names))
        return Launch()


def threads_per_process(environment: Mapping[str, str] = os.environ) -> int | None:
    """CPU threads that leave each process on this host its share; None for a process on its own.

    Slurm says how many it gave to each task; otherwise the cores this process may use are divided evenly.
    """
    launch = Launch.of(environment)
    if launch.launcher == "none":
        return None
    if "SLURM_CPUS_PER_TASK" in environment and launch.launcher == "mpi":
        return int(environment["SLURM_CPUS_PER_TASK"])
    return max(1, _cores() // launch.local_size)


def _cores() -> int:
    """Cores this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _numbers(environment: Mapping[str, str], names: tuple[str, str, str, str]) -> tuple[int, int, int, int]:
    """The four numbers, Slurm's ``4(x2)`` read as 4."""
    found = [re.match(r"\d+", environment.get(name, "")) for name in names]
    rank, size, local_rank, local_size = (None if number is None else int(number[0]) for number in found)
    # Without numbers of the host, all processes are taken to be on one.
    size = 0 if size is None else size
    return rank or 0, size, (rank or 0) if local_rank is None else local_rank, max(1, local_size or size)
