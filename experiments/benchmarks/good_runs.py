"""What verdicts say of runs in which nothing is wrong: all commands that have one, simulated and real particles.

    python experiments/benchmarks/good_runs.py [--real DATA] [--minutes 14]

Commands as typed, in boxes of 32 voxels of 12 angstrom: ribosome, GroEL and capped GroEL phantoms at SNR 0.03 to 0.3,
with and without their symmetry, 8 to 32 particles with poses and noise of their own. DATA holds folders of real
particles, each with ``particles.csv`` and ``reference.mrc``. A row says the trust, the findings that are no notes, and
how good the result is by the truth. The result is a JSON file beside this one; runs that it holds are not made again.
Runs whose rule was changed were made again with new seeds.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from torchsag.app.main import main as torchsag
from torchsag.averaging.frames import bring_back
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.wedge import missing_wedge
from torchsag.io import write_map
from torchsag.particles import DensityMap
from torchsag.runs.provenance import versions
from torchsag.simulation.structures import GroelPhantom, RibosomePhantom

BOX, VOXEL = 32, 12.0
COMMON = ["device=cpu", "threads=1", "~report"]
Run = Callable[[Path], None]


def command(*words: str) -> None:
    """A command as typed; refuses to go on where it fails."""
    if torchsag(list(words)) != 0:
        raise SystemExit(f"torchsag {' '.join(words)} failed")


def simulated(folder: Path, structure: str, snr: float, seed: int, count: int = 8, *words: str) -> Path:
    """Particles of a phantom."""
    size = [f"box={BOX}", f"voxel_size_angstrom={VOXEL}", "resolution_angstrom=24", f"n={count}", f"seed={seed}"]
    command("simulate", f"out={folder / 'data'}", f"structure={structure}", f"snr={snr}", *size, *COMMON[:2], *words)
    return folder / "data"


def align(structure: str, snr: float, symmetry: str, seed: int, *words: str) -> Run:
    """Align to the structure."""

    def run(folder: Path) -> None:
        data = simulated(folder, structure, snr, seed)
        inputs = [f"particles={data / 'particles.star'}", f"reference={data / 'reference.mrc'}"]
        # Errors of GroEL by no symmetry would count equivalent poses as wrong, which is doubted rightly.
        truth = [f"truth={data / 'particles.star'}"] if (structure, symmetry) != ("phantom", "C1") else []
        command("align", *inputs, *truth, f"symmetry={symmetry}", f"out={folder / 'out'}", *COMMON, *words)

    return run


def average(structure: str, snr: float, symmetry: str, seed: int, count: int, from_map: bool, *words: str) -> Run:
    """Average from a map low-passed to 60 angstrom, or from nothing."""

    def run(folder: Path) -> None:
        data = simulated(folder, structure, snr, seed, count)
        inputs = [f"particles={data / 'particles.star'}", f"truth={data / 'particles.star'}"]
        inputs += [f"truth_map={data / 'reference.mrc'}", f"symmetry={symmetry}", f"out={folder / 'out'}"]
        inputs += [f"reference={data / 'reference.mrc'}"] if from_map else []
        command("average", *inputs, *COMMON, *words)

    return run


def classify(snr: float, seed: int) -> Run:
    """GroEL with and without its cap."""

    def run(folder: Path) -> None:
        data = simulated(folder, "phantom", snr, seed, 40, "+structure@others.second=capped")
        inputs = [f"particles={data / 'particles.star'}", f"reference={data / 'reference.mrc'}"]
        few = ["classes=2", "symmetry=C7", "common_symmetry=D7", "common_iterations=2", "repeats=1"]
        command("classify", *inputs, *few, f"truth={data / 'particles.star'}", f"out={folder / 'out'}", *COMMON)

    return run


def extracted(snr: float, seed: int) -> Run:
    """Eight ribosomes cut out of a tomogram, then aligned."""

    def run(folder: Path) -> None:
        generator = torch.Generator().manual_seed(seed)
        structure, shape = RibosomePhantom().density(BOX, VOXEL), (48, 96, 160)
        flat = DensityMap(structure.density - structure.density.mean(), VOXEL)
        noise = float(flat.density.std()) / math.sqrt(snr)
        tomogram = noise * torch.randn(shape, generator=generator)
        turns = random_rotations(8, generator).float()
        rows = []
        for turn, (x, y) in zip(turns, [(x, y) for x in (24, 62, 98, 134) for y in (24, 70)], strict=True):
            turned = bring_back(flat, Poses(turn[None], torch.zeros(1, 3))).density
            tomogram[8:40, y - 16 : y + 16, x - 16 : x + 16] += turned
            rows.append(f"tomogram.mrc,{x},{y},24")
        seen = from_half_spectrum(to_half_spectrum(tomogram) * missing_wedge(shape, -60.0, 60.0), shape)
        write_map(folder / "tomogram.mrc", DensityMap(seen, VOXEL))
        write_map(folder / "reference.mrc", structure)
        (folder / "picks.csv").write_text("tomogram,x,y,z\n" + "\n".join(rows) + "\n", encoding="utf-8")
        tilts = ["tilt_min_deg=-60", "tilt_max_deg=60"]
        command("extract", f"positions={folder / 'picks.csv'}", f"box={BOX}", f"out={folder / 'cut'}", *tilts)
        inputs = [f"particles={folder / 'cut' / 'particles.star'}", f"reference={folder / 'reference.mrc'}"]
        command("align", *inputs, f"out={folder / 'out'}", *COMMON)

    return run


def postprocess(structure: str, noise: float, seed: int, mask: str) -> Run:
    """Half-maps with noise of their own."""

    def run(folder: Path) -> None:
        made = (GroelPhantom() if structure == "phantom" else RibosomePhantom()).density(BOX, VOXEL)
        generator = torch.Generator().manual_seed(seed)
        signal = made.density / made.density.std()
        for half in (1, 2):
            grain = noise * torch.randn(signal.shape, generator=generator)
            write_map(folder / f"half{half}.mrc", DensityMap(signal + grain, VOXEL))
        halves = [f"half1={folder / 'half1.mrc'}", f"half2={folder / 'half2.mrc'}"]
        command("postprocess", *halves, f"mask={mask}", f"out={folder / 'out'}", "threads=1")

    return run


def real(data: Path, name: str, *words: str) -> Run:
    """Experimental particles and their authors' map."""

    def run(folder: Path) -> None:
        inputs = [f"particles={data / 'particles.csv'}", f"reference={data / 'reference.mrc'}"]
        command(name, *inputs, f"out={folder / 'out'}", *COMMON, *words)

    return run


