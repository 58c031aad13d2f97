"""Check of how well a resolution is known: a curve of few independent numbers crosses where chance will."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC
from torchsag.fourier.shells import first_below
from torchsag.verdict.finding import Finding

_THRESHOLD = 0.143
# Curves of fewer coefficients than the first shells have fall below any threshold by chance.
_FIRST_SHELL = 3
_FOLLOWING = 2


def independent_pairs(
    fsc: HalfMapFSC, mask: Float[Tensor, "z y x"] | None = None, symmetry_order: int = 1
) -> Float[Tensor, " shells"]:
    """Independent pairs of coefficients that each shell of a curve rests on: half of the shell, less by the mask.

    A mask correlates neighbouring coefficients, and imposed symmetry repeats each as often as it has rotations.
    """
    part = 1.0
    if mask is not None:
        part = float(mask.double().sum()) ** 2 / float(mask.double().square().sum()) / mask.numel()
    return 2 * math.pi * torch.arange(len(fsc.corrected)).square() * part / symmetry_order


def crossing_range(fsc: HalfMapFSC, independent: Float[Tensor, " shells"], deviations: float) -> tuple[float, float]:
    """Between which resolutions (angstrom, coarse and fine) chance may move the crossing of FSC 0.143.

    The inverse hyperbolic tangent of a correlation of n complex pairs, whose mean is known, has the standard deviation
    ``1 / sqrt(2 n - 2)`` (after Fisher 1921, Metron 1:3).
    """
    shells, reach = fsc.corrected.double().clamp(-0.999, 0.999).atanh(), max(fsc.box) * fsc.voxel_size
    pairs = (2 * independent.double() - 2).clamp_min(1.0)
    # Curves fall: one that is surely above its threshold on a shell was so on those before it. The first shells, of few
    # coefficients, fewer still by symmetry, could not be sure by themselves.
    coarse = _best_following(shells - deviations * pairs.rsqrt()).tanh()
    # Where it has fallen it stays: a shell and those that follow it are judged together.
    pooled, beyond = _with_following(pairs), _with_following(pairs * shells)
    fine = (beyond / pooled + deviations * pooled.rsqrt()).tanh()
    return reach / _crossing(coarse), reach / _crossing(fine)


def _with_following(values: Float[Tensor, " shells"]) -> Float[Tensor, " shells"]:
    """Sums over each shell and the `_FOLLOWING` after it, as far as there are any."""
    padded = torch.cat([values, values.new_zeros(_FOLLOWING)])
    return padded.unfold(0, _FOLLOWING + 1, 1).sum(-1)


def _best_following(values: Float[Tensor, " shells"]) -> Float[Tensor, " shells"]:
    """The largest over each shell and the `_FOLLOWING` after it, as far as there are any."""
    padded = torch.cat([values, values.new_full((_FOLLOWING,), -math.inf)])
    return padded.unfold(0, _FOLLOWING + 1, 1).amax(-1)


def _crossing(curve: Float[Tensor, " shells"]) -> int:
    return min(_FIRST_SHELL - 1 + first_below(curve[_FIRST_SHELL - 1 :], _THRESHOLD), len(curve) - 1)


@dataclass(frozen=True)
class FewParticles:
    """A resolution that chance could have made quite another.

    Attributes
    ----------
    deviations
        Half-width of the range of crossings, in standard deviations of the curve.
    most_ratio
        Of the range's ends.
    """

    deviations: float = 3.0
    most_ratio: float = 1.35
    code: str = "few_particles"

    def __call__(
        self, fsc: HalfMapFSC, mask: Float[Tensor, "z y x"], symmetry_order: int, particles: int
    ) -> Finding | None:
        """Judge the final curve, under its mask."""
        claimed = fsc.resolution()
        if not math.isfinite(claimed):
            return None
        coarse, fine = crossing_range(fsc, independent_pairs(fsc, mask, symmetry_order), self.deviations)
        if coarse <= self.most_ratio * fine:
            return None
        half = fsc.resolution(0.5)
        at_half = f"{half:.0f} angstrom" if math.isfinite(half) else "nowhere"
        text = (
            f"{particles} particles are few: FSC 0.143 is crossed at {claimed:.0f} angstrom, but by chance alone it "
            f"could be anywhere from {coarse:.0f} to {fine:.0f}; details finer than where FSC 0.5 is crossed "
            f"({at_half}) are not to be trusted"
        )
        evidence = {
            "resolution_0.143_angstrom": claimed,
            "resolution_0.143_range_angstrom": [coarse, fine],
            "resolution_0.5_angstrom": half,
            "particles": particles,
        }
        return Finding(self.code, "doubt", text, evidence)
