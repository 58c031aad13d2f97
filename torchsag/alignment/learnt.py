"""What a method has learnt of its reference and of the particles' noise, for people to read."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Learnt:
    """What goes into the scores and expected errors of a run, beside the reference as it was given.

    Attributes
    ----------
    amplitude_by_shell
        How strong the particles show the reference on Fourier shells 1, 2, .., by what it is itself: above one where it
        was damped, below where it holds noise. All ones where it was taken at its word.
    finest_angstrom
        Resolution of the last shell that is looked at; nothing finer counts.
    surroundings_left_out
        Whether what does not stand out from the reference's background was left out, as no particle shows it.
    variances_times
        By what expected errors' squares are larger than noise of independent coefficients would make them.
    noise_is_even
        Whether the noise is white within each shell.
    """

    amplitude_by_shell: tuple[float, ...]
    finest_angstrom: float
    surroundings_left_out: bool
    variances_times: float
    noise_is_even: bool

    @property
    def at_its_word(self) -> bool:
        """Whether the reference was taken as it is."""
        return not self.surroundings_left_out and all(value == 1 for value in self.amplitude_by_shell)

    def record(self) -> dict[str, Any]:
        """For ``metrics.json``."""
        return {"taken_at_its_word": self.at_its_word, **asdict(self)}
