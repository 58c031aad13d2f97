"""What can be simulated: each a component that makes a map in a given box."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from torchsag.errors import InputError
from torchsag.particles import DensityMap
from torchsag.simulation.atoms import read_atoms
from torchsag.simulation.density import density_of
from torchsag.simulation.phantoms import capped_phantom, groel_phantom, ribosome_phantom
from torchsag.simulation.scattering import ElectronScattering, FourierKernel, Kernel, Scattering


@runtime_checkable
class Structure(Protocol):
    """Something with density: a frozen dataclass and one yaml under ``conf/structure``."""

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The structure in a cubic box, its centre at the box centre.

        Raises
        ------
        InputError
            If it cannot be read or does not fit.
        """
        ...


@dataclass(frozen=True)
class GroelPhantom:
    """Built-in, D7: two stacked seven-fold rings, 14 nm wide, 15 nm high.

    Attributes
    ----------
    kernel
        Resolution.
    """

    kernel: Kernel = field(default_factory=FourierKernel)

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The phantom in a box."""
        return density_of(groel_phantom(), box, voxel_size, self.kernel.sigma_angstrom)


@dataclass(frozen=True)
class CappedPhantom:
    """Built-in, C7: the rings with a dome on one side.

    Attributes
    ----------
    kernel
        Resolution.
    """

    kernel: Kernel = field(default_factory=FourierKernel)

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The phantom in a box."""
        return density_of(capped_phantom(), box, voxel_size, self.kernel.sigma_angstrom)


@dataclass(frozen=True)
class RibosomePhantom:
    """Built-in, asymmetric, of the size of a ribosome: 25 nm.

    Attributes
    ----------
    kernel
        Resolution.
    """

    kernel: Kernel = field(default_factory=FourierKernel)

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The phantom in a box."""
        return density_of(ribosome_phantom(), box, voxel_size, self.kernel.sigma_angstrom)


@dataclass(frozen=True)
class AtomicModel:
    """A PDB or mmCIF file.

    Attributes
    ----------
    path
        The file, plain or gzipped.
    scattering
        What each atom contributes.
    kernel
        Resolution.
    assembly
        Name of the biological assembly to build, usually 1; None takes the chains as they are.
    """

    path: str
    scattering: Scattering = field(default_factory=ElectronScattering)
    kernel: Kernel = field(default_factory=FourierKernel)
    assembly: str | int | None = None

    def __post_init__(self):
        if not self.path:
            raise InputError("structure: expected path=file.pdb or file.cif, got an empty path")

    def density(self, box: int, voxel_size: float) -> DensityMap:
        """The model in a box, centre of mass at the box centre."""
        assembly = None if self.assembly is None else str(self.assembly)
        model = read_atoms(self.path, self.scattering, assembly)
        return density_of(model, box, voxel_size, self.kernel.sigma_angstrom)
