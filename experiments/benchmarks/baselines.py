"""Are the baselines as good as their authors meant them? Medians beside the original programs', and Algorithm 1 to 2.

    python experiments/benchmarks/baselines.py [--particles 20] [hydra/launcher=processes]

An asymmetric phantom at 12 angstrom, 64^3 voxels of 6 angstrom, +-60 degrees, exact reference, no prior pose. What the
original programs reach there was measured with their own code (Chen et al.: PyTom's C code at a fixed bandwidth of 32;
Xu & Alber, Xu, Beck & Alber: AITom); no baseline may be much worse than that. The result is a JSON file beside this
one.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from datetime import date
from pathlib import Path

from torchsag.app.main import main as torchsag
from torchsag.evaluation.comparison_tables import Tables
from torchsag.io import write_text
from torchsag.runs.provenance import versions

# Median rotation error of the original (degrees), and what ours may not exceed, by method and SNR.
ORIGINALS = {
    ("chen_frm", 0.1): (0.7, 0.8),
    ("chen_frm", 0.01): (1.45, 1.6),
    ("xu_alber", 0.1): (0.57, 0.7),
    ("xu_alber", 0.01): (1.15, None),
    ("fast_matching", 0.1): (2.0, 2.5),
    ("fast_matching", 0.01): (None, None),
}


METHODS = ("chen_frm", "xu_alber", "xu_alber_gain_ratio", "fast_matching", "sag", "sag_basic")


def main() -> None:
    """Run, print a line for each method and SNR, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--particles", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    parser.add_argument("words", nargs="*", help="more for torchsag, such as hydra/launcher=processes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        words = [
            f"out={folder}", f"method={','.join(METHODS)}", "snr=0.1,0.01", f"n={options.particles}",
            f"seed={options.seed}", "threads=1", "device=cpu", "structure=ribosome",
            "trials.structure.kernel.resolution_angstrom=12", "~report", *options.words,
        ]  # fmt: skip
        if torchsag(["compare", "-m", *words]) != 0:
            raise SystemExit("torchsag compare failed")
        summary = Tables.read(Path(folder)).summary
    rows = []
    for row in summary:
        original, most = ORIGINALS.get((row["method"], row["snr"]), (None, None))
        met = None if most is None else row["median_rotation_error_deg"] <= most
        rows.append({**row, "original_median_deg": original, "largest_allowed_deg": most, "met": met})
        print(
            f"{row['method']:>20} snr {row['snr']:<5g} median {row['median_rotation_error_deg']:.2f} deg"
            f" {row['median_shift_error_angstrom']:.2f} angstrom, original {original}, at most {most}: {met}"
        )
    cpu = {(row["method"], row["snr"]): row["cpu_seconds"] for row in summary}
    ratios = {str(snr): cpu["sag_basic", snr] / cpu["sag", snr] for snr in (0.1, 0.01)}
    print(f"CPU time of Algorithm 1 over that of Algorithm 2, by SNR: {ratios}")
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    record = {
        "what": __doc__.splitlines()[0],
        "date": date.today().isoformat(),
        "commit": commit.stdout.strip(),
        "versions": versions(),
        "particles": options.particles,
        "rows": rows,
        "cpu_time_of_algorithm_1_over_algorithm_2": ratios,
    }
    write_text(options.out, json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
