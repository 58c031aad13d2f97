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
    found = results(chosen)
    groups: dict[str, dict[str, dict]] = {}
    for name, result in found.items():
        structure, count, symmetry, method = name.split("-", 3)
        groups.setdefault(f"{structure}, {symmetry}", {})[f"{count}, {method}"] = result
    figure, axes = plt.subplots(
        2, len(groups), figsize=(3.6 * len(groups), 6), squeeze=False, sharex=True, sharey="row", layout="constrained"
    )
    for (upper, lower), (title, runs) in zip(axes.T, groups.items(), strict=True):
        for number, (name, result) in enumerate(runs.items()):
            rows, colour = result["iterations"], f"C{number}"
            place = [row["iteration"] for row in rows]
            reached = [row["resolution_0.143_angstrom"] or float("nan") for row in rows]
            upper.plot(place, reached, "o-", color=colour, label=name, markersize=4)
            upper.axhline(result["summary"]["oracle_resolution_0.143_angstrom"], color=colour, linestyle=":")
            errors = [row["median_rotation_error_deg"] for row in rows]
            lower.semilogy(place, errors, "o-", color=colour, markersize=4)
        for method, (angstrom, iterations) in PAPER.items():
            upper.plot([iterations], [angstrom], "k*")
            upper.annotate(f"paper, {method}", (iterations, angstrom), fontsize=6, ha="right", va="bottom")
        upper.set_title(title, fontsize=9)
        upper.legend(fontsize=7)
        lower.set_xlabel("iteration")
    axes[0][0].set_ylabel("FSC 0.143 (angstrom); dotted: true poses")
    axes[1][0].set_ylabel("median rotation error (deg)")
    figure.savefig(chosen.out, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
