"""What many processes gain and cost: throughput, overhead of the layer, shared candidates, terms of a cost model.

    python experiments/benchmarks/scaling.py            # some minutes on two cores; writes scaling.json
    python experiments/benchmarks/scaling.py --rounds 9 --only throughput

Every process has one thread. Times are medians over rounds after a warm-up, python's start excluded; in every round the
root works alone while the others wait, then all work, so that other load on the machine meets both. Beside wall time,
which such load stretches, stands the CPU time of the busiest process: the wall time that ranks with a core of their
own would need, waiting apart. Simulated ribosomes, 64^3 voxels of 6 angstrom, SNR 0.1, read from disk.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.alignment.sag import SAGAligner
from torchsag.alignment.shared_candidates import SharedCandidates
from torchsag.averaging import MapSums
from torchsag.geometry import Poses, Symmetry
from torchsag.io import read_map, read_particles, write_map, write_poses, write_text
from torchsag.parallel import Serial, Workers
from torchsag.parallel.detected import detected
from torchsag.particles import DensityMap
from torchsag.runs.chunked_alignment import ChunkAligner, align_in_chunks, to_result
from torchsag.runs.chunked_sums import average_at
from torchsag.runs.metrics import alignment_columns, write_metrics
from torchsag.runs.provenance import versions
from torchsag.runs.signatures import particle_signatures
from torchsag.search.rotational_matching import RotationalMatching
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

_BOX, _VOXEL, _SNR, _CHUNK = 64, 6.0, 0.1, 64
_CPU = torch.device("cpu")
_RESULT = "RESULT "


@dataclass(frozen=True)
class Bench:
    """What every measurement works on."""

    folder: Path
    workers: Workers
    rounds: int

    def aligner(self) -> ChunkAligner:
        """The default method on all particles."""
        particles = read_particles(str(self.folder / "p*.mrc"), tilt_min_deg=-60.0, tilt_max_deg=60.0)
        reference = read_map(self.folder / "reference.mrc")
        prepared = CurvatureSAGAligner().prepare(reference, Symmetry("C1"))
        return ChunkAligner(particles, prepared, _CPU, 0, False)

    def timed(self, work: Callable[[Workers], None]) -> dict[str, list[float]]:
        """Each round the root alone, while the others wait, then all together; seconds, on the root."""
        work(self.workers)
        rows: dict[str, list[float]] = {
            "alone_wall_s": [],
            "alone_cpu_s": [],
            "wall_s": [],
            "cpu_s": [],
            "all_cpu_s": [],
        }
        for _ in range(self.rounds):
            self.workers.broadcast(None)
            wall, cpu = time.perf_counter(), time.process_time()
            if self.workers.is_root:
                work(Serial())
            rows["alone_cpu_s"].append(time.process_time() - cpu)
            self.workers.broadcast(None)
            rows["alone_wall_s"].append(time.perf_counter() - wall)
            wall, cpu = time.perf_counter(), time.process_time()
            work(self.workers)
            spent = torch.zeros(self.workers.size, dtype=torch.float64)
            spent[self.workers.rank] = time.process_time() - cpu
            self.workers.broadcast(None)
            rows["wall_s"].append(time.perf_counter() - wall)
            spent = self.workers.sum_to_root(spent)
            rows["cpu_s"].append(float(spent.max()))
            rows["all_cpu_s"].append(float(spent.sum()))
        return rows


def throughput(bench: Bench) -> dict:
    """Align and average the whole set, as `torchsag align` does."""
    aligner = bench.aligner()
    count = len(aligner.particles)

    def align(workers: Workers) -> None:
        columns = align_in_chunks(aligner, _CHUNK, workers, None, [])
        poses = to_result(columns, np.arange(count)).poses if workers.is_root else Poses.identity(0)
        average_at(aligner.particles, workers.broadcast(poses), Symmetry("C1"), _CPU, _CHUNK, workers)

    return {"particles": count, **bench.timed(align)}


def overhead(bench: Bench) -> dict:
    """The layer on one rank against a bare loop over the same chunks, by turns; and the layer with nothing to do."""
    aligner = bench.aligner()
    count = len(aligner.particles)
    chunks = [range(start, min(start + _CHUNK, count)) for start in range(0, count, _CHUNK)]
    bare, layered = [], []
    for turn in range(2 * bench.rounds + 2):
        spent = time.process_time()
        if turn % 2:
            align_in_chunks(aligner, _CHUNK, bench.workers, None, [])
        else:
            for rows in chunks:
                aligner(rows)
        if turn > 1:
            (layered if turn % 2 else bare).append(time.process_time() - spent)
    return {"particles": count, "chunks": len(chunks), "bare_cpu_s": bare, "layer_cpu_s": layered, **_empty(bench)}


def empty(bench: Bench) -> dict:
    """Chunks in which there is nothing to do, on several ranks."""
    return _empty(bench)


def _empty(bench: Bench, tasks: int = 1000) -> dict:
    spent = []
    for _ in range(bench.rounds + 1):
        began = time.process_time()
        for _ in bench.workers.map_chunks(len, [range(0)] * tasks):
            pass
        spent.append((time.process_time() - began) / tasks)
    return {"empty_chunk_cpu_s": spent[1:]}


def candidates(bench: Bench) -> dict:
    """One particle with 64 candidates, by the paper's Algorithms 2 and 3."""
    matching = RotationalMatching(degree=14, num_candidates=64, separation_deg=12.0)
    reference = read_map(bench.folder / "reference.mrc")
    method = SAGAligner(search=matching, max_candidates=64).prepare(reference, Symmetry("C1"))
    particle = bench.aligner().particles.load(range(1))

    def align(workers: Workers) -> None:
        shared = SharedCandidates(method, workers, _CPU)
        if not workers.is_root:
            shared.serve()
        elif workers.size == 1:
            method(particle)
        else:
            shared(particle)
            shared.dismiss()

    return {"candidates": 64, **bench.timed(align)}


