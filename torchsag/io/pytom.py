"""PyTom particle lists (``.xml``).

``Rotation Z1 Z2 X`` are AV3's phi, psi and theta in degrees; ``Shift`` in voxels; ``PickPosition`` the box centre in
its tomogram. The wedge's ``Angle1`` and ``Angle2`` are the missing angles beside the first and the last tilt.
Source: PyTom's ``basic/structures.py`` (Hrabe et al. (2012) J. Struct. Biol. 178:177).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import torch
from jaxtyping import Float
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.foreign import poses_and_positions
from torchsag.io.particle_list import ParticleList
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import TiltRange, Transfer


def read_particle_list(path: Path | str) -> ParticleList:
    """Read a particle list; volume names are looked for where PyTom ran, or beside the list.

    Raises
    ------
    InputError
        If the file is missing, no XML, or lists no particles.
    """
    path = Path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ElementTree.ParseError) as error:
        raise InputError(f"{path}: cannot be read as XML ({error})") from error
    particles = list(root.iter("Particle"))
    if not particles or any("Filename" not in particle.attrib for particle in particles):
        raise InputError(f"{path}: expected a PyTom list of particles with file names, got <{root.tag}> without")
    classes = [_text(particle, "Class", "Name") for particle in particles]
    return with_table(
        ParticleList(
            path=path,
            folders=(path.parent, Path(), *path.resolve().parents[1:4]),
            names=[particle.attrib["Filename"] for particle in particles],
            weighting=Transfer(),
            tilt_ranges=[_tilt_range(path, particle) for particle in particles],
            rotations=zxz_to_matrix(_numbers(path, particles, "Rotation", ("Z1", "Z2", "X"))),
            shifts=_numbers(path, particles, "Shift", ("X", "Y", "Z")),
            classes=torch.tensor([int(name) for name in classes]) if all(n.isdigit() for n in classes) else None,
            tomograms=[_text(particle, "PickPosition", "Origin") for particle in particles],
            positions=_numbers(path, particles, "PickPosition", ("X", "Y", "Z")),
            scores=_numbers(path, particles, "Score", ("Value",))[:, 0],
        )
    )


def _text(particle: Element, tag: str, name: str) -> str:
    child = particle.find(tag)
    return "" if child is None else child.attrib.get(name, "")


def _numbers(
    path: Path, particles: Sequence[Element], tag: str, names: tuple[str, ...]
) -> Float[Tensor, "rows columns"]:
    try:
        rows = [[float(_text(particle, tag, name) or 0) for name in names] for particle in particles]
    except ValueError as error:
        raise InputError(f"{path}: expected numbers in <{tag}> ({error})") from None
    return torch.tensor(rows, dtype=torch.float64)


def _tilt_range(path: Path, particle: Element) -> TiltRange | None:
    for element in particle.iter():
        if "Angle1" in element.attrib and "Angle2" in element.attrib:
            try:
                first, last = (float(element.attrib[name]) for name in ("Angle1", "Angle2"))
            except ValueError as error:
                raise InputError(f"{path}: expected numbers in <{element.tag}> ({error})") from None
            return TiltRange(first - 90, 90 - last) if first or last else None
    return None


def write_particle_list(path: Path | str, listing: ParticleList, voxel_size: float | None = None) -> None:
    """Write a particle list.

    Raises
    ------
    InputError
        If shifts are in angstrom and no voxel size is known, or the file cannot be written.
    """
    poses, positions, scores, classes = poses_and_positions(listing, voxel_size)
    angles = matrix_to_zxz(poses.rotations).tolist()
    root = Element("ParticleList")
    for k, name in enumerate(listing.names):
        particle = SubElement(root, "Particle", Filename=name)
        phi, psi, theta = angles[k]
        SubElement(particle, "Rotation", _attributes(("Z1", "Z2", "X"), (phi, psi, theta)), Paradigm="ZXZ")
        SubElement(particle, "Shift", _attributes(("X", "Y", "Z"), poses.shifts[k].tolist()))
        tomogram = "" if listing.tomograms is None else listing.tomograms[k]
        SubElement(particle, "PickPosition", _attributes(("X", "Y", "Z"), positions[k].tolist()), Origin=tomogram)
        SubElement(particle, "Score", _attributes(("Value",), [float(scores[k])]), Type="FLCFScore")
        tilt_range = None if listing.tilt_ranges is None else listing.tilt_ranges[k]
        if tilt_range is not None:
            wedge = SubElement(particle, "Wedge", Type="SingleTiltWedge")
            ends = (tilt_range.tilt_min_deg + 90, 90 - tilt_range.tilt_max_deg)
            SubElement(
                wedge, "SingleTiltWedge", _attributes(("Angle1", "Angle2", "CutoffRadius", "Smooth"), (*ends, 0.0, 0.0))
            )
        SubElement(particle, "Class", Name=str(int(classes[k])))
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


def _attributes(names: Sequence[str], values: Sequence[float]) -> dict[str, str]:
    return {name: f"{value + 0.0:.6f}" for name, value in zip(names, values, strict=True)}
