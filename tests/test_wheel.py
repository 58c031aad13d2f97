"""The installed wheel, used from another folder: it must bring its yaml files and both entry points."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder the wheel was unpacked to, without its dependencies."""
    folder = tmp_path_factory.mktemp("wheel")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", folder / "dist", REPOSITORY], check=True)
    wheel = next((folder / "dist").glob("torchsag-*.whl"))
    subprocess.run([*pip, "install", "--no-deps", "--target", folder / "site", wheel], check=True)
    return folder / "site"


def run(installed, tmp_path, *words):
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["script", "module"])
def test_commands_work_from_another_folder(installed, tmp_path, way):
    start = [str(installed / "bin" / "torchsag")] if way == "script" else [sys.executable, "-m", "torchsag"]
    where = run(installed, tmp_path, sys.executable, "-c", "import torchsag; print(torchsag.__file__)")
    assert where.stdout.startswith(str(installed))
    assert (installed / "torchsag" / "py.typed").exists()
    listed = run(installed, tmp_path, *start, "--help")
    assert listed.returncode == 0
    assert "align" in listed.stdout
    explained = run(installed, tmp_path, *start, "align", "--help")
    assert explained.returncode == 0
    assert "method=" in explained.stdout
    refused = run(installed, tmp_path, *start, "align", "particles=p", "reference=r", "out=o", "chunck=1")
    assert refused.returncode == 2
    assert "did you mean 'chunk'?" in refused.stderr
    demo = run(installed, tmp_path, *start, "demo", "threads=1")
    assert demo.returncode == 0, demo.stderr
    made = {path.name for path in (tmp_path / "torchsag-demo").iterdir()}
    assert {"poses.star", "average.mrc", "report.html", "metrics.json"} <= made
    assert {path.name for path in tmp_path.iterdir()} == {"torchsag-demo"}


@pytest.mark.slow
def test_the_front_door_works_from_another_folder(installed, tmp_path):
    code = (
        "import torchsag\n"
        "made = torchsag.simulate('ribosome', 4, snr=3.0, box=20, voxel_size=18)\n"
        "found = torchsag.align(made.particles, made.reference, method='fast_matching', symmetry='C1')\n"
        "print(torchsag.__file__, len(found.poses), found.average.box)"
    )
    done = run(installed, tmp_path, sys.executable, "-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(installed))
    assert done.stdout.endswith(" 4 (20, 20, 20)\n")
    assert not any(tmp_path.iterdir())


@pytest.mark.slow
def test_a_loss_from_a_folder_of_ones_own(installed, tmp_path):
    """The README's example, found through the search path and the allow-list."""
    readme = (REPOSITORY / "README.md").read_text()
    for name in ("mylosses/cauchy.py", "conf/loss/cauchy.yaml"):
        (block,) = re.findall(rf"```\w+\n# {name}\n(.*?)```", readme, flags=re.DOTALL)
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(block)
    start = [str(installed / "bin" / "torchsag"), "compare", "out=out", "threads=1", "~report"]
    small = ["n=2", "snr=1", "box=24", "voxel_size_angstrom=16", "method=sag", "method.resolution_angstrom=null"]
    own = ["loss@method.loss=cauchy", "hydra.searchpath=[file://conf]"]
    refused = run(installed, tmp_path, *start, *small, *own)
    assert refused.returncode == 2
    assert "add allow=[mylosses]" in refused.stderr
    done = run(installed, tmp_path, *start, *small, *own, "allow=[mylosses]")
    assert done.returncode == 0, done.stderr
    assert "mylosses.cauchy.Cauchy" in (tmp_path / "out" / "config.yaml").read_text()
    assert (tmp_path / "out" / "summary.csv").exists()
