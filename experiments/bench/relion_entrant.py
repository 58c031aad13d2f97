"""RELION 3.1.3 on the alignment tasks: expectation steps against the given reference, everywhere and then near by.

    apt-get install relion
    python experiments/bench/relion_entrant.py DIR/tasks OUT --first 50

Auto-refine makes references of its own out of the particles; what is asked here is poses against a fixed one, so single
iterations of ``relion_refine`` are used, each with the given reference: first all orientations 15 degrees apart, 7.5
after adaptive oversampling, then local searches at 1.8 and at 0.9 degrees, half of that after oversampling. Shifts of
up to 3 voxels. The reference is limited to the resolution it has. ``--firstiter_cc`` is on: without it, by likelihood,
15 of the first 20 particles of align_normal were found, with it all 20 (before the last step was added), although the
reference is on the particles' absolute scale. No other setting was tried out on the tasks.
"""

from __future__ import annotations

import resource
import shutil
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from entrant import Problem, run
from scipy.spatial.transform import Rotation

COMMON = [
    *("--ref", "reference.mrc", "--iter", "1", "--K", "1", "--firstiter_cc", "--ctf", "--flatten_solvent"),
    *("--zero_mask", "--oversampling", "1", "--norm", "--scale", "--dont_check_norm", "--pool", "3", "--pad", "2"),
    *("--j", "1", "--offset", "15"),
]
EVERYWHERE = ["--healpix_order", "2", "--offset_range", "3", "--offset_step", "2"]
NEARBY = ["--healpix_order", "4", "--sigma_ang", "3", "--offset_range", "2", "--offset_step", "1"]
NEARER = ["--healpix_order", "5", "--sigma_ang", "1.5", "--offset_range", "1", "--offset_step", "0.5"]
RESOLUTION = {"align_easy": 20, "align_normal": 30, "align_hard": 40}


def align(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """All steps; reading RELION's list back into the poses that `entrant.write_star` writes."""
    told = problem.told
    more = ["--particle_diameter", f"{0.9 * told['box'] * told['voxel_size_angstrom']:.0f}", "--sym", told["symmetry"]]
    more += ["--ini_high", str(RESOLUTION[told["task"]])]
    with tempfile.TemporaryDirectory() as scratch:
        start = Path(scratch) / "start.star"
        head, body = (problem.folder / "particles.star").read_text().split("data_particles")
        rows = [line for line in body.splitlines() if line.strip()]
        fields = [line for line in rows if not line.startswith("particles/")]
        kept = [line for line in rows if line.split()[0] in set(problem.names)]
        optics = head[head.index("data_optics") :]
        start.write_text("\n".join([optics, "data_particles", "", *fields, *kept, ""]))
        for name, sampling in (("all", EVERYWHERE), ("near", NEARBY), ("nearer", NEARER)):
            words = ["relion_refine", "--i", str(start), "--o", f"{scratch}/{name}", *COMMON, *sampling, *more]
            with open(f"{scratch}/log", "w") as log:
                subprocess.run(words, cwd=problem.folder, check=True, stdout=log, stderr=log)
            start = Path(scratch) / f"{name}_it001_data.star"
        return poses(start, problem)


def poses(path: Path, problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """From RELION's list."""
    body = path.read_text().split("data_particles")[1].splitlines()
    columns = [line.split()[0] for line in body if line.startswith("_")]
    rows = [dict(zip(columns, line.split(), strict=True)) for line in body if "particles/" in line]
    found = {row["_rlnImageName"]: row for row in rows}
    table = np.array([
        [float(found[name][f"_rln{key}"]) for key in (
            "AngleRot", "AngleTilt", "AnglePsi", "OriginXAngst", "OriginYAngst", "OriginZAngst")]
        for name in problem.names
    ])  # fmt: skip
    turns = Rotation.from_euler("ZYZ", table[:, :3], degrees=True).as_matrix().transpose(0, 2, 1)
    return turns, -table[:, 3:] / problem.told["voxel_size_angstrom"]


def spent() -> float:
    """CPU seconds of programs that were run."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    if shutil.which("relion_refine") is None:
        raise SystemExit("relion_refine is not installed")
    run(align, __doc__ or "", spent)
