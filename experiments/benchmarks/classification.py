"""How well `torchsag classify` divides a mixture whose poses and classes are unknown to it.

    python experiments/benchmarks/classification.py [--snr 0.03 0.01 0.003] [--junk noise|ribosome] [--seeds 5]
        [--atomic GROEL.pdb.gz GROEL_GROES.pdb.gz] [--work DIR]
    python experiments/benchmarks/classification.py --show

Rings, capped rings and junk, 40 : 40 : 20, 64 voxels of 6 angstrom, tilts to +-60 degrees, one noise level for all
(SNR: signal variance of the rings over the box by noise variance per voxel, before the wedge). Junk is noise alone or
the ribosome phantom. The structures are the built-in phantoms, or two atomic models. All starts from the particles
alone: first their common average with D7, made once as `torchsag classify` makes it, then from its poses, with each
method, ten random classes with C7, merging and, for the first method, one alignment to the class averages.

For each SNR and method: the adjusted Rand index of the result and that of every seed before any alignment to class
averages, whether the wedge predicts the class, for the first method k-means on wedge-aware components, and CPU time.
Results are added to the JSON file beside this script. `--work` keeps particles and common averages for another time.
`--show` runs nothing and prints all that is in the JSON file as a table.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import tempfile
import time
from pathlib import Path

import torch

from torchsag.app.main import main as torchsag
from torchsag.io import write_map
from torchsag.particles import DensityMap
from torchsag.runs.provenance import versions
from torchsag.simulation.fast import FastPipeline
from torchsag.simulation.pose_distribution import UniformPoses
from torchsag.simulation.structures import AtomicModel, CappedPhantom, GroelPhantom, RibosomePhantom

BOX, VOXEL_SIZE = 64, 6.0
SHARES = (0.4, 0.4, 0.2)
MASK = ["mask.diameter_angstrom=280", "mask.edge_angstrom=36"]


def structures(atomic: list[str] | None, junk: str) -> list[DensityMap]:
    """Rings, capped rings, junk."""
    chosen = [AtomicModel(path) for path in atomic] if atomic else [GroelPhantom(), CappedPhantom()]
    maps = [one.density(BOX, VOXEL_SIZE) for one in chosen]
    # A signal a millionth as strong is none.
    nothing = DensityMap(1e-6 * maps[0].density, VOXEL_SIZE)
    return [*maps, RibosomePhantom().density(BOX, VOXEL_SIZE) if junk == "ribosome" else nothing]


def simulate(folder: Path, maps: list[DensityMap], count: int, snr: float, seed: int) -> tuple[Path, Path]:
    """A list of particles that says nothing of poses and classes, and one with the classes."""
    (folder / "particles").mkdir(parents=True, exist_ok=True)
    labels = torch.multinomial(torch.tensor(SHARES), count, True, generator=torch.Generator().manual_seed(seed + 17))
    poses = UniformPoses(3.0).draw(seed, range(count))
    noise = float(maps[0].density.var(correction=0)) / snr
    for label, structure in enumerate(maps):
        own_snr = float(structure.density.var(correction=0)) / noise
        pipeline = FastPipeline(own_snr, 60.0).prepare(structure)
        for members in (labels == label).nonzero()[:, 0].split(32):
            batch = pipeline(poses[members], members.tolist(), seed)
            for number, volume in zip(members.tolist(), batch.volumes, strict=True):
                write_map(folder / "particles" / f"{number:06d}.mrc", DensityMap(volume, VOXEL_SIZE))
    blind, truth = folder / "blind.csv", folder / "truth.csv"
    rows = [f"particles/{number:06d}.mrc,-60,60" for number in range(count)]
    blind.write_text("\n".join(["volume,tilt_min_deg,tilt_max_deg", *rows]) + "\n", encoding="utf-8")
    rows = [f"{row},{label + 1}" for row, label in zip(rows, labels.tolist(), strict=True)]
    truth.write_text("\n".join(["volume,tilt_min_deg,tilt_max_deg,class", *rows]) + "\n", encoding="utf-8")
    return blind, truth


def common_average(blind: Path, out: Path, threads: int) -> dict:
    """Poses from the particles alone, and what they cost."""
    cpu = _cpu_seconds()
    words = [f"particles={blind}", f"out={out}", "symmetry=D7", "iterations=8", f"threads={threads}", "device=cpu"]
    _run("average", *words, *MASK)
    summary = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["summary"]
    names = ("iterations", "resolution_0.143_angstrom", "wall_seconds")
    record = {**{name: summary[name] for name in names}, "cpu_seconds": round(_cpu_seconds() - cpu, 1)}
    (out / "cost.json").write_text(json.dumps(record), encoding="utf-8")
    return record


def classify(particles: Path, truth: Path, out: Path, seeds: int, *words: str) -> dict:
    """One run and what it cost."""
    cpu, wall = _cpu_seconds(), time.perf_counter()
    common = [f"particles={particles}", f"truth={truth}", f"out={out}", "symmetry=C7", "common_symmetry=D7"]
    from_poses = ["start=listed_poses", "common_iterations=0", "device=cpu", f"repeats={seeds}"]
    _run("classify", *common, *from_poses, *MASK, *words)
    summary = json.loads((out / "metrics.json").read_text(encoding="utf-8"))["summary"]
    spent = {"cpu_seconds": round(_cpu_seconds() - cpu, 1), "wall_seconds": round(time.perf_counter() - wall, 1)}
    indices = summary["seeds_adjusted_rand_index"]
    return {**summary, **spent, "median_seed_adjusted_rand_index": statistics.median(indices)}


def _run(*words: str) -> None:
    if torchsag(words) != 0:
        raise SystemExit(f"torchsag {' '.join(words)} failed")


def _cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def case(folder: Path, maps: list[DensityMap], options: argparse.Namespace, snr: float) -> dict:
    """All methods on one data set."""
    data, common = folder / "data", folder / "common"
    if not (data / "truth.csv").exists():
        simulate(data, maps, options.count, snr, options.data_seed)
    if not (common / "cost.json").exists():
        common_average(data / "blind.csv", common, options.threads)
    results = {"common average": json.loads((common / "cost.json").read_text(encoding="utf-8"))}
    for method in options.methods:
        first = method == options.methods[0]
        extra = [f"class_alignments={options.class_alignments if first else 0}", *([] if first else ["~wedge_pca"])]
        words = (f"threads={options.threads}", f"method={method}", *extra)
        poses, out = common / "poses.star", folder / method
        results[method] = classify(poses, data / "truth.csv", out, options.seeds, *words)
    return results


def main() -> None:
    """Simulate, classify, add to the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--snr", type=float, nargs="+", default=[0.03, 0.01, 0.003])
    parser.add_argument("--junk", choices=("noise", "ribosome"), default="noise")
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--data-seed", type=int, default=0)
    parser.add_argument("--class-alignments", type=int, default=1, help="for the first method; 0 for the others")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--atomic", nargs=2, help="atomic models of the rings and of the capped rings")
    parser.add_argument("--methods", nargs="+", default=["mco_a", "mco_exmx", "multi_reference"])
    parser.add_argument("--work", type=Path, help="folder for particles and runs, kept; by default a temporary one")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--show", action="store_true")
    options = parser.parse_args()
    if options.show:
        print(table(json.loads(options.out.read_text(encoding="utf-8"))["cases"]))
        return
    maps = structures(options.atomic, options.junk)
    kind = "atomic models" if options.atomic else "phantoms"
    with tempfile.TemporaryDirectory() as temporary:
        for snr in options.snr:
            name = f"{kind}, junk {options.junk}, SNR {snr:g}, data {options.data_seed}"
            folder = (options.work or Path(temporary)) / name.replace(", ", "-").replace(" ", "_")
            results = case(folder, maps, options, snr)
            add_to_record(options, name, results)


