"""The installed wheel, used from another folder: it must bring its yaml files and both entry points."""

import os
import re
import shutil
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


def interpreter(version):
    """A Python of this version: on the search path, or one that pyenv keeps."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    for found in [shutil.which(f"python{version}"), *kept.glob(f"{version}.*/bin/python{version}")]:
        # pyenv's stand-ins are on the search path for versions that are not chosen, and only say so.
        if found and subprocess.run([found, "--version"], capture_output=True, check=False).returncode == 0:
            return found
    return pytest.skip(f"no Python {version} here")


@pytest.mark.slow
@pytest.mark.parametrize("version", ["3.10", "3.13"])
def test_a_fresh_environment_of_the_oldest_and_the_newest_python(version, tmp_path):
    fresh = tmp_path / "fresh"
    subprocess.run([interpreter(version), "-m", "venv", fresh], check=True)
    python, elsewhere = fresh / "bin" / "python", tmp_path / "elsewhere"
    elsewhere.mkdir()
    pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
    subprocess.run([*pip, "wheel", "--no-deps", "-w", tmp_path / "dist", REPOSITORY], check=True)
    subprocess.run([*pip, "install", next((tmp_path / "dist").glob("torchsag-*.whl"))], check=True)
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | {"OMP_NUM_THREADS": "1"}

    def say(*words):
        done = subprocess.run(words, cwd=elsewhere, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = str(fresh / "bin" / "torchsag")
    say(command, "simulate", "out=s", "n=4", "box=24", "snr=3", "voxel_size_angstrom=16")
    say(command, "align", "particles=s/particles.star", "reference=s/reference.mrc", "out=a", "threads=1")
    assert {"poses.star", "average.mrc", "report.html"} <= {path.name for path in (elsewhere / "a").iterdir()}
    front = "import torchsag as t; print(len(t.align('s/particles.star', 's/reference.mrc').poses))"
    assert say(str(python), "-c", front).endswith("4\n")


@pytest.mark.slow
def test_what_is_uploaded_passes_the_check_of_twine(tmp_path):
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "tools"], check=True)
    python = tmp_path / "tools" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "-q", "install", "build", "twine"], check=True)
    subprocess.run([python, "-m", "build", "-o", tmp_path / "dist", REPOSITORY], check=True, capture_output=True)
    made = sorted((tmp_path / "dist").iterdir())
    assert {path.suffix for path in made} == {".whl", ".gz"}
    checked = subprocess.run([python, "-m", "twine", "check", "--strict", *made], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout
