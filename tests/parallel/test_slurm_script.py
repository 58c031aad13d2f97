"""The job script's own part: what it would ask Slurm to run. It has no Slurm to talk to here; test_slurm.py has."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "slurm_align.sh"
ARRAY = SCRIPT.with_name("slurm_align_array.sh")
pytestmark = pytest.mark.skipif(shutil.which("bash") is None or not SCRIPT.exists(), reason="needs bash and scripts/")


@pytest.fixture
def submit(tmp_path):
    for name, body in (
        ("torchsag", 'printf "%s\\n" "$@"'),
        ("srun", 'printf "%s\\n" "$@"'),
        ("scontrol", "printf 'node7\\nnode8\\n'"),
    ):
        (tmp_path / name).write_text(f"#!/bin/bash\n{body}\n")
        (tmp_path / name).chmod(0o755)
    job = {
        "SLURM_JOB_NODELIST": "node[7-8]",
        "SLURM_JOB_NUM_NODES": "2",
        "SLURM_JOB_ID": "42",
        "SLURM_CPUS_PER_TASK": "16",
    }

    def run(*words, script=SCRIPT, **variables):
        environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", **job, **variables}
        return subprocess.run(["bash", str(script), *words], capture_output=True, text=True, env=environment)

    return run


def test_one_torchrun_per_node_meets_on_the_first(submit):
    words = submit("my particles.star", "r.mrc", "out", "symmetry=D7", SLURM_GPUS_ON_NODE="4").stdout.splitlines()
    assert words[:4] == ["--ntasks-per-node=1", "--cpus-per-task=16", "--kill-on-bad-exit=1", "torchrun"]
    assert {"--nnodes=2", "--nproc-per-node=4", "--rdzv-id=42", "--rdzv-endpoint=node7:20042"} <= set(words)
    expected = ["torchsag", "align", "particles=my particles.star", "reference=r.mrc", "out=out", "symmetry=D7"]
    assert words[-6:] == expected


def test_processes_can_be_given(submit):
    words = submit("p.star", "r.mrc", "out", PROCESSES="8", SLURM_GPUS_ON_NODE="4").stdout.splitlines()
    assert "--nproc-per-node=8" in words


def test_says_how_it_is_used(submit):
    done = submit("p.star")
    assert done.returncode == 2
    assert "usage: sbatch" in done.stderr


@pytest.mark.parametrize(("task", "part"), [("3", ["part=3/8"]), ("0", [])])
def test_a_task_of_an_array_aligns_its_part_and_task_0_merges(submit, task, part):
    array = {"SLURM_ARRAY_TASK_ID": task, "SLURM_ARRAY_TASK_COUNT": "8", "TMPDIR": "/scratch/42"}
    words = submit("my p.star", "r.mrc", "out", "symmetry=D7", script=ARRAY, **array).stdout.splitlines()
    expected = ["align", "particles=my p.star", "reference=r.mrc", "out=out", "symmetry=D7"]
    assert words == [*expected, "staging=/scratch/42/torchsag", *part]
