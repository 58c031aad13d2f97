"""Check that something is known of what each particle measured."""

from __future__ import annotations

from dataclasses import dataclass

from torchsag.particles import ParticleSet
from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class NoWedge:
    """Particles with neither a weight volume nor a tilt range, which count as measured in all directions."""

    code: str = "no_wedge"

    def __call__(self, particles: ParticleSet) -> Finding | None:
        """A doubt; None where all particles say what was measured, be it everything (-90 to 90 degrees)."""
        silent, count = sum(weight is None for weight in particles.weights), len(particles)
        if not silent:
            return None
        return Finding(
            self.code,
            "doubt",
            f"{silent} of {count} particles come without weight volume and tilt range and counted as measured in all "
            "directions; give tilt_min_deg=... tilt_max_deg=..., or -90 and 90 where nothing is missing",
            {"particles": silent, "of": count},
        )
