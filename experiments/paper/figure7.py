"""Fourier shell correlation of reference-free averages, beside true poses and the true structure (Lü et al., Fig. 7).

    python experiments/paper/figure7.py [--structures phantom 1oel.pdb] [--counts 20 50] [--symmetries C1 D7]
        [--methods curvature_sag sag xu_alber chen_frm]

Prints the table of these runs, with the paper's figures; ``tables.py`` writes that of all runs into ``averaging.md``.
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from averaging_runs import frequencies, options, results, table

_COLUMNS = 4
_SHOWN = (("corrected", "-", "half-maps"), ("oracle", ":", "half-maps at true poses"), ("truth", "--", "truth"))


def main() -> None:
    """Run what is missing and draw."""
    parser = options(__doc__ or "")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    chosen = parser.parse_args()
    found = results(chosen)
    rows, columns = -(-len(found) // _COLUMNS), min(len(found), _COLUMNS)
    figure, axes = plt.subplots(
        rows,
        columns,
        figsize=(4.2 * columns, 3.4 * rows),
        squeeze=False,
        sharey=True,
        sharex=True,
        layout="constrained",
    )
    for axis in axes.flat[len(found) :]:
        axis.set_axis_off()
    for axis, (name, result) in zip(axes.flat, found.items(), strict=False):
        for curve, style, label in _SHOWN:
            axis.plot(frequencies(result["fsc"]), result["fsc"][curve], style, label=label)
        for threshold in (0.143, 0.5):
            axis.axhline(threshold, color="grey", linewidth=0.6)
        axis.set(ylim=(-0.1, 1.02))
        axis.set_title(name, fontsize=9)
    figure.supxlabel("spatial frequency (1/angstrom)")
    figure.supylabel("FSC")
    axes[0][0].legend(fontsize=7)
    figure.savefig(chosen.out, dpi=120, bbox_inches="tight")
    print(table(found))


if __name__ == "__main__":
    main()
