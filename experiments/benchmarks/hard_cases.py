"""Default `average` and RELION's auto-refine side by side on particles that make refinement hard.

    python experiments/benchmarks/hard_cases.py [--cases 003-D7 ...] [--programs torchsag relion]

Each case is a set of simulated particles and a reference low-passed to 60 angstrom; see `CASES`. Both programs get the
same particles, weights and reference, refine two halves apart from each other (gold standard) and use two processes or
threads. RELION (3.1.3, as Debian has it) runs its whole auto-refine: `relion_refine_mpi` with two followers and a
leader that yields while it waits, from 15 degrees to local searches from 3.75 on, oversampling included, as it decides.
(Its interface offers local searches from 1.8 degrees on: 40 particles D7 had then cost 26 CPU minutes and not ended.)

Half-maps are taken unfiltered, their mean is put onto the true structure by a rigid search in real space, and both are
compared under one soft sphere by a correlation of Fourier shells written here with numpy alone. SNR is the variance of
the signal over the box by that of the noise per voxel, before the wedge.

Results are added to the JSON beside this file case by case: what is there is not run again unless ``--again`` is given.
A run that takes longer than ``--limit`` seconds is ended and recorded as such.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import mrcfile
import numpy as np
from scipy import ndimage, optimize
from scipy.spatial.transform import Rotation

from torchsag.app.main import main as torchsag
from torchsag.runs.provenance import versions


@dataclass(frozen=True)
class Case:
    """One set of particles and how it is refined.

    Attributes
    ----------
    what
        In words.
    snr
        See the module.
    structure, symmetry, box, voxel_angstrom, particles, max_shift_voxels
        What is simulated and what is told of it.
    junk
        Part of the particles that show noise alone.
    coloured
        Whether the noise falls with frequency: amplitude ``1 / (1 + 6 f)``, f in cycles per voxel times two.
    missing_mass
        Part of the reference's mass, on top, that the programs are not given.
    tilts
        Whether particles are back-projected from tilt images with defocus from 3 to 6 micrometres, dose and detector
        (`torchsag simulate pipeline=tilt_series`); `snr` is then that of an image before the detector.
    """

    what: str
    snr: float
    structure: str = "phantom"
    symmetry: str = "C1"
    box: int = 32
    voxel_angstrom: float = 9.0
    particles: int = 200
    max_shift_voxels: float = 2.0
    junk: float = 0.0
    coloured: bool = False
    missing_mass: float = 0.0
    tilts: bool = False


CASES = {
    "003-D7": Case("SNR 0.003, D7", 0.003, symmetry="D7"),
    "001-D7": Case("SNR 0.001, D7", 0.001, symmetry="D7"),
    "shifts": Case("SNR 0.003, D7, shifts to 8 voxels", 0.003, symmetry="D7", max_shift_voxels=8.0),
    "tilts": Case("tilt series, 3 to 6 um underfocus, dose; D7", 0.01, symmetry="D7", tilts=True),
    "filled": Case("SNR 0.01, D7, the particle fills its box", 0.01, symmetry="D7", box=48, voxel_angstrom=3.6),
    "junk-D7": Case("SNR 0.003, D7, 20 % of the particles show nothing", 0.003, symmetry="D7", junk=0.2),
    "coloured": Case("SNR 0.003, D7, noise that falls with frequency", 0.003, symmetry="D7", coloured=True),
    "mass": Case("SNR 0.003, C7, 30 % of the reference's mass missing", 0.003, "capped", "C7", missing_mass=0.3),
    "010-C1": Case("SNR 0.01, ribosome without symmetry", 0.01, "ribosome", voxel_angstrom=11.0),
    "junk": Case("20 % of the particles show nothing", 0.003, "ribosome", voxel_angstrom=11.0, junk=0.2),
    "003-C1": Case("SNR 0.003, ribosome without symmetry", 0.003, "ribosome", voxel_angstrom=11.0),
    "001-C1": Case("SNR 0.001, ribosome without symmetry", 0.001, "ribosome", voxel_angstrom=11.0),
}  # fmt: skip
LOCAL_FROM_ORDER = 3  # of HEALPix: 7.5 degrees, 3.75 with oversampling


def simulate(case: Case, folder: Path, seed: int) -> None:
    """Particles, their list without poses, the truth and the reference, as files."""
    words = [
        f"structure={case.structure}", f"n={case.particles}", f"box={case.box}",
        f"voxel_size_angstrom={case.voxel_angstrom}",
        f"snr={case.snr if case.tilts else math.inf}", f"max_shift_voxels={case.max_shift_voxels}", f"seed={seed}",
        "threads=1",
    ]  # fmt: skip
    if case.tilts:
        words += ["pipeline=tilt_series", "pipeline.defocus_um=-4.5", "pipeline.defocus_spread_um=1.5"]
    if torchsag(["simulate", f"out={folder}", *words]) != 0:
        raise SystemExit("the simulation failed")
    truth = read(folder / "reference.mrc")
    given = truth * (1 - lacking(truth, case.missing_mass))
    write(folder / "given.mrc", low_passed(given, case.voxel_angstrom, 60.0), case.voxel_angstrom)
    hide_poses(folder / "particles.star", folder / "blind.star")
    if not case.tilts:
        add_noise(case, folder, truth, seed)


def add_noise(case: Case, folder: Path, truth: np.ndarray, seed: int) -> None:
    """White or coloured noise within the wedge onto every particle; junk keeps nothing else."""
    generator = np.random.default_rng(seed)
    sigma = truth.std() / case.snr**0.5
    wedge = tilt_wedge(case.box, 60.0)
    count = round(case.junk * case.particles)
    volumes = sorted((folder / "particles").glob("*.mrc"))
    for number, path in enumerate(volumes):
        noise = np.fft.rfftn(sigma * generator.standard_normal(truth.shape)) * wedge
        noise *= colour(case.box) if case.coloured else 1.0
        signal = 0.0 if number < count else read(path)
        write(path, signal + np.fft.irfftn(noise, truth.shape, axes=(0, 1, 2)), case.voxel_angstrom)


def tilt_wedge(n: int, tilt_deg: float) -> np.ndarray:
    """What tilts to +- `tilt_deg` about y measure, half-spectrum."""
    kz, ky, kx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), np.fft.rfftfreq(n), indexing="ij")
    return (np.abs(kz) <= np.abs(kx) * np.tan(np.radians(tilt_deg)) + 1e-9).astype(float) + 0.0 * ky


def colour(n: int) -> np.ndarray:
    """Amplitude of coloured noise by frequency, of the same variance as white noise."""
    f = frequency(n)
    amplitude = 1 / (1 + 12 * f)
    return amplitude / np.sqrt((amplitude**2).mean())


def frequency(n: int) -> np.ndarray:
    """Cycles per voxel, half-spectrum."""
    kz, ky, kx = np.meshgrid(np.fft.fftfreq(n), np.fft.fftfreq(n), np.fft.rfftfreq(n), indexing="ij")
    return np.sqrt(kz**2 + ky**2 + kx**2)


def lacking(density: np.ndarray, part: float) -> np.ndarray:
    """One where mass is missing: all beyond a plane across z."""
    mass = np.clip(density, 0, None).sum((1, 2)).cumsum()
    kept = np.searchsorted(mass, (1 - part) * mass[-1])
    beyond = np.arange(len(density)) > kept
    return np.broadcast_to(beyond[:, None, None], density.shape) * (part > 0)


def low_passed(density: np.ndarray, voxel: float, angstrom: float) -> np.ndarray:
    """Nothing beyond a resolution; half a cosine of two shells between."""
    n = density.shape[0]
    edge = np.clip((frequency(n) - voxel / angstrom) * n / 2 + 0.5, 0, 1)
    return np.fft.irfftn(np.fft.rfftn(density) * 0.5 * (1 + np.cos(np.pi * edge)), density.shape, axes=(0, 1, 2))


def hide_poses(path: Path, out: Path) -> None:
    """The list without the columns that say where particles are."""
    lines = path.read_text().splitlines()
    hidden = re.compile(r"_rln(Angle(Rot|Tilt|Psi)(Prior)?|Origin[XYZ](Angst)?)\b")
    gone: set[int] = set()
    kept: list[str] = []
    column = 0
    for line in lines:
        if line.startswith(("data_", "loop_")):
            gone, column = set(), 0
        if line.startswith("_rln"):
            hide = hidden.match(line) is not None
            column += 1
            gone |= {column - 1} if hide else set()
            if hide:
                continue
            name = line.split()[0]
            kept.append(f"{name} #{column - len(gone)}")
        elif gone and line.strip():
            kept.append(" ".join(word for place, word in enumerate(line.split()) if place not in gone))
        else:
            kept.append(line)
    out.write_text("\n".join(kept) + "\n")


def run(words: Sequence[str], folder: Path, log: Path, limit: float) -> dict[str, float | str]:
    """A command with its wall and CPU seconds; ended at the limit."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "OMPI_ALLOW_RUN_AS_ROOT": "1",
        "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    }
    with log.open("w") as file:
        process = subprocess.Popen(words, cwd=folder, stdout=file, stderr=file, env=environment, start_new_session=True)
        try:
            code = process.wait(limit)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            code = -1
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    ended = {0: "finished", -1: f"ended after {limit:.0f} s"}.get(code, f"failed with {code}: {log.read_text()[-300:]}")
    return {"ended": ended, "cpu_seconds": round(cpu, 1), "wall_seconds": round(time.perf_counter() - began, 1)}


