import os
from types import SimpleNamespace

import pytest

from torchsag.errors import InputError
from torchsag.launch import Launch, _quota, threads_per_process
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
# What srun of Slurm 22.05 sets, with --mpi=none, pmix and pmi2.
SRUN = {
    "SLURM_PROCID": "3",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_LOCALID": "1",
    "SLURM_STEP_TASKS_PER_NODE": "2(x4)",
    "SLURM_NTASKS": "8",
    "SLURM_CPUS_ON_NODE": "6",
}
PMIX = {**SRUN, "PMIX_RANK": "3"}
PMI2 = {**SRUN, "PMI_RANK": "3", "PMI_SIZE": "8"}
# mpiexec in a job: Slurm's task is the one that holds this host's processes together.
HYDRA_IN_SLURM = {**MPICH, **SRUN, "SLURM_PROCID": "1", "SLURM_LOCALID": "0", "SLURM_STEP_NUM_TASKS": "4"}
TORCHRUN = {"RANK": "3", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "localhost"}


@pytest.mark.parametrize(
    ("environment", "launcher"),
    [
        (MPICH, "mpi"),
        (OPEN_MPI, "mpi"),
        (PMIX, "mpi"),
        (PMI2, "mpi"),
        (HYDRA_IN_SLURM, "mpi"),
        (SRUN, "srun"),
        (TORCHRUN, "torch"),
    ],
)
def test_each_launcher_is_recognised(environment, launcher):
    assert Launch.of({**environment, "HOME": "/"}) == Launch(launcher, 3, 8, 1, 2)


def test_a_process_on_its_own(monkeypatch):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 8)
    monkeypatch.setattr("torchsag.launch._quota", lambda: 100)
    assert Launch.of({"HOME": "/", "SLURM_NTASKS": "4"}) == Launch("none", 0, 1, 0, 1)
    assert threads_per_process({}) is None


@pytest.mark.parametrize("names", [("PMI_RANK", "PMI_SIZE"), ("PMIX_RANK", "SLURM_STEP_NUM_TASKS")])
def test_one_process_of_mpi_is_on_its_own(names):
    """Jobs of submitit are tasks of srun, whose default at many sites is PMIx; MPICH would end them."""
    assert Launch.of({**dict.fromkeys(SRUN, "1"), **dict(zip(names, ("0", "1"), strict=True))}).launcher == "none"


def test_a_size_that_is_not_known_is_for_mpi_to_say():
    assert Launch.of({"PMIX_RANK": "0"}) == Launch("mpi", 0, 0, 0, 1)


def test_torchrun_within_a_slurm_job_counts():
    assert Launch.of({**PMIX, **TORCHRUN}).launcher == "torch"


def test_processes_share_the_cores_of_their_host(monkeypatch):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 8)
    monkeypatch.setattr("torchsag.launch._quota", lambda: 100)
    assert threads_per_process(MPICH) == 4
    assert threads_per_process({**MPICH, "MPI_LOCALNRANKS": "100"}) == 1


@pytest.mark.parametrize("task", [PMIX, PMI2])
def test_a_task_of_slurm_takes_what_slurm_gave_it(monkeypatch, task):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 16)
    assert threads_per_process({**task, "SLURM_CPUS_PER_TASK": "3"}) == 3
    assert threads_per_process(task) == 3  # half of the six of this host


@pytest.mark.parametrize("within", [HYDRA_IN_SLURM, {**SRUN, **TORCHRUN}])
def test_processes_within_a_task_share_what_slurm_gave_to_the_host(monkeypatch, within):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 16)
    assert threads_per_process({**within, "SLURM_CPUS_PER_TASK": "6"}) == 3


@pytest.mark.parametrize(
    ("job", "expected"),
    [
        ({"SLURM_CPUS_PER_TASK": "2", "SLURM_CPUS_ON_NODE": "6"}, 2),
        ({"SLURM_CPUS_ON_NODE": "6"}, 6),
        ({"SLURM_CPUS_ON_NODE": "16"}, None),
        ({"SLURM_CPUS_PER_TASK": "2", "OMP_NUM_THREADS": "5"}, None),
    ],
)
def test_a_single_process_of_a_job_leaves_the_others_of_the_node_alone(monkeypatch, job, expected):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 16)
    monkeypatch.setattr("torchsag.launch._quota", lambda: 100)
    assert threads_per_process(job) == expected


def test_a_container_may_use_less_than_it_sees(monkeypatch):
    monkeypatch.setattr("torchsag.launch._seen_cores", lambda: 16)
    monkeypatch.setattr("torchsag.launch._quota", lambda: 3)
    assert threads_per_process({}) == 3
    assert threads_per_process(MPICH) == 1


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 2),
        ({"cpu.max": "max 100000\n"}, float("inf")),
        ({"cpu/cpu.cfs_quota_us": "400000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 4),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, float("inf")),
        ({}, float("inf")),
    ],
)
def test_the_quota_of_both_versions_of_control_groups(tmp_path, files, expected):
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    assert _quota(tmp_path) == expected


def test_without_numbers_of_the_host_all_are_on_one():
    assert Launch.of({"PMI_RANK": "3", "PMI_SIZE": "4"}) == Launch("mpi", 3, 4, 3, 4)


@pytest.fixture
def started(monkeypatch):
    """Pretend to have been started this way."""

    def start(environment):
        for name in {*MPICH, *OPEN_MPI, *PMIX, *PMI2, *TORCHRUN} & os.environ.keys():
            monkeypatch.delenv(name)
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("torchsag.parallel.mpi._world", lambda: SimpleNamespace(rank=3, size=8))

    return start


@pytest.mark.parametrize(
    ("environment", "kind"), [({}, Serial), (MPICH, Mpi), (PMIX, Mpi), (PMI2, Mpi), (TORCHRUN, Torchrun)]
)
def test_auto_takes_what_was_started(started, environment, kind):
    started(environment)
    assert type(Detected()) is kind


def test_tasks_of_srun_that_cannot_find_each_other_do_not_all_do_the_same(started):
    started(SRUN)
    with pytest.raises(InputError, match=r"its 8 tasks.*--mpi=pmix .*--mpi=pmi2 .*parallel=serial"):
        Detected()
