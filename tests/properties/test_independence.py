"""What must not change a result: chunks, the order of the list, copies, who shares the work, where the host stands."""

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from small_data import align_words, write_set

from torchsag.app.main import main
from torchsag.io.mrc import read_mrc
from torchsag.io.star import read_star

COUNT = 11
QUICK = ["threads=1", "~report", "device=cpu"]
POSES = [f"rlnAngle{angle}" for angle in ("Rot", "Tilt", "Psi")] + [f"rlnOrigin{axis}Angst" for axis in "XYZ"]
FOUND = [*POSES, "torchsagScore", "torchsagCovarianceDegAngst"]


@pytest.fixture(scope="module")
def particles(tmp_path_factory):
    """With names that not every locale can say."""
    folder = tmp_path_factory.mktemp("particles")
    write_set(folder, COUNT)
    rows = list(csv.DictReader((folder / "list.csv").open(encoding="utf-8")))
    for k, row in enumerate(rows):
        shutil.move(folder / row["volume"], folder / f"Teilchen_ß{k}.mrc")
        row["volume"] = f"Teilchen_ß{k}.mrc"
    _write(folder / "list.csv", rows)
    return folder


def _write(path, rows):
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def found(out):
    """What was found for each particle, by name, as it is written, and the average."""
    columns = read_star(out / "poses.star")["particles"].columns
    rows = {name: tuple(columns[c][k] for c in FOUND) for k, name in enumerate(columns["rlnImageName"])}
    return rows, read_mrc(out / "average.mrc")


def run(folder, out, *words):
    assert main(align_words(folder, out, *QUICK, *words)) == 0
    return found(out)


@pytest.fixture(scope="module")
def usual(particles, tmp_path_factory):
    return run(particles, tmp_path_factory.mktemp("usual") / "out")


def require_same(one, other):
    """The poses to the last digit; the average, a sum in another order, to rounding."""
    assert one[0] == other[0]
    np.testing.assert_allclose(one[1], other[1], atol=1e-5 * float(np.abs(one[1]).max()))


def require_same_poses(one, other):
    """Poses and scores to the last digit, the rest to rounding: threads add in orders of their own."""
    for name, row in one[0].items():
        assert row[:-1] == other[0][name][:-1]
        first, second = (np.array(json.loads(found[0][name][-1])) for found in (one, other))
        np.testing.assert_allclose(first, second, rtol=1e-4, atol=1e-5 * float(np.abs(first).max()))
    np.testing.assert_allclose(one[1], other[1], atol=1e-5 * float(np.abs(one[1]).max()))


def require_alike(one, other):
    """But for the rounding of sums in another order: those that calibrate the reference go over all particles."""
    for name, row in one[0].items():
        poses = np.array([row[: len(POSES)], other[0][name][: len(POSES)]], float)
        assert np.abs((poses[0] - poses[1] + 180) % 360 - 180).max() < 1e-3
    np.testing.assert_allclose(one[1], other[1], atol=1e-3 * float(np.abs(one[1]).max()))


def turned_around(particles, out, *words):
    """Aligned from the last to the first."""
    rows = list(csv.DictReader((particles / "list.csv").open(encoding="utf-8")))
    path = particles / "turned.csv"
    _write(path, rows[::-1])
    told = ["align", f"particles={path}", f"reference={particles / 'reference.mrc'}", f"out={out}", *QUICK, *words]
    assert main(told) == 0
    return found(out)


def test_neither_order_nor_chunks_nor_copies_matter(particles, usual, tmp_path):
    turned = turned_around(particles, tmp_path / "out", "chunk=4", f"staging={tmp_path / 'disk'}")
    assert list(turned[0]) == list(usual[0])[::-1]
    require_alike(turned, usual)
    assert list((tmp_path / "disk").rglob("*.mrc"))


@pytest.mark.slow
@pytest.mark.parametrize("chunk", [1, 3, 4, 10])
def test_chunks_do_not_matter(particles, usual, tmp_path, chunk):
    require_same(run(particles, tmp_path / "out", f"chunk={chunk}"), usual)


@pytest.mark.slow
def test_staging_does_not_matter(particles, usual, tmp_path):
    for _ in range(2):  # copied, then found there
        require_same(run(particles, tmp_path / "out", f"staging={tmp_path / 'disk'}"), usual)


def elsewhere(folder, out, environment, *words, launcher=()):
    """In a process of its own."""
    told = align_words(folder, out, "~report", "device=cpu", *words)
    command = [*(launcher or (sys.executable,)), "-m", "torchsag", *told]
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    return found(out)


# Open MPI as a container's only user on few cores; others pass over it.
AS_ROOT = {
    "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMPI_MCA_rmaps_base_oversubscribe": "1",
}  # fmt: skip
HOSTS = [
    {"LC_ALL": "C", "TZ": "Pacific/Auckland"},
    {"LC_ALL": "tr_TR.UTF-8", "LANG": "tr_TR.UTF-8", "TZ": "America/St_Johns"},
    {"LC_ALL": "de_DE.ISO-8859-1", "TZ": "UTC+13", "PYTHONCOERCECLOCALE": "0"},
    {"PYTHONHASHSEED": "7", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"},
]


@pytest.mark.slow
@pytest.mark.parametrize("environment", HOSTS)
def test_locale_time_zone_and_hashes_do_not_matter(particles, usual, tmp_path, environment):
    require_same(elsewhere(particles, tmp_path / "out", environment, "threads=1"), usual)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 3])
def test_threads_do_not_matter(particles, usual, tmp_path, threads):
    require_same_poses(elsewhere(particles, tmp_path / "out", {}, f"threads={threads}"), usual)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
@pytest.mark.parametrize("kind", ["mpi", "torch"])
def test_ranks_do_not_matter(particles, usual, tmp_path, kind, ranks):
    mpiexec = shutil.which("mpiexec", path=f"{os.path.dirname(sys.executable)}{os.pathsep}{os.environ['PATH']}")
    if kind == "mpi" and mpiexec is None:
        pytest.skip("no mpiexec")
    launcher = {
        "mpi": (str(mpiexec), "-n", str(ranks), sys.executable),
        "torch": (sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"),
    }[kind]
    words = ["threads=1", "chunk=2", f"parallel={kind}"]
    require_same(elsewhere(particles, tmp_path / "out", AS_ROOT, *words, launcher=launcher), usual)
