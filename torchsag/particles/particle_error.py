"""What is wrong with single particles of a set."""

from __future__ import annotations

from torchsag.errors import InputError


class ParticleError(InputError):
    """Some particles cannot be used; the others can.

    Attributes
    ----------
    faults
        Position in the set -> what is wrong with that particle, one sentence. A workflow may set these aside and load
        the rest.
    """

    def __init__(self, faults: dict[int, str]):
        self.faults = dict(faults)
        first = next(iter(self.faults.values()))
        others = len(self.faults) - 1
        super().__init__(first if others == 0 else f"{first} (and {others} more unusable particles in this batch)")

    def __reduce__(self):
        return ParticleError, (self.faults,)