def all_runs(data: Path | None) -> dict[str, Run]:
    """Every run by what is typed, in an order in which commands take turns."""
    runs: dict[str, Run] = {}
    cases = [("ribosome", "C1"), ("phantom", "D7"), ("phantom", "C1"), ("capped", "C7")]
    for seed, snr in enumerate((0.3, 0.1, 0.03), start=7000):
        for number, (structure, symmetry) in enumerate(cases):
            for repeat in (0, 1):
                own = seed + 10 * number + 100 * repeat + (50 if (structure, symmetry) == ("phantom", "C1") else 0)
                runs[f"align {structure} {symmetry} SNR {snr} seed {own}"] = align(structure, snr, symmetry, own)
    for seed, snr in enumerate((0.3, 0.1, 0.03), start=7300):
        for count, (structure, symmetry) in zip((32, 16, 32), (cases[0], cases[1], cases[3]), strict=True):
            name = f"average {structure} {symmetry} from a map, {count} particles, SNR {snr} seed {seed}"
            runs[name] = average(structure, snr, symmetry, seed, count, True, "iterations=3")
    for seed, snr in enumerate((0.3, 0.1), start=7450):
        for structure, symmetry in (cases[0], cases[1], cases[3]):
            name = f"average {structure} {symmetry} from nothing, 24 particles, SNR {snr} seed {seed}"
            runs[name] = average(structure, snr, symmetry, seed, 24, False, "iterations=8")
    for seed, snr in enumerate((0.3, 0.1), start=7550):
        runs[f"classify phantom and capped, 40 particles, SNR {snr} seed {seed}"] = classify(snr, seed)
    for seed, snr in enumerate((0.3, 0.1, 0.05, 0.03), start=7600):
        runs[f"extract and align ribosome, SNR {snr} seed {seed}"] = extracted(snr, seed)
    for seed, (structure, noise) in enumerate([(s, n) for s in ("ribosome", "phantom") for n in (0.1, 0.3, 1.0, 2.0)]):
        for mask in ("sphere", "from_map"):
            name = f"postprocess {structure}, noise {noise}, mask={mask} seed {7700 + seed}"
            runs[name] = postprocess(structure, noise, 7700 + seed, mask)
    for folder in [] if data is None else sorted(path.parent for path in data.glob("*/reference.mrc")):
        runs[f"align real {folder.name}"] = real(folder, "align")
        runs[f"average real {folder.name} seed 1"] = real(folder, "average", "mask=from_map", "iterations=3", "seed=1")
    return runs


def summed_up(out: Path) -> dict[str, Any]:
    """Trust, findings that are no notes, and what the result is worth by the truth."""
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    found = [finding for finding in metrics["verdict"]["findings"] if finding["severity"] != "note"]
    summary = metrics.get("summary", metrics)
    shown = ("median_rotation_error_deg", "resolution_0.143_angstrom", "truth_resolution_0.5_angstrom")
    shown += ("adjusted_rand_index", "particles", "aligned")
    worth = {name: summary[name] for name in shown if isinstance(summary.get(name), int | float)}
    return {"trust": metrics["verdict"]["trust"], "findings": found, **worth}


def main() -> None:
    """Every run that the JSON does not hold, until the time is out."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--real", type=Path, default=None, help="folders of real particles")
    parser.add_argument("--minutes", type=float, default=14.0, help="stop after so long; the next call goes on")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    began = time.monotonic()
    rows = json.loads(options.out.read_text(encoding="utf-8"))["rows"] if options.out.exists() else {}
    for name, run in all_runs(options.real).items():
        if name in rows:
            continue
        if time.monotonic() - began > 60 * options.minutes:
            return
        spent = time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            run(Path(folder))
            rows[name] = summed_up(Path(folder) / "out")
        rows[name]["cpu_seconds"] = round(time.process_time() - spent, 1)
        print(name, rows[name], flush=True)
        record = {"what": str(__doc__).splitlines()[0], "versions": versions(), "rows": rows}
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