def reduction(bench: Bench) -> dict:
    """Join the sums of two half-maps."""
    sums = MapSums.empty((_BOX, _BOX, _BOX), _VOXEL, groups=2)
    size = sum(t.numel() * t.element_size() for t in (sums.numerator, sums.denominator, sums.counts))
    return {"bytes": size, **bench.timed(lambda workers: sums.reduce(workers.sum_to_root) and None)}


def lists(bench: Bench, rows: int = 20000) -> dict:
    """What each process, or the root alone, does once per particle besides computing; seconds per particle."""
    many = bench.folder / "many"
    many.mkdir(exist_ok=True)
    files = sorted(bench.folder.glob("p*.mrc"))
    for number in range(rows):
        os.link(files[number % len(files)], many / f"m{number:06d}.mrc")
    lines = [f"many/m{number:06d}.mrc,-60,60" for number in range(rows)]
    write_text(bench.folder / "many.csv", "\n".join(["volume,tilt_min_deg,tilt_max_deg", *lines]) + "\n")
    seconds = {}

    def clock(name: str, work: Callable):
        began = time.process_time()
        result = work()
        seconds[name] = (time.process_time() - began) / rows
        return result

    particles = clock("read_list", lambda: read_particles(str(bench.folder / "many.csv")))
    clock("signatures", lambda: particle_signatures(particles))
    aligner = bench.aligner()
    one = aligner(range(_CHUNK))
    columns = {name: np.resize(column, (rows, *column.shape[1:])) for name, column in one.items()}
    result = to_result(columns, np.arange(rows))
    table = clock("table", lambda: alignment_columns(particles, columns, None))
    clock("write_metrics", lambda: write_metrics(bench.folder / "metrics.json", {"particles": table}))
    clock(
        "write_poses",
        lambda: write_poses(
            bench.folder / "poses.star", particles, result.poses, scores=result.scores, covariances=result.covariances
        ),
    )
    shutil.rmtree(many)
    return {
        "rows": rows,
        "cpu_s_per_particle": seconds,
        "result_bytes_per_particle": len(pickle.dumps(one, protocol=pickle.HIGHEST_PROTOCOL)) / _CHUNK,
        "volume_bytes": files[0].stat().st_size,
    }


