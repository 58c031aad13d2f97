"""Differentiable subtomogram alignment, averaging and classification for cryo-electron tomography.

In three lines::

    import torchsag

    particles = torchsag.read_particles("particles.star")
    found = torchsag.align(particles, "reference.mrc", symmetry="D7")

`align`, `average`, `classify` and `simulate` do what the commands of these names do, on objects, arrays or paths, and
write nothing unless told where. What stands here is loaded when it is first used.

Conventions, fixed once for the whole library:

- arrays are ``(z, y, x)``, vectors and matrices act on columns ``(x, y, z)``, the box centre is voxel ``n // 2``;
- a pose is ``(R, t)`` with ``particle(x) = reference(R^T (x - c - t) + c)``: rotate the reference, then shift it;
- radians and voxels inside; degrees and angstroms only at the border, always with a suffix in the name;
- the tilt axis is y, the beam is z;
- ``particle = W * reference at its pose + white noise`` in Fourier space, ``W >= 0`` the particle's weight.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from torchsag.version import VERSION as __version__

if TYPE_CHECKING:
    from torchsag.api.aligning import Alignment, align
    from torchsag.api.averaging import Averaged, average
    from torchsag.api.classifying import Classification, classify
    from torchsag.api.editing import edit_map
    from torchsag.api.results import results
    from torchsag.api.selecting import select
    from torchsag.api.simulating import Simulation, simulate
    from torchsag.errors import InputError
    from torchsag.geometry import Poses, Symmetry
    from torchsag.io import read_map, read_particles, write_map, write_particles
    from torchsag.particles import DensityMap, ParticleBatch, ParticleSet, TiltRange

# Where each name lives; a test compares this with the imports above.
_HOMES = {
    "Alignment": "torchsag.api.aligning",
    "Averaged": "torchsag.api.averaging",
    "Classification": "torchsag.api.classifying",
    "DensityMap": "torchsag.particles",
    "InputError": "torchsag.errors",
    "ParticleBatch": "torchsag.particles",
    "ParticleSet": "torchsag.particles",
    "Poses": "torchsag.geometry",
    "Simulation": "torchsag.api.simulating",
    "Symmetry": "torchsag.geometry",
    "TiltRange": "torchsag.particles",
    "align": "torchsag.api.aligning",
    "average": "torchsag.api.averaging",
    "classify": "torchsag.api.classifying",
    "edit_map": "torchsag.api.editing",
    "read_map": "torchsag.io",
    "read_particles": "torchsag.io",
    "results": "torchsag.api.results",
    "select": "torchsag.api.selecting",
    "simulate": "torchsag.api.simulating",
    "write_map": "torchsag.io",
    "write_particles": "torchsag.io",
}

__all__ = [
    "Alignment",
    "Averaged",
    "Classification",
    "DensityMap",
    "InputError",
    "ParticleBatch",
    "ParticleSet",
    "Poses",
    "Simulation",
    "Symmetry",
    "TiltRange",
    "__version__",
    "align",
    "average",
    "classify",
    "edit_map",
    "read_map",
    "read_particles",
    "results",
    "select",
    "simulate",
    "write_map",
    "write_particles",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'torchsag' has no attribute {name!r}")
    found = getattr(import_module(_HOMES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
