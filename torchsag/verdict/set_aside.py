"""Say in the verdict that a run went without some of its particles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torchsag.errors import printable
from torchsag.verdict.finding import Finding


@dataclass(frozen=True)
class SetAside:
    """Particles that could not be used.

    Attributes
    ----------
    many
        From this part of all particles on, what is left may not stand for the whole.
    """

    code: str = "set_aside"
    many: float = 0.5

    def __call__(self, faults: Sequence[str]) -> Finding | None:
        """A note, or a doubt; None where all particles were used.

        Parameters
        ----------
        faults
            What is wrong with each particle; empty where nothing is.
        """
        said = [fault for fault in faults if fault]
        if not said:
            return None
        return Finding(
            self.code,
            "doubt" if len(said) >= self.many * len(faults) else "note",
            f"{len(said)} of {len(faults)} particles could not be used and were set aside (set_aside.txt says which "
            f"and why), the first: {printable(said[0])}",
            {"particles": len(said), "of": len(faults)},
        )