_MEASUREMENTS = {f.__name__: f for f in (throughput, candidates, overhead, empty, reduction, lists)}
# Which launches each needs: kind and ranks.
_LAUNCHES = {
    "throughput": (("mpi", 2), ("torch", 2)),
    "candidates": (("mpi", 2), ("torch", 2)),
    "overhead": (("serial", 1), ("mpi", 1), ("torch", 1)),
    "empty": (("mpi", 2), ("torch", 2)),
    "reduction": (("mpi", 2), ("torch", 2)),
    "lists": (("serial", 1),),
}


def main() -> None:
    """Simulate, launch every measurement, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="+", choices=list(_MEASUREMENTS), default=list(_MEASUREMENTS))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("--worker", nargs=2, metavar=("MEASUREMENT", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.worker:
        _work(options.worker[0], Path(options.worker[1]), options.rounds)
        return
    record = json.loads(options.out.read_text()) if options.out.exists() else {}
    with tempfile.TemporaryDirectory() as folder:
        _simulate(Path(folder), options.particles)
        for name in options.only:
            done = {f"{kind} {ranks}": _launch(name, kind, ranks, folder, options) for kind, ranks in _LAUNCHES[name]}
            record[name] = {"summary": _summary(done), "launches": done}
            print(name, json.dumps(record[name]["summary"]), flush=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True).stdout.strip()
    record |= {"what": __doc__.splitlines()[0], "date": date.today().isoformat(), "commit": commit}
    record |= {"versions": versions(), "cores": os.cpu_count(), "rounds": options.rounds}
    write_text(options.out, json.dumps(record, indent=1) + "\n")


def _simulate(folder: Path, count: int) -> None:
    reference = density_of(ribosome_phantom(), _BOX, _VOXEL, 12.0)
    write_map(folder / "reference.mrc", reference)
    for start in range(0, count, 50):
        number = min(50, count - start)
        batch, _ = simulate_particles(reference, number, _SNR, -60.0, 60.0, 3.0, seed=1, start=start)
        for k, volume in enumerate(batch.volumes):
            write_map(folder / f"p{start + k:05d}.mrc", DensityMap(volume, _VOXEL))


def _launch(name: str, kind: str, ranks: int, folder: str, options: argparse.Namespace) -> dict:
    program = [__file__, "--worker", name, folder, "--rounds", str(options.rounds)]
    launcher = {
        "serial": [sys.executable],
        "mpi": [shutil.which("mpiexec") or "mpiexec", "-n", str(ranks), sys.executable],
        "torch": [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(ranks)],
    }[kind]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    load = os.getloadavg()[0]
    done = subprocess.run([*launcher, *program], capture_output=True, text=True, env=environment)
    found = [line[len(_RESULT) :] for line in done.stdout.splitlines() if line.startswith(_RESULT)]
    if done.returncode or not found:
        raise SystemExit(f"{name} on {ranks} x {kind} failed:\n{done.stdout}\n{done.stderr}")
    return {**json.loads(found[0]), "load_before": load}


def _work(name: str, folder: Path, rounds: int) -> None:
    workers = detected()
    with workers.together():
        result = _MEASUREMENTS[name](Bench(folder, workers, rounds))
        if workers.is_root:
            print(_RESULT + json.dumps(result), flush=True)


def _summary(done: dict[str, dict]) -> dict:
    """Medians over rounds; ratios are taken round by round."""
    summary = {}
    for launch, result in done.items():
        row = {key: statistics.median(values) for key, values in result.items() if isinstance(values, list)}
        if "alone_wall_s" in result:
            row["speedup_wall"] = _ratio(result["alone_wall_s"], result["wall_s"])
            row["speedup_cpu"] = _ratio(result["alone_cpu_s"], result["cpu_s"])
        if "bare_cpu_s" in result:
            row["overhead_by_turns"] = _ratio(result["layer_cpu_s"], result["bare_cpu_s"]) - 1
            row["overhead_empty"] = row["empty_chunk_cpu_s"] * result["chunks"] / row["bare_cpu_s"]
        summary[launch] = {key: float(f"{value:.4g}") for key, value in row.items()}
    return summary


def _ratio(above: list[float], below: list[float]) -> float:
    return statistics.median(a / b for a, b in zip(above, below, strict=True))


if __name__ == "__main__":
    main()
