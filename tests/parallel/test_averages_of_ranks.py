"""Averages and classes made by several processes: what one process makes, whatever is kept or shared meanwhile."""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from launched_runs import ALLOWED_SECONDS, assert_same_poses, environment, launch, run

from torchsag.app.main import main
from torchsag.io import read_map, read_particles

pytestmark = pytest.mark.slow

PARTICLES = 12
SIMULATION = [f"n={PARTICLES}", "structure=ribosome", "snr=0.3", "box=24", "voxel_size_angstrom=16", "device=cpu"]
ONE = ["threads=1", "parallel=serial"]
AVERAGE = ["particles=data/particles.star", "reference=data/reference.mrc", "device=cpu", "~report", "iterations=2"]
# A particle's kept transform takes some 40 kB at this size: the third keeps a few of them and reads the others anew.
MODES = {
    "kept": [],
    "read-anew": ["cache_gigabytes=0"],
    "partly-kept": ["cache_gigabytes=0.0002"],
    "posterior": ["assignment=posterior"],
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("averages")
    before = Path.cwd()
    os.chdir(folder)
    assert main(["simulate", *SIMULATION, "out=data", "threads=1"]) == 0
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("kind", "ranks"), [("mpi", 3), ("torch", 2)])
def test_averages_do_not_depend_on_the_number_of_ranks(folder, kind, ranks, mode):
    words = ["average", *AVERAGE, *MODES[mode]]
    if not (folder / mode).exists():
        assert main([*words, f"out={mode}", *ONE]) == 0
    run(kind, ranks, *words, f"out={mode}-{kind}", "chunk=2")
    assert_same_poses(folder / mode, folder / f"{mode}-{kind}")
    for name in ("half1.mrc", "half2.mrc", "average.mrc"):
        one, other = (read_map(folder / out / name).density for out in (mode, f"{mode}-{kind}"))
        torch.testing.assert_close(one, other, atol=1e-5 * float(one.abs().max()), rtol=0)
    assert not list((folder / f"{mode}-{kind}").glob(".checkpoint/transforms/*"))


@pytest.mark.parametrize(("kind", "ranks"), [("mpi", 3), ("torch", 3)])
def test_classes_of_three_ranks_and_kept_transforms(folder, kind, ranks):
    words = ["classify", "particles=data/particles.star", "start=listed_poses", "common_iterations=1", "classes=2"]
    words += ["class_alignments=1", "method@alignment=curvature_sag_local", "repeats=1", "resolution_angstrom=64"]
    words += ["device=cpu", "~report"]
    if not (folder / "classes").exists():
        assert main([*words, "out=classes", *ONE]) == 0
    run(kind, ranks, *words, f"out=classes-{kind}", "chunk=2")
    assert_same_poses(folder / "classes", folder / f"classes-{kind}")
    one, other = (read_particles(str(folder / out / "poses.star")).classes for out in ("classes", f"classes-{kind}"))
    assert one is not None
    assert other is not None
    assert torch.equal(one, other)


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_more_ranks_than_particles(folder, kind):
    words = ["align", "particles=data/particles/particle_00001?.mrc", "reference=data/reference.mrc", "device=cpu"]
    words += ["tilt_min_deg=-60", "tilt_max_deg=60", "~report"]
    if not (folder / "two").exists():
        assert main([*words, "out=two", *ONE]) == 0
    run(kind, 3, *words, f"out=two-{kind}")
    assert len(read_particles(str(folder / f"two-{kind}" / "poses.star"))) == 2
    assert_same_poses(folder / "two", folder / f"two-{kind}")


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_a_rank_that_dies_in_an_average_is_named_and_the_same_command_finishes_it(folder, kind):
    words = ["average", *AVERAGE, "chunk=1", f"out=died-{kind}"]
    log = folder / f"died-{kind}.log"
    with log.open("w") as file:
        process = subprocess.Popen(launch(kind, 3, *words), stdout=file, stderr=subprocess.STDOUT, env=environment())
        deadline = time.monotonic() + ALLOWED_SECONDS
        kept = folder / f"died-{kind}" / ".checkpoint" / "transforms"
        while not list(kept.glob("*")):  # somewhere within the first iteration
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        named = re.search(r"rank 2 is process (\d+)", log.read_text())
        assert named
        os.kill(int(named[1]), signal.SIGKILL)
        assert process.wait(timeout=60) != 0  # no rank waits for the dead one
    said = log.read_text()
    assert re.search(r"rank +: 2 .local" if kind == "torch" else rf"PID {named[1]} |rank 2 with PID", said), said
    assert not (folder / f"died-{kind}" / "average.mrc").exists()
    run(kind, 3, *words)
    if not (folder / "kept").exists():
        assert main(["average", *AVERAGE, "out=kept", *ONE]) == 0
    assert_same_poses(folder / "kept", folder / f"died-{kind}")
