"""Tables 1 and 2 of the paper cell by cell with many particles: success and median error, with confidence intervals.

    python experiments/paper/cells.py [--particles 200] [--again curvature_sag] [--structure FILE.pdb]

The particles, reference (60 angstrom) and methods of ``conf/experiment/table1.yaml`` and ``table2.yaml``, D7, for the
built-in phantom and for a structure from a file. Results are kept in a JSON beside this file after every method and
cell, so that a run that was stopped goes on; `--again` repeats methods. Intervals hold 95 %: Wilson's for the part of
particles within 10 degrees, that of order statistics for the median rotation error.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import time
from datetime import date
from pathlib import Path

import torch
from scipy.stats import binom

from torchsag.alignment.aligner import Aligner, calibrated, calibration_rows
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.evaluation import compare_poses
from torchsag.geometry import Symmetry
from torchsag.io import write_text
from torchsag.runs.provenance import versions
from torchsag.workflows.compare.trials import SimulatedTrials

METHODS = ["curvature_sag", "sag", "sag_basic", "chen_frm", "xu_alber", "xu_alber_gain_ratio", "fast_matching"]
_D7 = Symmetry("D7")


def main() -> None:
    """Every method in every cell that the JSON does not hold yet."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=200)
    parser.add_argument("--structure", help="a PDB or mmCIF file with the axes of D7; its cells beside the phantom's")
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--again", nargs="*", default=[], help="methods to repeat")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    record = json.loads(options.out.read_text(encoding="utf-8")) if options.out.exists() else {"cells": {}}
    cells = {key: row for key, row in record["cells"].items() if row["method"] not in options.again}
    structures = ["phantom", *([options.structure] if options.structure else [])]
    for structure, tilt, snr in itertools.product(structures, (60.0, 40.0), (0.003, 0.01, 0.03)):
        for name in options.methods:
            label = Path(structure).name.split(".")[0]
            key = f"{label}, {tilt:g} deg, SNR {snr:g}, {name}"
            if key not in cells:
                cells[key] = {"structure": label, "tilt_deg": tilt, "snr": snr, "method": name}
                cells[key] |= cell(structure, tilt, snr, name, options.particles)
                print(key, shown(cells[key]), flush=True)
                record = {
                    "what": __doc__.splitlines()[0],
                    "date": date.today().isoformat(),
                    "versions": versions(),
                    "cells": dict(sorted(cells.items())),
                }
                write_text(options.out, json.dumps(record, indent=1) + "\n")


def cell(structure: str, tilt: float, snr: float, name: str, count: int) -> dict:
    """One method on one cell's particles."""
    words = ["out=o", "experiment=table1"]
    if structure != "phantom":
        words += ["structure@trials.structure=atoms", f"trials.structure.path={structure}"]
    settings = compose_command("compare", words)
    made = build(settings["trials"]).structure
    trials = SimulatedTrials(made, snr=snr, n=count, tilt_deg=tilt, reference_angstrom=60.0)
    (trial,) = trials.make(0, torch.device("cpu"))
    method: Aligner = build(settings["methods"][name])
    aligner = method.prepare(trial.reference, _D7)
    torch.manual_seed(0)
    began = time.process_time()
    rows = calibration_rows(aligner, count)
    if rows:
        aligner = calibrated(aligner, trial.particles[rows.start : rows.stop : rows.step])
    found = aligner(trial.particles)
    seconds = time.process_time() - began
    assert trial.truth is not None
    return summary(compare_poses(found.poses, trial.truth, _D7).rotation_deg.tolist(), seconds)


def summary(errors: list[float], seconds: float) -> dict:
    """Success and median of rotation errors (degrees), each with its interval."""
    count, within = len(errors), sum(error < 10 for error in errors)
    z, part = 1.96, within / count
    middle, half = part + z * z / (2 * count), z * math.sqrt(part * (1 - part) / count + (z / (2 * count)) ** 2)
    ordered = sorted(errors)
    low = int(binom.ppf(0.025, count, 0.5))
    return {
        "particles": count,
        "within_10_deg": within,
        "within_10_deg_interval": [round((middle + sign * half) / (1 + z * z / count), 4) for sign in (-1, 1)],
        "median_deg": round(0.5 * (ordered[(count - 1) // 2] + ordered[count // 2]), 3),
        "median_deg_interval": [round(ordered[low - 1], 3), round(ordered[count - low], 3)],
        "cpu_ms_per_particle": round(1e3 * seconds / count, 1),
        "errors_deg": [round(error, 2) for error in errors],
    }


def shown(row: dict) -> str:
    """A line for the terminal."""
    low, high = row["median_deg_interval"]
    return f"{row['within_10_deg']} of {row['particles']}, {row['median_deg']:.2f} ({low:.2f} to {high:.2f}) deg"


if __name__ == "__main__":
    main()
