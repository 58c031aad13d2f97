"""Fourier shell correlation of reference-free averages, beside true poses and the true structure (Lü et al., Fig. 7).

    python experiments/paper/figure7.py [--structures phantom 1oel.pdb] [--counts 20 50] [--symmetries C1 D7]
        [--methods curvature_sag sag xu_alber chen_frm]

Prints the table of all runs, with the paper's figures, and keeps it beside the figure as ``figure7.md``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from averaging_runs import frequencies, options, results, table

_SHOWN = (("corrected", "-", "half-maps"), ("oracle", ":", "half-maps at true poses"), ("truth", "--", "truth"))


def main() -> None:
    """Run what is missing and draw."""
    parser = options(__doc__ or "")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    chosen = parser.parse_args()
    found = results(chosen)
    figure, axes = plt.subplots(1, len(found), figsize=(4.2 * len(found), 3.6), squeeze=False, sharey=True)
    for axis, (name, result) in zip(axes[0], found.items(), strict=True):
        for curve, style, label in _SHOWN:
            axis.plot(frequencies(result["fsc"]), result["fsc"][curve], style, label=label)
        for threshold in (0.143, 0.5):
            axis.axhline(threshold, color="grey", linewidth=0.6)
        axis.set(title=name, xlabel="spatial frequency (1/angstrom)", ylim=(-0.1, 1.02))
    axes[0][0].set_ylabel("FSC")
    axes[0][0].legend(fontsize=7)
    figure.savefig(chosen.out, dpi=120, bbox_inches="tight")
    chosen.out.with_suffix(".md").write_text(table(found) + "\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
