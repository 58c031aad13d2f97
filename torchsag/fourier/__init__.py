"""Centred transforms, cropping, shells, correlation by shell, filters: the only home of fftshift."""

from torchsag.fourier.filters import apply_filter, low_pass
from torchsag.fourier.frequencies import frequency_axes, half_frequencies, half_shells, hermitian_multiplicity
from torchsag.fourier.resize import crop, crop_spectrum, pad, pad_spectrum, resample
from torchsag.fourier.shells import first_below, fourier_shell_correlation, last_above, shell_sums, squared_size
from torchsag.fourier.shift import phase_ramp
from torchsag.fourier.transforms import (
    from_half_spectrum,
    from_spectrum,
    half_weight,
    to_half_spectrum,
    to_spectrum,
)

__all__ = [
    "apply_filter",
    "crop",
    "crop_spectrum",
    "first_below",
    "fourier_shell_correlation",
    "frequency_axes",
    "from_half_spectrum",
    "from_spectrum",
    "half_frequencies",
    "half_shells",
    "half_weight",
    "hermitian_multiplicity",
    "last_above",
    "low_pass",
    "pad",
    "pad_spectrum",
    "phase_ramp",
    "resample",
    "shell_sums",
    "squared_size",
    "to_half_spectrum",
    "to_spectrum",
]
