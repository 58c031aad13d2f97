"""PyTom particle lists (``.xml``).

``Rotation Z1 Z2 X`` are AV3's phi, psi and theta in degrees; ``Shift`` in voxels; ``PickPosition`` the box centre in
its tomogram. The wedge's ``Angle1`` and ``Angle2`` are the missing angles beside the first and the last tilt;
``TiltAxisRotation`` turns the wedge, so that with X = 0 the tilt axis lies Z1 + Z2 degrees from y.
Source: PyTom's ``basic/structures.py`` (Hrabe et al. (2012) J. Struct. Biol. 178:177).
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Sequence
from pathlib import Path
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.errors import InputError
from torchsag.io.atomic import write_text
from torchsag.io.foreign import poses_and_positions
from torchsag.io.particle_list import ParticleList
from torchsag.io.plausible import LARGEST_ANGLE, LARGEST_LENGTH, LARGEST_NUMBER, numbers, whole
from torchsag.io.relion_document import with_table
from torchsag.io.zxz import matrix_to_zxz, zxz_to_matrix
from torchsag.particles import TiltRange, TiltScheme, Transfer

_LOG = logging.getLogger(__name__)


def read_particle_list(path: Path | str) -> ParticleList:
    """Read a particle list; volume names are looked for where PyTom ran, or beside the list.

    Raises
    ------
    InputError
        If the file is missing, no XML, or lists no particles.
    """
    path = Path(path)
    root = _root(path)
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
            tilt_ranges=[_geometry(path, row, particle) for row, particle in enumerate(particles, start=1)],
            rotations=zxz_to_matrix(_numbers(path, particles, "Rotation", ("Z1", "Z2", "X"), LARGEST_ANGLE)),
            shifts=_numbers(path, particles, "Shift", ("X", "Y", "Z"), LARGEST_LENGTH),
            classes=_classes(path, classes),
            tomograms=[_text(particle, "PickPosition", "Origin") for particle in particles],
            positions=_numbers(path, particles, "PickPosition", ("X", "Y", "Z"), LARGEST_LENGTH),
            scores=_numbers(path, particles, "Score", ("Value",))[:, 0],
        )
    )


def _root(path: Path) -> Element:
    """The document, without entities of its own: a list of particles needs none."""
    try:
        data = path.read_bytes()
        if b"\0" in data or b"<!DOCTYPE" in data.upper():
            raise InputError(f"{path}: expected UTF-8 text without a document type, got something else; save it again")
        return ElementTree.fromstring(data)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
    except (ElementTree.ParseError, LookupError, ValueError) as error:  # the last two: encodings that are not known
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: cannot be read as XML ({error})") from error


def _classes(path: Path, names: Sequence[str]) -> Integer[Tensor, " rows"] | None:
    """Classes that are numbers; names of other kinds are not kept, which is said."""
    if all(re.fullmatch(r"-?[0-9]+(\.0*)?", name) for name in names):
        return whole(path, numbers(path, names, "Class Name"), "Class Name", least=-LARGEST_NUMBER)
    if any(names):
        _LOG.warning("%s: classes that are no numbers, such as %r, are not kept", path, next(filter(None, names)))
    return None


def _text(particle: Element, tag: str, name: str) -> str:
    child = particle.find(tag)
    return "" if child is None else child.attrib.get(name, "")


def _numbers(
    path: Path, particles: Sequence[Element], tag: str, names: tuple[str, ...], largest: float = math.inf
) -> Float[Tensor, "rows columns"]:
    columns = [
        numbers(path, [_text(particle, tag, name) or "0" for particle in particles], f"{name} in <{tag}>", largest)
        for name in names
    ]
    return torch.stack(columns, -1)


def _geometry(path: Path, row: int, particle: Element) -> TiltRange | TiltScheme | None:
    """The wedge of a particle, None where the list has none."""
    if next(particle.iter("GeneralWedge"), None) is not None:
        raise InputError(
            f"{path}: entry {row}: a GeneralWedge (a weight file) cannot be read from a PyTom list; list the particles "
            "in a csv with a column weight"
        )
    single = [element for element in particle.iter() if {"Angle", "Angle1"} & set(element.attrib)]
    ranges = tuple(_tilt_range(path, row, element) for element in single)
    if not ranges:
        return None
    return ranges[0] if len(ranges) == 1 else TiltScheme(ranges)


def _tilt_range(path: Path, row: int, element: Element) -> TiltRange:
    """A single tilt series; the missing angles 0 and 0 mean to PyTom that nothing is missing."""

    def value(source: Element, name: str, default: str = "0") -> float:
        text = source.attrib.get(name, default)
        return float(numbers(path, [text], f"{name} in <{source.tag}>", names=[f"number {row}"])[0])

    both = element.attrib.get("Angle", "0")
    first, last = value(element, "Angle1", both), value(element, "Angle2", both)
    turned = next((child for child in element if child.tag in ("TiltAxisRotation", "Rotation")), None)
    axis = {"X": 90.0, "Y": 0.0}.get(element.attrib.get("TiltAxis", ""), 0.0)
    if turned is not None:
        axis += value(turned, "Z1") + value(turned, "Z2")
    if element.attrib.get("TiltAxis") == "Z" or (turned is not None and value(turned, "X")):
        raise InputError(
            f"{path}: entry {row}: expected a tilt axis in the plane of the specimen, got one that leaves it "
            f"(X in <TiltAxisRotation>), which torchsag cannot model; give weight volumes in a csv"
        )
    try:
        return TiltRange(first - 90, 90 - last, axis)
    except InputError as error:
        raise InputError(f"{path}: entry {row}: {error}") from None


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
        _add_wedge(path, particle, name, None if listing.tilt_ranges is None else listing.tilt_ranges[k])
        SubElement(particle, "Class", Name=str(int(classes[k])))
    ElementTree.indent(root)
    write_text(path, ElementTree.tostring(root, encoding="unicode") + "\n")


def _add_wedge(path: Path | str, particle: Element, name: str, geometry: TiltRange | TiltScheme | None) -> None:
    """The element that PyTom reads as the particle's wedge: single, double, or none."""
    if geometry is None:
        return
    ranges = (geometry,) if isinstance(geometry, TiltRange) else geometry.ranges
    if len(ranges) > 2 or (isinstance(geometry, TiltScheme) and geometry.tilts):
        raise InputError(
            f"{path}: particle {name}: expected one or two tilt ranges, its tilts are listed one by one, which a PyTom "
            "list cannot say; write a RELION list (program=relion)"
        )
    wedge = SubElement(particle, "Wedge", Type="SingleTiltWedge" if len(ranges) == 1 else "DoubleTiltWedge")
    if len(ranges) == 2:
        wedge = SubElement(wedge, "DoubleTiltWedge", _attributes(("CutoffRadius", "Smooth"), (0.0, 0.0)))
    for one in ranges:
        ends = (one.tilt_min_deg + 90, 90 - one.tilt_max_deg)
        single = SubElement(
            wedge, "SingleTiltWedge", _attributes(("Angle1", "Angle2", "CutoffRadius", "Smooth"), (*ends, 0.0, 0.0))
        )
        SubElement(single, "TiltAxisRotation", _attributes(("Z1", "Z2", "X"), (one.axis_deg, 0.0, 0.0)))


def _attributes(names: Sequence[str], values: Sequence[float]) -> dict[str, str]:
    return {name: f"{value + 0.0:.6f}" for name, value in zip(names, values, strict=True)}
