"""Commands run by mpiexec, torchrun or Slurm: how they are started, and whether the same came out."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchsag.io import read_particles

ALLOWED_SECONDS = 300

# Words that take the method below.
DAWDLING = ["hydra.searchpath=[file://conf]", "allow=[mymethods]", "method=dawdling"]
_DAWDLING = '''
import time
from dataclasses import dataclass

import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses


@dataclass(frozen=True)
class Dawdling:
    """Takes its time; the result tells particles apart."""

    seconds: float = 0.5

    def prepare(self, reference, symmetry, device="cpu"):
        def align(particles):
            time.sleep(self.seconds * len(particles))
            count = len(particles)
            nothing = torch.full((count,), float("nan"))
            shifts = particles.volumes.std((1, 2, 3))[:, None] * torch.ones(3)
            poses, done = Poses(torch.eye(3).expand(count, 3, 3), shifts), torch.ones(count, dtype=torch.bool)
            return AlignmentResult(poses, torch.ones(count), torch.zeros(count, 6, 6), nothing, done, nothing)

        return align
'''


def write_dawdling(folder):
    """A user's own method that takes half a second for each particle, in a package below this folder."""
    package = folder / "mymethods"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "dawdling.py").write_text(_DAWDLING)
    (folder / "conf" / "method").mkdir(parents=True)
    (folder / "conf" / "method" / "dawdling.yaml").write_text("_target_: mymethods.dawdling.Dawdling\nseconds: 0.5\n")


def launch(kind, ranks, *words):
    """The command line that runs torchsag on so many ranks."""
    torchsag = ["-m", "torchsag", *words]
    if kind == "mpi":
        mpiexec = Path(sys.executable).with_name("mpiexec")
        found = str(mpiexec) if mpiexec.exists() else shutil.which("mpiexec")
        if found is None:
            pytest.skip("no mpiexec: pip install 'torchsag[mpi]'")
        return [found, "-n", str(ranks), sys.executable, *torchsag]
    return [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks), *torchsag]


def environment():
    """Open MPI refuses root, and more ranks than cores, unless told otherwise; others do not listen."""
    allowed = {
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
    }
    path = os.pathsep.join([os.getcwd(), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, **allowed, "PYTHONPATH": path}


def run(kind, ranks, *words):
    done = subprocess.run(
        launch(kind, ranks, *words), capture_output=True, text=True, timeout=ALLOWED_SECONDS, env=environment()
    )
    assert done.returncode == 0, done.stderr
    return done


def assert_same_poses(one, other):
    one, other = (read_particles(str(folder / "poses.star")).poses for folder in (one, other))
    torch.testing.assert_close(one.rotations, other.rotations, atol=1e-5, rtol=0)
    torch.testing.assert_close(one.shifts, other.shifts, atol=1e-5, rtol=0)
