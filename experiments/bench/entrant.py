"""What the peers' scripts share: a task's files in, a star file out; numpy, scipy and mrcfile, nothing of torchsag.

Volumes are (z, y, x) arrays. A pose is R and t in (x, y, z): ``particle(x) = reference(R^T (x - c - t) + c)`` with
``c = n // 2``. The star file has RELION's angles, whose matrix is the inverse of R as an intrinsic ZYZ rotation, and
origins of ``-t`` in angstrom.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np
from scipy.spatial.transform import Rotation

FLIP = np.eye(3)[::-1]


@dataclass(frozen=True)
class Problem:
    """A task as an entrant gets it."""

    folder: Path
    told: dict
    names: list[str]

    @staticmethod
    def read(folder: Path, first: int | None) -> Problem:
        """The first so many particles."""
        lines = (folder / "particles.star").read_text().split("data_particles")[1].splitlines()
        names = [line.split()[0] for line in lines if line.startswith("particles/")]
        return Problem(folder, json.loads((folder / "task.json").read_text()), names[:first])

    def volume(self, name: str) -> np.ndarray:
        """A volume of the task."""
        with mrcfile.open(self.folder / name) as file:
            return np.array(file.data, np.float32)

    @property
    def tilts(self) -> tuple[float, float]:
        """Degrees."""
        return self.told["tilt_min_deg"], self.told["tilt_max_deg"]


def write_star(path: Path, problem: Problem, rotations: np.ndarray, shifts: np.ndarray) -> None:
    """Poses in the convention of the module, shifts in voxels."""
    voxel = problem.told["voxel_size_angstrom"]
    angles = Rotation.from_matrix(rotations.transpose(0, 2, 1)).as_euler("ZYZ", degrees=True)
    columns = ("ImageName", "AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst", "OriginZAngst")
    head = ["data_optics", "", "loop_", "_rlnOpticsGroup", "_rlnImagePixelSize", f"1 {voxel}", "", "data_particles", ""]
    head += ["loop_", *(f"_rln{name}" for name in columns), "_rlnOpticsGroup"]
    rows = np.concatenate([angles, -voxel * shifts], 1)
    body = [f"{n} {' '.join(f'{v:.5f}' for v in row)} 1" for n, row in zip(problem.names, rows, strict=True)]
    path.write_text("\n".join([*head, *body, ""]))


def soft_sphere(box: int, radius: float, centre: float, edge: float = 2.0) -> np.ndarray:
    """A mask."""
    axis = np.arange(box) - centre
    r = np.sqrt(axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2)
    return np.clip((radius - r) / edge + 0.5, 0, 1).astype(np.float32)


def everywhere(count: int) -> Rotation:
    """Rotations spread evenly (Alexa 2022, super-Fibonacci spirals)."""
    s = np.arange(count) + 0.5
    r, big_r = np.sqrt(s / count), np.sqrt(1 - s / count)
    alpha, beta = 2 * np.pi * s / np.sqrt(2), 2 * np.pi * s / 1.533751168755204288118041
    return Rotation.from_quat(
        np.stack([r * np.sin(alpha), r * np.cos(alpha), big_r * np.sin(beta), big_r * np.cos(beta)], 1)
    )


def nearby(reach_deg: float, step_deg: float) -> Rotation:
    """Rotation vectors on a cubic grid within a ball."""
    n = int(reach_deg / step_deg)
    axis = np.arange(-n, n + 1) * step_deg
    grid = np.stack(np.meshgrid(axis, axis, axis, indexing="ij"), -1).reshape(-1, 3)
    return Rotation.from_rotvec(grid[np.linalg.norm(grid, axis=1) <= reach_deg + 1e-9], degrees=True)


def run(
    solve: Callable[[Problem], tuple[np.ndarray, np.ndarray]],
    described: str,
    clock: Callable[[], float] = time.process_time,
) -> None:
    """A command line: solve tasks and write a list and the CPU time of each."""
    parser = argparse.ArgumentParser(description=described)
    parser.add_argument("tasks", type=Path, help="the folder tasks that torchsag bench out=DIR wrote in DIR")
    parser.add_argument("out", type=Path)
    parser.add_argument("--task", nargs="+", default=["align_easy", "align_normal", "align_hard"])
    parser.add_argument("--first", type=int, help="only so many particles of each task")
    words = parser.parse_args()
    words.out.mkdir(parents=True, exist_ok=True)
    for task in words.task:
        path = words.out / f"{task}.star"
        if path.with_suffix(".json").exists():
            continue  # carry on where an earlier run was ended
        problem = Problem.read(words.tasks / task, words.first)
        start = clock()
        rotations, shifts = solve(problem)
        write_star(path, problem, rotations, shifts)
        seconds = clock() - start
        path.with_suffix(".json").write_text(json.dumps({"cpu_seconds": round(seconds, 2)}) + "\n")
        print(task, len(problem.names), "particles", f"{seconds:.0f} CPU seconds", flush=True)
