from types import SimpleNamespace

import pytest

from torchsag.launch import Launch, threads_per_process
from torchsag.parallel import Serial
from torchsag.parallel.detected import Detected
from torchsag.parallel.mpi import Mpi
from torchsag.parallel.torchrun import Torchrun

MPICH = {"PMI_RANK": "3", "PMI_SIZE": "8", "MPI_LOCALRANKID": "1", "MPI_LOCALNRANKS": "2"}
OPEN_MPI = {
    "OMPI_COMM_WORLD_RANK": "3",
    "OMPI_COMM_WORLD_SIZE": "8",
    "OMPI_COMM_WORLD_LOCAL_RANK": "1",
    "OMPI_COMM_WORLD_LOCAL_SIZE": "2",
}
SLURM = {"PMIX_RANK": "3", "SLURM_NTASKS": "8", "SLURM_LOCALID": "1", "SLURM_TASKS_PER_NODE": "2(x4)"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize(
    ("environment", "launcher"), [(MPICH, "mpi"), (OPEN_MPI, "mpi"), (SLURM, "mpi"), (TORCHRUN, "torch")]
)
def test_each_launcher_is_recognised(environment, launcher):
    assert Launch.of({**environment, "HOME": "/"}) == Launch(launcher, 3, 8, 1, 2)


def test_a_process_on_its_own():
    assert Launch.of({"HOME": "/", "SLURM_NTASKS": "4"}) == Launch("none", 0, 1, 0, 1)
    assert threads_per_process({}) is None


def test_torchrun_within_a_slurm_job_counts():
    assert Launch.of({**SLURM, **TORCHRUN}).launcher == "torch"


def test_processes_share_the_cores_of_their_host(monkeypatch):
    monkeypatch.setattr("torchsag.launch._cores", lambda: 8)
    assert threads_per_process(MPICH) == 4
    assert threads_per_process({**MPICH, "MPI_LOCALNRANKS": "100"}) == 1
    assert threads_per_process({**SLURM, "SLURM_CPUS_PER_TASK": "3"}) == 3


def test_without_numbers_of_the_host_all_are_on_one():
    assert Launch.of({"PMI_RANK": "3", "PMI_SIZE": "4"}) == Launch("mpi", 3, 4, 3, 4)


@pytest.mark.parametrize(("environment", "kind"), [({}, Serial), (MPICH, Mpi), (TORCHRUN, Torchrun)])
def test_auto_takes_what_was_started(monkeypatch, environment, kind):
    for name in {**MPICH, **OPEN_MPI, **SLURM, **TORCHRUN}:
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("torchsag.parallel.mpi._world", lambda: SimpleNamespace(rank=3, size=8))
    assert type(Detected()) is kind