def with_torchsag(case: Case, folder: Path, limit: float, *more: str) -> tuple[dict, list[Path]]:
    """`torchsag average` as it is by default."""
    words = [sys.executable, "-m", "torchsag", "average", "particles=blind.star", "reference=given.mrc", "out=ours"]
    words += [f"symmetry={case.symmetry}", "threads=2", "device=cpu", *shift_words(case), *more]
    shutil.rmtree(folder / "ours", ignore_errors=True)
    spent = run(words, folder, folder / "ours.log", limit)
    return spent, [folder / "ours" / f"half{half}.mrc" for half in (1, 2)]


def shift_words(case: Case) -> list[str]:
    """Both programs are told how far off particles may be."""
    return [] if case.max_shift_voxels <= case.box / 8 else [
        f"method.search.max_shift={(case.max_shift_voxels + 1) / case.box:.3f}"
    ]  # fmt: skip


def with_relion(case: Case, folder: Path, limit: float) -> tuple[dict, list[Path]]:
    """RELION's auto-refine with the settings of its own interface for subtomograms."""
    out = folder / "relion"
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir()
    diameter = 0.9 * case.box * case.voxel_angstrom
    words = [
        "mpirun", "--oversubscribe", "--mca", "mpi_yield_when_idle", "1", "-n", "3",
        "relion_refine_mpi", "--o", "relion/run", "--auto_refine",
        "--split_random_halves", "--i", "blind.star", "--ref", "given.mrc", "--firstiter_cc", "--ini_high", "60",
        "--dont_combine_weights_via_disc", "--pool", "3", "--pad", "2", "--ctf",
        "--particle_diameter", f"{diameter:.0f}", "--flatten_solvent", "--zero_mask", "--oversampling", "1",
        "--healpix_order", "1", "--auto_local_healpix_order", str(LOCAL_FROM_ORDER),
        "--offset_range", f"{max(4, case.max_shift_voxels + 1):.0f}", "--offset_step", "2",
        "--sym", case.symmetry, "--low_resol_join_halves", "40", "--norm", "--scale", "--dont_check_norm", "--j", "1",
    ]  # fmt: skip
    spent = run(words, folder, folder / "relion.log", limit)
    spent["iterations"] = len(list(out.glob("run_it*_half1_model.star")))
    halves = [out / f"run_half{half}_class001_unfil.mrc" for half in (1, 2)]
    return spent, halves


