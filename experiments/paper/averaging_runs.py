"""Reference-free averages of simulated GroEL: the runs behind figures 7 to 9.

The setting of Lü et al. 2019: 64 voxels of 6 angstrom, SNR 0.003 (signal variance over the box by noise variance per
voxel, before the wedge), tilts to +-60 degrees, starting from the average at random orientations. The lists that the
runs get hold no poses. All resolutions are of half-maps that never shared a reference, corrected for the mask; the
oracle's are those of half-maps at the true poses. *Against the truth* is the FSC of the average with the structure that
was simulated, after turning the one onto the other, read at 0.5.

A run is kept as one JSON file (and central slices beside it) in the folder given, and made only if it is not there yet.
"""

from __future__ import annotations

import argparse
import csv
import json
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from torchsag.app.main import main as torchsag
from torchsag.runs.provenance import versions

SHOWN = 5  # iterations of which slices are kept
MASK = ["mask.diameter_angstrom=260", "mask.edge_angstrom=36"]
# Quoted in the text of Lü et al. 2019 for 20 particles and each of its three methods: angstrom, iterations.
PAPER = {"sag": (37.1, 14), "xu_alber": (40.7, 11), "chen_frm": (39.7, 13)}


@dataclass(frozen=True)
class Run:
    """One average: which particles, how many, with what symmetry, by which method."""

    structure: str = "phantom"
    count: int = 20
    symmetry: str = "D7"
    method: str = "curvature_sag"
    snr: float = 0.003
    seed: int = 0
    iterations: int = 14

    @property
    def name(self) -> str:
        """As files and legends call it."""
        structure = Path(self.structure).name.split(".")[0]
        again = f"-seed{self.seed}" if self.seed else ""
        return f"{structure}-{self.count}-{self.symmetry}-{self.method}{again}"


def options(description: str) -> argparse.ArgumentParser:
    """What all three figures can be asked for."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--structures", nargs="+", default=["phantom"], help="phantom, or PDB or mmCIF files")
    parser.add_argument("--counts", nargs="+", type=int, default=[20])
    parser.add_argument("--symmetries", nargs="+", default=["D7"])
    parser.add_argument("--methods", nargs="+", default=["curvature_sag"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of particles and starts")
    parser.add_argument("--iterations", type=int, default=14)
    parser.add_argument("--runs", type=Path, default=Path(__file__).with_name("averaging_runs"))
    parser.add_argument("--only-what-is-there", action="store_true", help="make no runs, show those in the folder")
    return parser


def slices_of(name: str, chosen: argparse.Namespace) -> dict[str, np.ndarray]:
    """Central slices of one of these runs."""
    with np.load(chosen.runs / f"{name}.npz") as archive:
        return dict(archive)


def results(chosen: argparse.Namespace) -> dict[str, dict]:
    """All runs asked for, by name."""
    wanted = [
        Run(structure, count, symmetry, method, seed=seed, iterations=chosen.iterations)
        for structure in chosen.structures
        for count in chosen.counts
        for symmetry in chosen.symmetries
        for method in chosen.methods
        for seed in chosen.seeds
    ]
    made = {run.name: _made(run, chosen.runs, chosen.only_what_is_there) for run in wanted}
    return {name: result for name, result in made.items() if result is not None}


def _made(run: Run, folder: Path, only_there: bool) -> dict | None:
    kept = folder / f"{run.name}.json"
    if not kept.exists():
        if only_there:
            return None
        with tempfile.TemporaryDirectory() as scratch:
            result, slices = make(run, Path(scratch))
        folder.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept.with_suffix(".npz"), **slices)
        kept.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    return json.loads(kept.read_text(encoding="utf-8"))


def make(run: Run, scratch: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Simulate, average without a reference, and collect the numbers and the slices."""
    blind, truth = simulate(run, scratch / "data")
    out = scratch / "out"
    # A method is judged by itself: what refines locally is the default's own.
    local = [] if run.method == "curvature_sag" else ["~method@local_method"]
    command(
        "average", f"particles={blind}", f"truth={truth}", f"truth_map={scratch / 'data/reference.mrc'}", f"out={out}",
        f"method={run.method}", f"symmetry={run.symmetry}", "truth_symmetry=D7", f"iterations={run.iterations}",
        f"seed={run.seed}", "threads=1", *MASK, *local,
    )  # fmt: skip
    metrics = json.loads((out / "metrics.json").read_text(encoding="utf-8"))
    with (out / "fsc.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    curves = {name: [float(row[name]) for row in rows] for name in rows[0] if name != "shell"}
    settings = {**asdict(run), "structure": Path(run.structure).name}
    result = {"settings": settings, "versions": versions(), "fsc": curves}
    return {**result, **{name: metrics[name] for name in ("summary", "iterations")}}, _slices(out)


def simulate(run: Run, folder: Path) -> tuple[Path, Path]:
    """Particles on disk: a list without poses, and the list with the true ones."""
    command(
        "simulate", f"out={folder}", f"n={run.count}", f"snr={run.snr}", f"seed={run.seed}",
        f"structure={run.structure}",
    )  # fmt: skip
    blind = folder / "blind.csv"
    names = sorted(path.name for path in (folder / "particles").iterdir())
    rows = "".join(f"particles/{name},-60,60\n" for name in names)
    blind.write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows, encoding="utf-8")
    return blind, folder / "particles.star"


def _slices(out: Path) -> dict[str, np.ndarray]:
    """Central slices across z and y of the final map and of some iterations, 8 bits each."""
    with np.load(out / "slices.npz") as archive:
        growing = [name for name in archive if name.startswith("iteration")]
        picked = sorted({round(i) for i in np.linspace(0, len(growing) - 1, SHOWN)})
        shown = {}
        for name in [*(growing[i] for i in picked), "final"]:
            low, high = np.percentile(archive[name][:2], (1, 99.7))
            shown[name] = np.round(255 * ((archive[name][:2] - low) / (high - low)).clip(0, 1)).astype(np.uint8)
    return shown


def command(*words: str) -> None:
    """Run a command of torchsag."""
    if torchsag(words) != 0:
        raise SystemExit(f"torchsag {' '.join(words)} failed")


def table(found: dict[str, dict]) -> str:
    """One line for each run, with the paper's figures where it has any."""
    columns = (
        ("FSC 0.143 (angstrom)", "resolution_0.143_angstrom"),
        ("true poses", "oracle_resolution_0.143_angstrom"),
        ("against the truth 0.5", "truth_resolution_0.5_angstrom"),
        ("true poses", "oracle_truth_resolution_0.5_angstrom"),
        ("rotation error (deg)", "median_rotation_error_deg"),
        ("best iteration", "best_iteration"),
        ("seconds", "wall_seconds"),
    )
    lines = ["| run | " + " | ".join(label for label, _ in columns) + " | paper, 20 particles |"]
    lines += ["|---" * (len(columns) + 2) + "|"]
    for name, result in found.items():
        cells = [_number(result["summary"].get(key)) for _, key in columns]
        settings = result["settings"]
        paper = PAPER.get(settings["method"]) if settings["count"] == 20 else None
        quoted = "" if paper is None else f"{paper[0]} after {paper[1]}"
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {quoted} |")
    return "\n".join(lines)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"


def frequencies(curves: dict[str, Sequence[float]]) -> list[float]:
    """Spatial frequency of each shell, 1/angstrom."""
    return [1 / r if r < float("inf") else 0.0 for r in curves["resolution_angstrom"]]
