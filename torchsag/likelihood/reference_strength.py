"""What particles have confirmed of a reference, and the reference with no more than that.

Noise in a reference does more harm than its power says. The derivative of noise by the pose grows with its distance
from the centre, so what lies around the particle, where there is nothing else, bends the likelihood most: the same
random landscape for every particle, in which poses are caught and seem certain. An amplitude by shell
(`torchsag.likelihood.reference_amplitude`) cannot tell the two apart. So a reference is divided where it stands out
from its own background, and particles, aligned to that part alone, say how much of the rest is in them, too: nothing of
an average's noise, all of a particle that fills its box.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.fourier import apply_filter, half_frequencies
from torchsag.fourier.radial import apply_shell_curve
from torchsag.imaging.masks import centred_radius
from torchsag.likelihood.reference_amplitude import ShellFit

# Of the voxels within the box's sphere this part at least is background. Where it is not, particles will say so.
_BACKGROUND = 0.2
# Times the background's power that count as background. With averages of 20 and 100 ribosomes at SNR 0.003 errors were
# alike from 3 to 5, and up to 12 % larger at 1.5.
_ABOVE = 5.0


@dataclass(frozen=True)
class ReferenceStrength:
    """How strong a reference is in the particles, by Fourier shell 1 .. K.

    Attributes
    ----------
    amplitude
        Of what stands out from its background.
    surroundings
        Of what does not, in units of `amplitude`, 0 to 1; None where nothing is divided.
    """

    amplitude: Float[Tensor, " shells"]
    surroundings: Float[Tensor, " shells"] | None = None

    def within(self, shells: int) -> ReferenceStrength:
        """On so many shells; the last value stands for those beyond."""
        rows = torch.arange(shells, device=self.amplitude.device).clamp_max(len(self.amplitude) - 1)
        surroundings = None if self.surroundings is None else self.surroundings[rows]
        return ReferenceStrength(self.amplitude[rows], surroundings)

    def weighed(self, density: Float[Tensor, "z y x"], part: Float[Tensor, "z y x"]) -> Float[Tensor, "z y x"]:
        """A map of which only this part stands out (see `standing_out`), the rest as strong as it was found to be."""
        if self.surroundings is None:
            return density
        inside = part * density
        if not bool((self.surroundings > 0).any()):
            return inside
        curve = torch.cat([self.surroundings[:1], self.surroundings])
        return inside + apply_shell_curve(density - inside, curve)


def strength_of(first: ShellFit, rest: ShellFit | None = None, both: ShellFit | None = None) -> ReferenceStrength:
    """What particles say of a reference, of its two parts and of both together; of `first` alone where not divided.

    The rest is no background where both together explain more than the first part alone: then nothing is divided. A
    reference that particles do not show at all is taken at its word.
    """
    amplitude = first.amplitude
    if rest is None or both is None:
        return ReferenceStrength(amplitude if bool((amplitude > 0).any()) else torch.ones_like(amplitude))
    if both.gain > first.gain or not bool((amplitude > 0).any()):
        return strength_of(both)
    common = 0.5 * (both.expected - first.expected - rest.expected)
    left = ShellFit(rest.explained - amplitude * common, rest.expected).amplitude
    ratio = left / amplitude.clamp_min(torch.finfo(amplitude.dtype).tiny)
    return ReferenceStrength(amplitude, ratio.clamp(0, 1))


def standing_out(
    density: Float[Tensor, "z y x"], amplitude: Float[Tensor, " shells"], last_shell: int
) -> Float[Tensor, "z y x"]:
    """How far each voxel of a cubic map stands out from the background of that map, 0 to 1.

    Wiener's filter of the local power, with several times the background's own in place of the background: in a
    background of no power, all of the map stands out.

    Parameters
    ----------
    density
        The map.
    amplitude
        What it is multiplied by on shells 1, 2, .. before it is looked at, so that noise hides no more than it must.
    last_shell
        Where its information ends: power is averaged over half the finest period.
    """
    box = density.shape[-1]
    seen = apply_shell_curve(density, torch.cat([amplitude[:1], amplitude]))
    width = box / (2 * last_shell)
    frequency = half_frequencies((box, box, box), device=density.device).norm(dim=-1)
    power = apply_filter(seen.square(), torch.exp(-2 * (torch.pi * width * frequency).square())).clamp_min(0)
    inside = power[centred_radius((box, box, box), density.device) < 0.46 * box]
    background = inside.sort().values[int(_BACKGROUND * len(inside))]
    return (1 - _ABOVE * background / power.clamp_min(torch.finfo(power.dtype).tiny)).clamp(0, 1)
