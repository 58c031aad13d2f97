"""What a process loads, and what it must not load: each of these costs a second or more at every start."""

import subprocess
import sys

import torch

from torchsag.io import write_map
from torchsag.particles import DensityMap

COMPILER = {"torch._dynamo", "torch._inductor", "roma", "torch_harmonics"}
NEEDED_BY_FEW = {"matplotlib", "scipy.ndimage", "scipy.stats", "scipy.cluster", "scipy.optimize"}
WITH_FOLDERS = ("average", "classify", "simulate")


def loaded(code, *words, cwd=None):
    """The modules that a fresh process has loaded in the end."""
    code += "\nsys.stderr.write('|'.join(sys.modules))"
    command = [sys.executable, "-c", "import sys\n" + code, *words]
    run = subprocess.run(command, capture_output=True, text=True, check=True, cwd=cwd)
    return set(run.stderr.rpartition("\n")[2].split("|"))


def test_a_reference_and_its_particle_are_aligned_without_torchs_compiler(tmp_path):
    density = torch.zeros(16, 16, 16)
    density[4:9, 6:12, 7:10] = 1
    (tmp_path / "particles").mkdir()
    for name in ("reference.mrc", "particles/one.mrc"):
        write_map(tmp_path / name, DensityMap(density, 16.0))
    words = ["align", "particles=particles", "reference=reference.mrc", "out=out"]
    tilts = ["tilt_min_deg=-60", "tilt_max_deg=60"]
    code = "from torchsag.app.main import main\nassert main(sys.argv[1:]) == 0"
    # The first run on a machine makes the tables that later ones find, and loads what makes them.
    loaded(code, *words, *tilts, "~report", cwd=tmp_path)
    modules = loaded(code, *words, *tilts, "~report", cwd=tmp_path)
    assert (tmp_path / "out" / "poses.star").exists()
    assert "torch" in modules
    assert modules & {*COMPILER, *NEEDED_BY_FEW} == set()


def test_commands_load_neither_the_compiler_nor_what_few_need():
    code = "from torchsag.workflows import align, average, classify, simulate"
    modules = loaded("\n".join([code, *(f"import torchsag.workflows.{name}.command" for name in WITH_FOLDERS)]))
    assert "torch" in modules
    assert modules & {*COMPILER, *NEEDED_BY_FEW} == set()
