"""Slices of reference-free averages as they grow, iteration by iteration (Lü et al., Fig. 9).

python experiments/paper/figure9.py [the same choices as figure7.py]
"""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from averaging_runs import SHOWN, options, results, slices_of

_COLUMNS = SHOWN + 1


def main() -> None:
    """Run what is missing and draw."""
    parser = options(__doc__ or "")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".png"))
    chosen = parser.parse_args()
    found = results(chosen)
    figure, axes = plt.subplots(2 * len(found), _COLUMNS, figsize=(1.7 * _COLUMNS, 3.8 * len(found)), squeeze=False)
    for number, name in enumerate(found):
        slices = slices_of(name, chosen)
        shown = list(slices)
        for column in range(_COLUMNS):
            for across in (0, 1):
                axis = axes[2 * number + across][column]
                axis.set_axis_off()
                if column < len(shown):
                    axis.imshow(slices[shown[column]][across], cmap="gray", origin="lower")
                    axis.set_title(shown[column] if across == 0 else "", fontsize=8)
        first = axes[2 * number][0]
        first.text(0, 1.22, name, fontsize=9, fontweight="bold", transform=first.transAxes)
    figure.savefig(chosen.out, dpi=110, bbox_inches="tight")


if __name__ == "__main__":
    main()