def read(path: Path) -> np.ndarray:
    """A map."""
    with mrcfile.open(path, permissive=True) as file:
        return np.asarray(file.data, dtype=float)


def write(path: Path, density: np.ndarray, voxel: float) -> None:
    """A map in single precision."""
    with mrcfile.new(path, density.astype(np.float32), overwrite=True) as file:
        file.voxel_size = voxel


def sphere(n: int) -> np.ndarray:
    """A soft mask about the centre."""
    axis = np.arange(n) - n // 2
    radius = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return np.clip((0.46 * n - radius) / 3 + 0.5, 0, 1)


def shell_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Correlation by Fourier shell, whole transforms."""
    n = first.shape[0]
    a, b = np.fft.fftn(first), np.fft.fftn(second)
    k = np.fft.fftfreq(n) * n
    shell = np.rint(np.sqrt(k[:, None, None] ** 2 + k[:, None] ** 2 + k**2)).astype(int).ravel()
    cross, one, other = (
        np.bincount(shell, v.ravel())[: n // 2 + 1] for v in ((a * b.conj()).real, abs(a) ** 2, abs(b) ** 2)
    )
    return cross / np.sqrt(np.maximum(one * other, 1e-30))


def crossing(curve: np.ndarray, level: float, reach: float) -> float | None:
    """Resolution at which a curve first falls below a level, straight between shells; None where it never rises."""
    below = np.flatnonzero(curve[1:] < level)
    if not len(below):
        return round(reach / (len(curve) - 1), 2)
    k = below[0] + 1
    if k == 1:
        return None
    return round(float(reach) / float(k - 1 + (curve[k - 1] - level) / (curve[k - 1] - curve[k])), 2)


def placed_onto(density: np.ndarray, truth: np.ndarray, voxel: float, symmetry: str) -> np.ndarray:
    """The map turned and moved a little onto the truth, by their correlation at 30 angstrom.

    Where there is an n-fold axis, z, all turns about it are tried first: at 60 angstrom a ring looks alike from all
    sides, and a refinement may settle between its subunits.
    """
    n, centre = len(truth), np.full(3, len(truth) // 2)
    coarse, target = (low_passed(d, voxel, max(30.0, 3 * voxel)) for d in (density, truth))
    mask = sphere(n)

    def turned(volume: np.ndarray, move: np.ndarray, order: int) -> np.ndarray:
        matrix = Rotation.from_rotvec(move[:3]).as_matrix()
        return ndimage.affine_transform(volume, matrix, centre - matrix @ (centre + move[3:]), order=order)

    def loss(move: np.ndarray) -> float:
        return -np.corrcoef((turned(coarse, move, 1) * mask).ravel(), (target * mask).ravel())[0, 1]

    turns = np.arange(0, 2 * np.pi / int(symmetry[1:]), 0.05) if symmetry != "C1" else np.zeros(1)
    start = min((np.array([turn, 0, 0, 0, 0, 0]) for turn in turns), key=loss)
    simplex = start + np.vstack([np.zeros(6), 0.12 * np.eye(6)[:3], 1.0 * np.eye(6)[3:]])
    best = optimize.minimize(loss, start, method="Nelder-Mead", options={"initial_simplex": simplex, "maxiter": 300})
    return turned(density, best.x, 3)


def judged(case: Case, folder: Path, halves: Sequence[Path]) -> dict[str, float | None]:
    """Resolutions of half-maps against each other and of their mean against the truth."""
    if len(halves) < 2 or not all(path.exists() for path in halves):
        return {"half_map_0.143_angstrom": None, "truth_0.5_angstrom": None}
    first, second = map(read, halves)
    truth, mask, reach = read(folder / "reference.mrc"), sphere(case.box), case.box * case.voxel_angstrom
    whole = placed_onto((first + second) / 2, truth, case.voxel_angstrom, case.symmetry)
    beside = shell_correlation(whole * mask, truth * mask)
    return {
        "half_map_0.143_angstrom": crossing(shell_correlation(first * mask, second * mask), 0.143, reach),
        "truth_0.5_angstrom": crossing(beside, 0.5, reach),
        "truth_area_shells": round(float(beside[1:].sum()), 2),
    }


PROGRAMS = {"torchsag": with_torchsag, "relion": with_relion}


def main() -> None:
    """Run what is missing, print the table, write the JSON after each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--programs", nargs="+", choices=PROGRAMS, default=list(PROGRAMS))
    parser.add_argument("--particles", type=int, default=40)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--limit", type=float, default=3600.0, help="wall seconds of one run")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    record = json.loads(options.out.read_text()) if options.out.exists() else {"cases": {}}
    for name in options.cases:
        case = Case(**{**asdict(CASES[name]), "particles": options.particles})
        entry = record["cases"].setdefault(f"{name}, {case.particles} particles", {})
        settings = asdict(case) | {"seed": options.seed}
        if entry.get("case") != settings:
            entry.clear()
        entry["case"] = settings
        wanted = [p for p in options.programs if options.again or p not in entry]
        if not wanted:
            continue
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            simulate(case, folder, options.seed)
            for program in wanted:
                spent, halves = PROGRAMS[program](case, folder, options.limit)
                entry[program] = {**spent, **judged(case, folder, halves), "versions": versions()["torchsag"]}
                if program == "relion":
                    entry[program]["versions"] = "RELION 3.1.3"
                print(name, program, entry[program], flush=True)
                record["what"], record["versions"] = str(__doc__).splitlines()[0], versions()
                options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
