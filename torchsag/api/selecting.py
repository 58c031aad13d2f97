"""``torchsag.select``: choose, join and carry over particles of lists."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from torchsag.app.from_python import workflow
from torchsag.errors import InputError
from torchsag.io import read_particles
from torchsag.particles import ParticleSet, VolumeSource
from torchsag.runs.provenance import Provenance

_PATHS = (str, os.PathLike)


def select(
    particles: str | os.PathLike[str] | Sequence[str | os.PathLike[str]],
    *,
    out: str | os.PathLike[str] | None = None,
    **settings: Any,
) -> ParticleSet:
    """Choose particles of one list or several as ``torchsag select`` does, in the order that it states.

    Parameters
    ----------
    particles
        The path of a list of any program, or paths of several, to be joined.
    out
        The file to write; None writes none.
    settings
        Other keys of ``torchsag select``: ``least_score=0.2``, ``where="class == 1"``, ``distance_angstrom=100``, ...

    Returns
    -------
    The particles that were chosen, their volumes unread.

    Raises
    ------
    InputError
        Naming the argument that cannot be used; nothing is written then. Copies that ``expand`` makes, and files
        that ``split`` makes, are lists for other programs: the command writes them.
    """
    sources = _sources(particles)
    for name in ("expand", "split"):
        if settings.get(name) not in (None, "C1"):
            raise InputError(
                f"{name}: expected none from Python, got {settings[name]!r}; torchsag select writes such files"
            )
    if out is not None and not _is_path(out):
        raise InputError(f"out: expected the path of a list to write, or None, got {type(out).__name__}")
    with tempfile.TemporaryDirectory(prefix="torchsag-select-") as folder:
        path = Path(folder) / "selected.star" if out is None else Path(out)
        made = workflow("select", {"particles": "", "out": str(path)}, settings)
        replace(made, particles=sources)(Provenance("select"))
        return _standing_alone(read_particles(path))


def _sources(particles: Any) -> str | list[str]:
    if _is_path(particles):
        return str(Path(particles))
    given: list[Any] = list(particles) if hasattr(particles, "__iter__") else []
    if given and all(map(_is_path, given)):
        return [str(Path(one)) for one in given]
    raise InputError(f"particles: expected the path of a list, or several, got {type(particles).__name__}")


def _is_path(value: Any) -> bool:
    return isinstance(value, _PATHS)


def _standing_alone(chosen: ParticleSet) -> ParticleSet:
    """With paths that lead nowhere by way of the folder of the list, which may be gone by the time they are read."""

    def plain(source: Any) -> Any:
        if not isinstance(source, VolumeSource):
            return source
        return replace(source, path=Path(os.path.abspath(source.path)))

    volumes, weights = (tuple(plain(one) for one in sources) for sources in (chosen.volumes, chosen.weights))
    return replace(chosen, volumes=volumes, weights=weights)
