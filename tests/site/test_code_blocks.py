"""What the pages show in Python runs as it stands, one block after another, on a few small particles."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from torchsag.app.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"

# What a page's blocks take for granted: a reader has particles, a reference, a model of their own.
SETTING = """
import torch
import torchsag
from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles
from torchsag.nn import CTF, DensityLayer, ForwardModel, TangentPoses, WedgeLayer, WhiteNoise
from torchsag.optim import SAG
from torchsag.particles import DensityMap

torch.manual_seed(0)
reference = read_map("reference.mrc")
particles = read_particles("particles.star").load(range(4))
start = particles.poses
defocus_um = torch.full((4,), -2.0)
if PAGE == "research.md":
    start = start.retract(torch.full((4, 6), 0.02))

    def loss_of(poses):
        return poses.shifts.square().sum() + poses.rotations.square().diagonal(dim1=-2, dim2=-1).sum()

if PAGE == "sag_optimizer.md":
    model = ForwardModel(DensityLayer(reference), TangentPoses(start), [WedgeLayer.of(particles)], WhiteNoise(1.0))
    rotvec, shift = torch.zeros(4, 3, requires_grad=True), torch.zeros(4, 3, requires_grad=True)
    order = list(range(8))

    def loss_of(model, particle):
        term = particles.names.index(particle.names[0])
        return model.negative_log_likelihood(particle, [term]).sum()

    def term_loss(i):
        return (rotvec.sum() - i) ** 2 + (shift.sum() + i) ** 2
"""

# What must have come of it, page by page.
CHECKS = {
    "python.md": "\n".join(
        [
            "assert found.scores.shape == (20,) and result.scores.shape == (16,)",
            "assert read_map('average.mrc').box == averaged.average.box, (averaged.average.box, reference.box)",
        ]
    ),
    "guides/sweeps.md": "assert len(frame) == 2",
    "research.md": "\n".join(
        [
            "assert density.grad.isfinite().all() and density.grad.any()",
            "assert model.transfers[1].defocus_um.grad.any()",
            "assert batch.box == reference.box and len(true_poses) == 16",
            "assert torch.is_tensor(data[3][0]) and len(data[3][1]) == 1",
        ]
    ),
    "sag_optimizer.md": "assert model.poses.rotvec_rad.any() and rotvec.detach().any() and shift.detach().any()",
}


def blocks(page):
    return re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), flags=re.DOTALL)


def test_every_page_with_python_is_run():
    pages = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md") if "```python\n" in path.read_text()}
    assert pages == set(CHECKS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Particles, their reference and a small sweep, under the names that the pages use."""
    folder = tmp_path_factory.mktemp("reader")
    before = Path.cwd()
    os.chdir(folder)
    try:
        small = ["box=24", "voxel_size_angstrom=16", "device=cpu"]
        made = ["out=.", "n=20", "snr=1", "max_shift_voxels=2", "low_pass_angstrom=null"]
        assert main(["simulate", *made, *small]) == 0
        swept = ["out=sweep", "method=curvature_sag,chen_frm", "snr=1", "n=6"]
        assert main(["compare", "-m", *swept, *small]) == 0
    finally:
        os.chdir(before)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("page", CHECKS)
def test_a_page_runs(folder, page):
    if page == "guides/sweeps.md":
        pytest.importorskip("pandas", reason="pip install 'torchsag[table]'")
    shown = [block for block in blocks(page) if "import lightning" not in block]  # tests/optim/test_lightning.py
    assert shown
    # Workers are fewer here; as a file, since workers of a DataLoader may be started afresh.
    code = "\n".join(shown).replace("num_workers=4", "num_workers=1").replace("    ...\n", "    break\n")
    script = folder / f"{Path(page).stem}.py"
    script.write_text(f"PAGE = {page!r}\n{SETTING}\n{code}\n{CHECKS[page]}\n")
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent), "OMP_NUM_THREADS": str(torch.get_num_threads())}
    words = [sys.executable, script.name]
    run = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
