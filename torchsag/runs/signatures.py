"""Cheap marks by which a resumed run recognises its inputs: sizes and times of change, not contents."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path

from torchsag.errors import InputError
from torchsag.particles import DensitySource, ParticleSet, TiltRange, TiltScheme, TiltStack, VolumeSource
from torchsag.particles.sources import WeightSource


def file_signature(path: Path | str) -> str:
    """Name, size and time of change of a file."""
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: expected a file, got: {error.strerror}; check the name") from error
    return f"{path.resolve()} {status.st_size} bytes {status.st_mtime_ns}"


def signature_if_there(path: Path | str) -> str:
    """As `file_signature`, also of a file that is missing: whether that ends a run is decided where it is read."""
    try:
        return file_signature(path)
    except InputError:
        return f"{path} missing"


def particle_signatures(particles: ParticleSet, as_listed: bool = False) -> list[str]:
    """One mark per particle: its name, its files and its prior pose; `as_listed` whatever has become of the files."""

    of_file = str if as_listed else cache(signature_if_there)
    priors = [b""] * len(particles)
    if particles.poses is not None:
        numbers = particles.poses
        priors = [
            numbers.rotations[i].numpy().tobytes() + numbers.shifts[i].numpy().tobytes() for i in range(len(particles))
        ]
    sources = zip(particles.names, particles.volumes, particles.weights, priors, strict=True)
    return [_digest(name, volume, weight, prior, of_file) for name, volume, weight, prior in sources]


def _digest(name: str, volume: DensitySource, weight: WeightSource, prior: bytes, of_file) -> str:
    mark = f"{name}|{volume}|{of_file(volume.path)}|"
    if isinstance(volume, TiltStack):
        mark += volume.digest()
    if isinstance(weight, VolumeSource):
        mark += f"{weight}|{of_file(weight.path)}"
    elif isinstance(weight, TiltRange):
        mark += f"{weight.tilt_min_deg}|{weight.tilt_max_deg}"
        mark += f"|{weight.axis_deg}" if weight.axis_deg else ""
    elif isinstance(weight, TiltScheme):
        mark += repr(weight)
    return hashlib.sha256(mark.encode() + prior).hexdigest()[:32]
