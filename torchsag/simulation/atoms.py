"""Read atomic models (PDB and mmCIF, also gzipped) through gemmi."""

from __future__ import annotations

import gzip
import logging
import re
import zlib
from pathlib import Path

import gemmi
import torch

from torchsag.errors import InputError
from torchsag.simulation.point_model import PointModel
from torchsag.simulation.scattering import Scattering

_LOG = logging.getLogger(__name__)


def read_atoms(path: Path | str, scattering: Scattering, assembly: str | None = None) -> PointModel:
    """Atoms of the first model of a file, centre of mass at the origin, water left out.

    Occupancies become amplitudes; B factors are not used: the stated resolution alone blurs.

    Parameters
    ----------
    path
        PDB or mmCIF, plain or gzipped.
    scattering
        What each element contributes.
    assembly
        Name of the biological assembly to build (usually ``"1"``); None takes the chains as they are.

    Raises
    ------
    InputError
        If the file cannot be read, has no atoms or none that is occupied, has an unknown element or no such assembly.
    """
    path = Path(path)
    _check_text(path)
    structure = _read(path)
    if assembly is not None:
        _expand(structure, assembly, path)
    structure.remove_waters()
    if len(structure) == 0:
        raise InputError(f"{path}: expected an atomic model, found no atoms")
    if len(structure) > 1:
        _LOG.warning("%s: holds %d models, the first is taken", path, len(structure))
    found = list(structure[0].all())
    if not found:
        raise InputError(f"{path}: expected an atomic model, found no atoms")
    elements = {one.atom.element.name: one.atom.element for one in found}
    for one in found:
        _check(path, one)
    names = sorted(elements)
    positions = torch.tensor([one.atom.pos.tolist() for one in found], dtype=torch.float64)
    weights = torch.tensor([one.atom.occ * one.atom.element.weight for one in found], dtype=torch.float64)
    if not weights.sum() > 0:
        raise InputError(f"{path}: expected atoms that are there, got an occupancy of 0 for every atom; correct them")
    centre = (positions * weights[:, None]).sum(0) / weights.sum()
    return PointModel(
        positions=positions - centre,
        amplitudes=torch.tensor([one.atom.occ for one in found], dtype=torch.float64),
        kind=torch.tensor([names.index(one.atom.element.name) for one in found]),
        form_factors=torch.stack([scattering.form_factor(elements[name]) for name in names]),
        name=str(path),
    )


_LARGEST_BYTES = 1 << 31  # the largest ribosomes and capsids take a tenth of it
_CONTROLS = bytes((*range(9), 11, *range(14, 32), 127))
_ATOM_BEHIND_END = re.compile(rb"^END *\r?$.*?^(ATOM  |HETATM)", re.MULTILINE | re.DOTALL)


def _check_text(path: Path) -> None:
    """A whole text: gemmi reads past damaged packing, and past a line with control characters into the next."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; expected a PDB or mmCIF file")
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error}); copy the file again") from error
    if len(data) > _LARGEST_BYTES:
        raise InputError(f"{path}: expected an atomic model of at most {_LARGEST_BYTES >> 30} GiB, got a larger file")
    if len(data.translate(None, _CONTROLS)) != len(data):
        raise InputError(f"{path}: expected a text, got control characters in it; copy the file again")
    if _ATOM_BEHIND_END.search(data):
        _LOG.warning("%s: goes on with atoms behind its line END, which are not read", path)


# The heaviest element of the International Tables' electron scattering factors is californium.
_HEAVIEST = 98
_FARTHEST_ANGSTROM = 1e6


def _check(path: Path, one: gemmi.CRA) -> None:
    """An atom that can scatter, somewhere."""
    atom = one.atom
    try:
        where = (
            f"{path}: atom {atom.name!r} of residue {one.residue.name} {one.residue.seqid} in chain {one.chain.name}"
        )
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path}: atom {atom.serial}: expected names in UTF-8, got other bytes; correct them"
        ) from error
    if not 1 <= atom.element.atomic_number <= _HEAVIEST:
        raise InputError(
            f"{where}: expected an element up to Cf, got {atom.element.name!r}; correct the element column"
        )
    if not all(abs(value) <= _FARTHEST_ANGSTROM for value in atom.pos.tolist()):
        raise InputError(f"{where}: expected finite coordinates, got {atom.pos.tolist()}; correct or remove the atom")
    if not 0 <= atom.occ <= 1e3:
        raise InputError(f"{where}: expected an occupancy from 0, got {atom.occ:g}; correct it")


def _read(path: Path) -> gemmi.Structure:
    try:
        return gemmi.read_structure(str(path))
    except IndexError as error:  # of an mmCIF file without a block gemmi says no more than that
        raise InputError(f"{path}: cannot be read as PDB or mmCIF (it holds no data block); copy it again") from error
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as PDB or mmCIF ({str(error).splitlines()[0]})") from error


def _expand(structure: gemmi.Structure, assembly: str, path: Path) -> None:
    known = [one.name for one in structure.assemblies]
    if assembly not in known:
        said = f"it has {', '.join(known)}" if known else "it has none"
        raise InputError(
            f"{path}: expected a biological assembly named {assembly!r}, {said}; choose one or leave it out"
        )
    structure.transform_to_assembly(assembly, gemmi.HowToNameCopiedChain.AddNumber)
