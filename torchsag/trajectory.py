"""Where candidates stand while they are refined, noted only while somebody is listening.

::

    with Trajectory() as trajectory:
        aligner(particles)
    trajectory.snapshots[0].poses
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, Token
from dataclasses import dataclass

from jaxtyping import Integer
from torch import Tensor

from torchsag.geometry import Poses

_SPACING = 1.25  # snapshots lie at least this factor apart in passes

_listening: ContextVar[Trajectory | None] = ContextVar("trajectory", default=None)


@dataclass(frozen=True)
class Snapshot:
    """Candidates at one moment.

    Attributes
    ----------
    passes
        Evaluations of all of a particle's data spent so far, mean over the particles, all candidates together.
    poses
        Where the candidates stand.
    particle
        The particle of each.
    """

    passes: float
    poses: Poses
    particle: Integer[Tensor, " candidates"]


class Trajectory:
    """Collects snapshots of every refinement while it is entered."""

    def __init__(self):
        self.snapshots: list[Snapshot] = []
        self._token: Token[Trajectory | None] | None = None

    def __enter__(self) -> Trajectory:
        self._token = _listening.set(self)
        return self

    def __exit__(self, *exception) -> None:
        if self._token is not None:
            _listening.reset(self._token)

    def due(self, passes: float) -> bool:
        """Whether enough has happened since the last snapshot."""
        return not self.snapshots or passes >= _SPACING * self.snapshots[-1].passes


def note(passes: Tensor | float, standing: Callable[[], tuple[Poses, Tensor]]) -> None:
    """Tell whoever listens where candidates stand; `standing` is asked for poses and particles only if need be."""
    listener = _listening.get()
    if listener is not None and listener.due(float(passes)):
        listener.snapshots.append(Snapshot(float(passes), *standing()))