def add_to_record(options: argparse.Namespace, name: str, results: dict) -> None:
    """One case more in the JSON file, and a line for each method."""
    record = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"cases": {}}
    settings = {key: getattr(options, key) for key in ("count", "seeds", "data_seed", "class_alignments")}
    earlier = record["cases"].get(name, {"methods": {}})["methods"]
    results = {method: {"settings": settings, **result} for method, result in results.items()}
    record["cases"][name] = {"methods": {**earlier, **results}}
    record["versions"] = versions()
    record["snr_convention"] = FastPipeline().snr_convention + ", of the rings"
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for method in options.methods:
        result = results[method]
        print(
            f"{name}, {method}: adjusted Rand index {result['adjusted_rand_index']:.3f} (seeds "
            f"{', '.join(f'{index:.3f}' for index in result['seeds_adjusted_rand_index'])}), "
            f"{result['cpu_seconds']} CPU seconds, wedge p = {result['wedge_p_value']:.3f}",
            flush=True,
        )


def table(cases: dict) -> str:
    """One line for each case and method: the index of the result, those of all seeds, times, the two checks."""
    head = ("mixture", "method", "result", "median seed", "seeds", "CPU s", "wall s", "wedge p", "k-means")
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    for case, found in cases.items():
        for method, result in found["methods"].items():
            if method == "common average":
                cells = [
                    case,
                    method,
                    "",
                    "",
                    "",
                    f"{result['cpu_seconds']:.0f}",
                    f"{result['wall_seconds']:.0f}",
                    "",
                    "",
                ]
            else:
                components = result.get("principal_components_true_rand")
                cells = [
                    case, method, f"{result['adjusted_rand_index']:.3f}",
                    f"{result['median_seed_adjusted_rand_index']:.3f}",
                    ", ".join(f"{index:.3f}" for index in result["seeds_adjusted_rand_index"]),
                    f"{result['cpu_seconds']:.0f}", f"{result['wall_seconds']:.0f}", f"{result['wedge_p_value']:.3f}",
                    "" if components is None else f"{components:.3f}",
                ]  # fmt: skip
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
