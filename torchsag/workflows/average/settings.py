"""How particles are averaged: what `torchsag average` is told beside which particles and where to."""

from __future__ import annotations

from dataclasses import dataclass, field

from torchsag.alignment.aligner import Aligner
from torchsag.averaging.assignment import Assignment
from torchsag.averaging.mask import Mask, SphericalMask
from torchsag.averaging.regularisation import Regularisation, ShellWeight
from torchsag.averaging.strength import Equal, Strength
from torchsag.errors import InputError
from torchsag.geometry import Symmetry


@dataclass(frozen=True, kw_only=True)
class AveragingSettings:
    """What the turns of an averaging run follow.

    Attributes
    ----------
    method
        How to align over all orientations.
    local_method
        How to align near known poses, once they change little; None keeps `method`.
    symmetry
        Point group of the particle, with RELION's axes: C1, Cn, Dn, T, O or I. Imposed on both half-maps; without a
        reference once these agree, each on the axes that it shows, and not before iteration `symmetry_from`.
    symmetry_from
        Without a reference, the first iteration that may impose symmetry; it does once the half-maps, each on the axes
        that it shows, agree beyond initial_resolution_angstrom.
    parts
        Within a half, particles are aligned part by part to the average of the half's other parts, so that none meets
        its own noise in its reference; 1 aligns all to the average of all.
    regularisation
        How the sums of particles become the references.
    strength
        How much each particle counts in them.
    assignment
        At which poses it does; None for all that its posterior supports in a run without symmetry from the particles
        alone, and for the best one in any other.
    mask
        Where the particle is.
    initial_resolution_angstrom
        Low-pass of the first references; later ones are never filtered more strongly.
    local_below_deg
        Then local_method, which stays near the poses, takes over from method; ~method@local_method does without, as
        when another method is to be judged by itself. It does so when poses change less than this in the median, in a
        run from a reference from the second iteration on.
    """

    method: Aligner
    local_method: Aligner | None = None
    symmetry: str = "C1"
    symmetry_from: int = 5
    parts: int = 5
    regularisation: Regularisation = field(default_factory=ShellWeight)
    strength: Strength = field(default_factory=Equal)
    assignment: Assignment | None = None
    mask: Mask = field(default_factory=SphericalMask)
    initial_resolution_angstrom: float = 60.0
    local_below_deg: float = 5.0

    def check(self) -> None:
        """Refuse what cannot be; InputError."""
        Symmetry(self.symmetry)
        if not isinstance(self.method, Aligner):
            raise InputError(f"method: expected an aligner, got {type(self.method).__name__}")
        for name in ("parts", "symmetry_from"):
            if getattr(self, name) < 1:
                raise InputError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if not self.initial_resolution_angstrom > 0:
            raise InputError(
                f"initial_resolution_angstrom: expected a length above 0, got {self.initial_resolution_angstrom}"
            )

    @property
    def group(self) -> Symmetry:
        """What is imposed."""
        return Symmetry(self.symmetry)
