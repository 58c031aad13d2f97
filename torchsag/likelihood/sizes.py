"""What the fused kernels of `torchsag.likelihood.fourier_blocks` agree on."""

from __future__ import annotations

from torchsag.likelihood.observations import Observations
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import CHANNELS, FourierTable

SUMS = (2, 14, 35)  # values; with gradients; with Gauss-Newton blocks


def check_sizes(table: FourierTable, band: FourierBand, observed: Observations) -> None:
    """The kernels trust that these go together; poses, particles and terms they look at themselves."""
    count = len(band.frequencies)
    if observed.maps is None and table.maps > 1:
        raise ValueError(f"block sums: expected to be told which of {table.maps} maps each particle is an image of")
    if observed.data.shape[1] != count or observed.weights.shape[1] != count:
        raise ValueError(
            f"block sums: expected data and weights of the band's {count} coefficients, got "
            f"{observed.data.shape[1]} and {observed.weights.shape[1]}"
        )
    reach = 2 * table.oversampling * (table.max_shell + 1) + 1
    if tuple(table.samples.shape[-4:]) != (reach, reach, reach // 2 + 1, CHANNELS) or band.reach > table.max_shell:
        raise ValueError(
            f"block sums: expected a table up to shell {band.reach} at least, got one of {tuple(table.samples.shape)} "
            f"samples up to {table.max_shell}"
        )


def stretch_limit(table: FourierTable) -> float:
    """How much a matrix may stretch the band before the table ends; a rotation does not."""
    return 1 + 0.5 / max(table.max_shell, 1)
