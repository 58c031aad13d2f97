"""Resolution and pose error by iteration of reference-free averages, beside the oracle's (Lü et al., Fig. 8).

python experiments/paper/figure8.py [the same choices as figure7.py]
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from averaging_runs import PAPER, options, results


def main() -> None:
    """Run what is missing and draw."""
    parser = options(__doc__ or "")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    chosen = parser.parse_args()
    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4))
    for number, (name, result) in enumerate(results(chosen).items()):
        rows, colour = result["iterations"], f"C{number}"
        place = [row["iteration"] for row in rows]
        reached = [row["resolution_0.143_angstrom"] or float("nan") for row in rows]
        left.plot(place, reached, "o-", color=colour, label=name)
        left.axhline(result["summary"]["oracle_resolution_0.143_angstrom"], color=colour, linestyle=":")
        right.semilogy(place, [row["median_rotation_error_deg"] for row in rows], "o-", color=colour, label=name)
    for method, (angstrom, iterations) in PAPER.items():
        left.plot([iterations], [angstrom], "k*")
        left.annotate(f"paper, {method}", (iterations, angstrom), fontsize=7, ha="right", va="bottom")
    left.set(xlabel="iteration", ylabel="FSC 0.143 (angstrom); dotted: true poses")
    right.set(xlabel="iteration", ylabel="median rotation error (deg)")
    left.legend(fontsize=7)
    figure.savefig(chosen.out, dpi=120, bbox_inches="tight")


if __name__ == "__main__":
    main()
