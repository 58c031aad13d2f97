"""Commands run by mpiexec and torchrun: what comes out is what one process makes, also after a rank was killed."""

import csv
import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
import torch
from launched_runs import ALLOWED_SECONDS, DAWDLING, assert_same_poses, environment, launch, run, write_dawdling
from placed_blobs import Blobs
from tilt_projects import Project

from torchsag.app.main import main
from torchsag.io import read_map, read_particles, write_map
from torchsag.particles import DensityMap

pytestmark = pytest.mark.slow

PARTICLES = 24
ALIGN = ["particles=data/particles.star", "reference=data/reference.mrc", "device=cpu", "~report"]
# Without symmetry: among equivalent poses of a symmetric particle rounding decides, and it varies with the chunk.
SIMULATION = [f"n={PARTICLES}", "structure=ribosome", "snr=0.1", "box=32", "voxel_size_angstrom=12", "device=cpu"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Particles, and what one process makes of them."""
    folder = tmp_path_factory.mktemp("ranks")
    before = Path.cwd()
    os.chdir(folder)
    write_dawdling(folder)
    assert main(["simulate", *SIMULATION, "out=data", "threads=1"]) == 0
    assert main(["align", *ALIGN, "out=one", "threads=1", "parallel=serial"]) == 0
    yield folder
    os.chdir(before)


@pytest.mark.parametrize("kind", ["mpi", "torch"])
@pytest.mark.parametrize(("ranks", "chunk"), [(1, 64), (2, 5), (4, 3)])
def test_poses_do_not_depend_on_the_number_of_ranks(folder, kind, ranks, chunk):
    done = run(kind, ranks, "align", *ALIGN, f"chunk={chunk}", f"out={kind}{ranks}-{chunk}")
    assert_same_poses(folder / "one", folder / f"{kind}{ranks}-{chunk}")
    assert done.stdout.count("particles aligned") == 1
    assert done.stderr.count("aligning: 24/24") == 1


@pytest.fixture(scope="module")
def stacks(folder):
    """Ten particles as tilt images, and what one process makes of them."""
    generator = torch.Generator().manual_seed(0)
    centres = 2.5 * torch.randn(12, 3, generator=generator, dtype=torch.float64).clamp(-1.6, 1.6)
    structure = Blobs(centres, torch.rand(12, generator=generator, dtype=torch.float64) + 0.5)
    angles = tuple((37.0 * k, 20.0 + 15 * k, -50.0 + 61 * k) for k in range(10))
    still = tuple((0.0, 0.0, 0.0) for _ in angles)
    project = Project(structure.centres, structure.heights, angles=angles, origins=still, positions=still)
    (folder / "stacks").mkdir()
    project.write_relion5(folder / "stacks")
    write_map(folder / "stacks" / "reference.mrc", DensityMap(structure.map(24), 8.0))
    words = [
        "align",
        "particles=stacks/optimisation_set.star",
        "reference=stacks/reference.mrc",
        "device=cpu",
        "~report",
    ]
    assert main([*words, "out=stacks-one", "threads=1", "parallel=serial"]) == 0
    return words


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_tilt_stacks_are_aligned_alike(folder, stacks, kind):
    run(kind, 2, *stacks, "chunk=3", f"out=stacks-{kind}")
    assert_same_poses(folder / "stacks-one", folder / f"stacks-{kind}")
    one, other = (read_map(folder / name / "average.mrc").density for name in ("stacks-one", f"stacks-{kind}"))
    assert (one - other).abs().max() < 1e-4 * one.abs().max()


@pytest.mark.parametrize("kind", ["mpi", "torch"])
@pytest.mark.parametrize("sharing", ["by_particle", "by_candidate"])
def test_poses_of_the_papers_method_do_not_depend_on_who_refines(folder, kind, sharing):
    words = ["align", *ALIGN, "method=sag"]
    if not (folder / "sag").exists():
        assert main([*words, "out=sag", "threads=1", "parallel=serial"]) == 0
    run(kind, 2, *words, f"sharing={sharing}", "chunk=5", f"out=sag-{kind}-{sharing}")
    assert_same_poses(folder / "sag", folder / f"sag-{kind}-{sharing}")


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_comparisons_agree(folder, kind):
    words = ["compare", "trials.n=4", "trials.snr=[0.1]", "trials.box=32", "trials.voxel_size_angstrom=12", "~report"]
    words += ["~method@methods.xu_alber", "~method@methods.chen_frm", "device=cpu"]
    if not (folder / "compared").exists():
        assert main([*words, "out=compared", "threads=1", "parallel=serial"]) == 0
    run(kind, 2, *words, f"out=compared-{kind}")
    one, two = (read_table(folder / out / "particles.csv") for out in ("compared", f"compared-{kind}"))
    assert [row["particle"] for row in one] == [row["particle"] for row in two]
    for a, b in zip(one, two, strict=True):
        assert float(a["rotation_error_deg"]) == pytest.approx(float(b["rotation_error_deg"]), abs=1e-3)


def read_table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="needs root to mount a small disk")
def test_a_full_disk_is_reported_and_the_same_command_finishes_when_there_is_room(folder, monkeypatch):
    disk = folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4m", "none", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount a small disk")
    try:
        filling = disk / "filling"
        words = ["align", *ALIGN, "out=disk/run", "threads=1", "parallel=serial", "chunk=2"]
        filling.write_bytes(bytes(shutil.disk_usage(disk).free - 60_000))
        assert main(words) == 2  # refused at once
        monkeypatch.setattr("torchsag.workflows.align.require_room", lambda *_: None)
        assert main(words) == 2  # begun, and full on the way
        filling.unlink()
        assert not (disk / "run" / "poses.star").exists()
        assert not (disk / "run" / "average.mrc").exists()
        assert main(words) == 0
        assert_same_poses(folder / "one", disk / "run")
    finally:
        subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_half_maps_agree(folder, kind):
    settings = ["particles=data/particles.star", "reference=data/reference.mrc", "device=cpu", "~report"]
    settings += ["iterations=1", "chunk=3"]
    if not (folder / "average").exists():
        assert main(["average", *settings, "out=average", "threads=1", "parallel=serial"]) == 0
    run(kind, 2, "average", *settings, f"out=average-{kind}")
    for name in ("half1.mrc", "half2.mrc"):
        one, two = (read_map(folder / out / name).density for out in ("average", f"average-{kind}"))
        torch.testing.assert_close(one, two, atol=2e-6 * float(one.abs().max()), rtol=0)


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_classes_agree(folder, kind):
    settings = ["particles=mixture/particles.star", "start=listed_poses", "common_iterations=0", "class_alignments=1"]
    settings += ["method@alignment=curvature_sag_local", "classes=3", "repeats=1"]
    settings += ["resolution_angstrom=48", "device=cpu", "chunk=5", "~report"]
    if not (folder / "classes").exists():
        mixture = ["out=mixture", "+structure@others.second=phantom", "threads=1"]
        assert main(["simulate", *SIMULATION, *mixture]) == 0
        assert main(["classify", *settings, "out=classes", "threads=1", "parallel=serial"]) == 0
    run(kind, 2, "classify", *settings, f"out=classes-{kind}")
    assert_same_poses(folder / "classes", folder / f"classes-{kind}")
    one, two = (read_particles(str(folder / out / "poses.star")).classes for out in ("classes", f"classes-{kind}"))
    assert one is not None
    assert two is not None
    assert len(one.unique()) > 1
    assert torch.equal(one, two)


@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_simulated_particles_agree(folder, kind):
    run(kind, 2, "simulate", *SIMULATION, "chunk=2", f"out=data-{kind}")
    for number in (0, PARTICLES - 1):
        name = f"particles/particle_{number:06d}.mrc"
        one, two = (read_map(folder / out / name).density for out in ("data", f"data-{kind}"))
        torch.testing.assert_close(one, two, atol=1e-5 * float(one.abs().max()), rtol=0)


@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_a_killed_rank_ends_the_run_and_the_same_command_finishes_it(folder, kind, rank):
    out = folder / f"killed-{kind}-{rank}"
    words = ["align", *ALIGN, *DAWDLING, "chunk=2"]
    log = folder / f"killed-{kind}-{rank}.log"
    with log.open("w") as file:
        process = subprocess.Popen(
            launch(kind, 2, *words, f"out={out}"), stdout=file, stderr=subprocess.STDOUT, env=environment()
        )
        victim = kill_after_a_chunk(log, out, rank)
        assert process.wait(timeout=60) != 0
    said = log.read_text()
    # mpiexec knows the process, which the first line of the run calls by its rank; Open MPI may know the rank alone.
    named = rf"rank +: {rank} .local" if kind == "torch" else rf"PID {victim} |rank {rank} with PID"
    assert re.search(named, said), said
    assert not (out / "poses.star").exists()

    resumed = run(kind, 2, *words, f"out={out}")
    assert re.search(rf"resuming: \d+ of {PARTICLES} particles are done", resumed.stderr)
    if not (folder / "dawdled").exists():
        assert main([*words, "parallel=serial", "threads=1", "method.seconds=0.0", "out=dawdled"]) == 0
    assert_same_poses(folder / "dawdled", out)


def kill_after_a_chunk(log, out, rank):
    """SIGKILL a rank once some work is done; returns its process number."""
    deadline = time.monotonic() + ALLOWED_SECONDS
    while time.monotonic() < deadline:
        named = re.search(rf"rank {rank} is process (\d+)", log.read_text())
        if named and list(out.glob(".checkpoint/chunk-*.npz")):
            os.kill(int(named[1]), signal.SIGKILL)
            return int(named[1])
        time.sleep(0.05)
    return pytest.fail(f"no chunk was finished: {log.read_text()}")
