"""The map that a run began from stays in its references as far as it knows more than the average of the particles.

A few particles average to less, on the coarse shells, than the map they were first aligned to: aligned to their own
average alone they drift away from poses that were better. Both maps are noisy pictures of one truth, and on each
Fourier shell the least-squares estimate of that truth is a weighted sum of the two. The weights follow from what is
seen: how far the half-maps agree (F, the noise of the average), and how far they agree with the map (c). With many
particles, F near 1, nothing of the map is left; of a map that has nothing in common with them, c = 0, neither.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.averaging.filtering import weigh_shells
from torchsag.fourier import fourier_shell_correlation, shell_sums, to_half_spectrum
from torchsag.fourier.shells import first_below
from torchsag.particles import DensityMap

_LEAST_FSC = 0.143


@dataclass(frozen=True)
class StartingMap:
    """The map, and how much of each shell the first references had.

    Attributes
    ----------
    volume
        Unfiltered.
    passed
        Part of each shell that was let through, 0 to 1; beyond, the map is never looked at, so that the halves share
        nothing of it there.
    """

    volume: DensityMap
    passed: Float[Tensor, " shells"]

    def blend(
        self, averages: Sequence[DensityMap], mask: Float[Tensor, "z y x"], fsc: Float[Tensor, " shells"]
    ) -> tuple[Float[Tensor, " shells"], DensityMap]:
        """By what to multiply each shell of an average, and what to add to it then.

        Parameters
        ----------
        averages
            Half-maps in the map's frame, unfiltered.
        mask
            Where the particle is in them.
        fsc
            Their corrected FSC.
        """
        box = self.volume.box
        given = to_half_spectrum(self.volume.density.double() * mask)
        made = [to_half_spectrum(average.density.double() * mask) for average in averages]
        agreement = torch.stack([fourier_shell_correlation(one, given, box) for one in made]).mean(0)
        power = torch.stack([shell_sums(one.abs().square(), box) for one in made]).mean(0)
        scale = (power / shell_sums(given.abs().square(), box).clamp_min(1e-30)).sqrt()[: len(fsc)]
        of_average, of_map = blend_weights(fsc, agreement.to(fsc), self.passed.to(fsc))
        return of_average, weigh_shells(self.volume, of_map * scale.to(fsc))


def blend_weights(
    fsc: Float[Tensor, " shells"], agreement: Float[Tensor, " shells"], passed: Float[Tensor, " shells"]
) -> tuple[Float[Tensor, " shells"], Float[Tensor, " shells"]]:
    """Weights of an average and of a map, both of the average's power, in the least-squares estimate of the truth.

    With correlations ``sqrt(F)`` of average and truth, ``c / sqrt(F)`` of map and truth and ``c`` of the two, linear
    regression gives ``(F - c^2) / (1 - c^2)`` and ``c (1 - F) / (1 - c^2)``.

    Parameters
    ----------
    fsc
        F; below 0.143 it counts as that where the map is looked at, and the average is not used beyond.
    agreement
        c; what is opposite counts as nothing.
    passed
        Part of the map that may be used.
    """
    shells = torch.arange(len(fsc), device=fsc.device)
    used = (shells < first_below(fsc, _LEAST_FSC)) | (passed > 0)
    trust = fsc.clamp(_LEAST_FSC, 0.999)
    common = torch.minimum(agreement.clamp_min(0) * passed, 0.999 * trust.sqrt())
    rest = 1 - common.square()
    return used * (trust - common.square()) / rest, used * common * (1 - trust) / rest
