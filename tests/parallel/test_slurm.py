"""Slurm itself, of one node on this machine: the job scripts of docs/guides/many-processes.md run as they stand."""

import csv
import os
import re
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from launched_runs import ALLOWED_SECONDS, DAWDLING, assert_same_poses, environment, write_dawdling

from torchsag.app.main import main
from torchsag.io import read_map

ROOT = Path(__file__).parents[2]
HERE = ROOT / "scripts" / "slurm_here.sh"
PAGE = ROOT / "docs" / "guides" / "many-processes.md"
NO_SLURM = 77  # what slurm_here.sh ends with
pytestmark = [pytest.mark.slow, pytest.mark.skipif(not PAGE.exists(), reason="needs docs/ and scripts/")]

ALIGN = ["particles=particles.star", "reference=reference.mrc"]
SIMULATION = ["n=12", "structure=ribosome", "snr=0.1", "box=32", "voxel_size_angstrom=12", "device=cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Particles and their reference under the names of the page, what one process makes of them, and its scripts."""
    folder = tmp_path_factory.mktemp("slurm")
    before = Path.cwd()
    os.chdir(folder)
    try:
        write_dawdling(folder)
        for name, text in re.findall(r'```bash title="(\S+)"\n(.*?)```', PAGE.read_text(), flags=re.DOTALL):
            (folder / name).write_text(text)
        assert main(["simulate", *SIMULATION, "out=.", "threads=1"]) == 0
        assert main(["align", *ALIGN, "out=one", "threads=1", "parallel=serial"]) == 0
        yield folder
    finally:
        os.chdir(before)


@pytest.fixture(scope="module")
def slurm(folder):
    """A function that runs a command where Slurm can be had, and returns what it said."""
    with (folder / "slurm.log").open("w+") as log:
        cluster = subprocess.Popen(
            [HERE, "bash", "-c", 'echo "$SLURM_CONF"; cat'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, "CPUS": "16"},
        )
        assert cluster.stdin is not None
        assert cluster.stdout is not None
        with cluster.stdin, cluster.stdout:
            configuration = cluster.stdout.readline().strip()
            if not configuration:
                status = cluster.wait(timeout=60)
                log.seek(0)
                said = log.read()
                if status == NO_SLURM:
                    pytest.skip(said.strip())
                pytest.fail(said)

            def run(*words):
                done = subprocess.run(
                    words,
                    capture_output=True,
                    text=True,
                    timeout=ALLOWED_SECONDS,
                    cwd=folder,
                    env={**within(), "SLURM_CONF": configuration},
                )
                assert done.returncode == 0, done.stdout + done.stderr + said_by_jobs(folder)
                return done.stdout

            yield run
        assert cluster.wait(timeout=60) == 0
    assert not Path(configuration).parent.exists()  # nothing of it is left


def within():
    """The torchsag, mpiexec and torchrun of this Python come first."""
    own = Path(sys.executable).parent
    return {**environment(), "PATH": f"{own}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def said_by_jobs(folder):
    return "\n".join(f"{path.name}:\n{path.read_text()}" for path in sorted(folder.glob("slurm-*.out")))


def shown(page_part):
    """The one command of the page, in its own words, that holds this text."""
    (block,) = (b for b in re.findall(r"```sh\n(.*?)```", PAGE.read_text(), flags=re.DOTALL) if page_part in b)
    return block


def state_of(slurm, job):
    return slurm("squeue", "--noheader", "--format=%T", f"--jobs={job}", "--states=all").strip()


def wait_until(happened, what):
    deadline = time.monotonic() + ALLOWED_SECONDS
    while not happened():
        assert time.monotonic() < deadline, f"{what} did not happen within {ALLOWED_SECONDS} s"
        time.sleep(0.2)


@pytest.mark.parametrize("kind", ["mpi", "torchrun"])
def test_a_job_of_several_processes(folder, slurm, kind):
    if kind == "mpi" and not slurm("bash", "-c", "command -v mpiexec || true"):
        pytest.skip("no mpiexec: pip install 'torchsag[mpi]'")
    slurm("sbatch", "--wait", f"--output={kind}.log", f"{kind}.sh")
    assert_same_poses(folder / "one", folder / kind)
    count = 3 if kind == "mpi" else 2
    assert f"{count} processes: rank 0" in (folder / f"{kind}.log").read_text()


def test_an_array_whose_parts_are_joined(folder, slurm):
    command = shown("--dependency")
    joined = re.search(r"batch job (\d+)", slurm("bash", "-c", command))
    assert joined
    wait_until(lambda: state_of(slurm, joined[1]) in ("COMPLETED", "FAILED", "CANCELLED"), "the end of join.sh")
    log = (folder / f"slurm-{joined[1]}.out").read_text()
    assert state_of(slurm, joined[1]) == "COMPLETED", log
    assert "resuming: 12 of 12" in log  # the parts had done it all
    assert_same_poses(folder / "one", folder / "array")
    one, other = (read_map(folder / name / "average.mrc").density for name in ("one", "array"))
    torch.testing.assert_close(one, other, atol=2e-6 * float(one.abs().max()), rtol=0)


def test_a_job_that_was_cut_off_twice_is_finished(folder, slurm):
    script = folder / "cut.sh"
    text = (folder / "requeue.sh").read_text()
    script.write_text(text.replace("out=requeued", f"out=requeued {' '.join(DAWDLING)} method.seconds=1.5 chunk=1"))
    assert script.read_text() != text
    log, chunks = folder / "cut.log", folder / "requeued" / ".checkpoint"
    submit = ["sbatch", "--parsable", "--output=cut.log", "cut.sh"]

    first = slurm(*submit).strip()
    wait_until(lambda: any(chunks.glob("chunk-*.npz")), "a first chunk")
    slurm("scancel", "--batch", "--signal=USR1", first)  # what --signal=B:USR1@120 does before the time is up
    wait_until(lambda: "resuming: " in log.read_text(), "the requeued job's second start")
    done = int(re.findall(r"resuming: (\d+) of 12", log.read_text())[0])
    assert 0 < done < 12
    wait_until(lambda: len(list(chunks.glob("chunk-*.npz"))) > done, "a chunk of the second start")
    slurm("scancel", first)
    wait_until(lambda: state_of(slurm, first) == "CANCELLED", "the job's end")
    assert not (folder / "requeued" / "poses.star").exists()

    slurm("sbatch", "--wait", *submit[2:])
    assert [int(number) > 0 for number in re.findall(r"resuming: (\d+) of 12", log.read_text())] == [True, True]
    words = [*DAWDLING, "method.seconds=0.0", "out=dawdled", "threads=1", "parallel=serial"]
    assert main(["align", *ALIGN, *words]) == 0
    assert_same_poses(folder / "dawdled", folder / "requeued")


def pmi_of(slurm):
    """What srun calls the protocol that mpi4py's library speaks, if this Slurm can."""
    library = slurm(sys.executable, "-c", "from mpi4py import MPI; print(MPI.Get_library_version())")
    kind = "pmix" if "Open MPI" in library else "pmi2"
    try:
        slurm("srun", f"--mpi={kind}", "true")
    except AssertionError as refused:
        pytest.skip(f"srun cannot speak {kind}: {str(refused).splitlines()[0]}")
    return kind


def test_srun_that_speaks_the_librarys_protocol(folder, slurm):
    kind = pmi_of(slurm)
    slurm("srun", "--ntasks=2", f"--mpi={kind}", "torchsag", "align", *ALIGN, "out=srun")
    assert_same_poses(folder / "one", folder / "srun")


def test_srun_whose_tasks_are_each_alone_is_refused(folder, slurm):
    with pytest.raises(AssertionError, match=r"expected srun to tell its 2 tasks of each other"):
        slurm("srun", "--ntasks=2", "--mpi=none", "torchsag", "align", *ALIGN, "out=alone")
    assert not (folder / "alone").exists()


@pytest.mark.parametrize("script", ["slurm_align.sh", "slurm_align_array.sh"])
def test_the_scripts_of_the_repository(folder, slurm, script):
    out = script.removesuffix(".sh")
    here = ["--nodes=1", "--gpus-per-node=0", f"--output={out}-%a.log"]
    words = [str(HERE.with_name(script)), "particles.star", "reference.mrc", out]
    if "array" in script:
        slurm("sbatch", "--wait", *here, "--array=1-2", *words)
        slurm("sbatch", "--wait", *here, "--array=0", *words)
    else:
        slurm("env", "PROCESSES=2", "sbatch", "--wait", *here, *words)
    assert_same_poses(folder / "one", folder / out)


def test_a_sweep_of_slurm_jobs_and_its_summary(folder, slurm):
    try:
        found = find_spec("hydra_plugins.hydra_submitit_launcher")
    except ModuleNotFoundError:
        found = None
    if found is None:
        pytest.skip("hydra-submitit-launcher is not installed: pip install 'torchsag[launchers]'")
    assert "4 of 4 jobs ended well" in slurm("bash", "-c", shown("hydra/launcher=slurm"))
    with (folder / "sweep" / "results.csv").open(newline="") as file:
        table = list(csv.DictReader(file))
    expected = {(method, seed) for method in ("curvature_sag", "chen_frm") for seed in "12"}
    assert {(row["method"], row["seed"]) for row in table} == expected
    assert (folder / "sweep" / "sweep.html").exists()
    assert list((folder / "sweep" / ".submitit").rglob("*_log.out"))
    words = shown("hydra/launcher=slurm").replace("\\\n", " ").split("hydra/launcher")[0].split()[1:]
    words = [word.replace("out=sweep", "out=swept-here") for word in words]
    main([*words, "threads=1"])
    with (folder / "swept-here" / "results.csv").open(newline="") as file:
        here = {(row["method"], row["seed"]): float(row["median_rotation_error_deg"]) for row in csv.DictReader(file)}
    for row in table:
        found_there = float(row["median_rotation_error_deg"])
        assert found_there == pytest.approx(here[row["method"], row["seed"]], abs=1e-3)
