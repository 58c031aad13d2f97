"""Atomic models: what is read, what is refused, and densities against real space."""

import gzip
import math

import gemmi
import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, low_pass
from torchsag.geometry import Poses, Symmetry
from torchsag.imaging.masks import centred_radius
from torchsag.imaging.placement import place_spectrum
from torchsag.simulation.atoms import read_atoms
from torchsag.simulation.density import density_of
from torchsag.simulation.scattering import AtomicNumber, ElectronScattering, FourierKernel, SitusKernel
from torchsag.simulation.structures import AtomicModel
from torchsag.spectra.gridding import ContinuousSpectrum

LINE = (
    "ATOM  {serial:>5d}  {name:<3s} ALA A{serial:>4d}    {x:8.3f}{y:8.3f}{z:8.3f}  1.00 20.00          {element:>2s}\n"
)


def write_pdb(path, atoms):
    text = "".join(
        LINE.format(serial=i + 1, name=name, x=x, y=y, z=z, element=element)
        for i, (name, element, x, y, z) in enumerate(atoms)
    )
    path.write_text(text + "END\n")
    return path


@pytest.fixture
def two_atoms(tmp_path):
    return write_pdb(tmp_path / "two.pdb", [("CA", "C", -10.0, 0.0, 0.0), ("CB", "C", 10.0, 4.0, 0.0)])


def test_reads_positions_about_the_centre_of_mass(two_atoms):
    model = read_atoms(two_atoms, ElectronScattering())
    torch.testing.assert_close(
        model.positions, torch.tensor([[-10.0, -2.0, 0.0], [10.0, 2.0, 0.0]], dtype=torch.float64)
    )


def test_gzip_and_mmcif_say_the_same(two_atoms, tmp_path):
    packed = tmp_path / "two.pdb.gz"
    packed.write_bytes(gzip.compress(two_atoms.read_bytes()))
    structure = gemmi.read_structure(str(two_atoms))
    structure.make_mmcif_document().write_file(str(tmp_path / "two.cif"))
    expected = read_atoms(two_atoms, ElectronScattering())
    for path in (packed, tmp_path / "two.cif"):
        torch.testing.assert_close(read_atoms(path, ElectronScattering()).positions, expected.positions)


def test_density_is_a_sum_of_gaussians_in_real_space(two_atoms):
    """Truth: the Gaussian that Situs' kernel names, evaluated voxel by voxel."""
    box, voxel_size, kernel = 32, 2.0, SitusKernel(15.0)
    density = AtomicModel(str(two_atoms), AtomicNumber(), kernel).density(box, voxel_size).density
    axis = (torch.arange(box) - box // 2) * voxel_size
    z, y, x = torch.meshgrid(axis, axis, axis, indexing="ij")
    spread = 15.0 / 2  # Situs: the three-dimensional standard deviation
    expected = torch.zeros(box, box, box)
    for centre in (-10.0, -2.0), (10.0, 2.0):
        squared = (x - centre[0]).square() + (y - centre[1]).square() + z.square()
        expected += torch.exp(-1.5 * squared / spread**2)
    expected *= 6 / (2 * math.pi * kernel.sigma_angstrom**2) ** 1.5 * voxel_size**3
    torch.testing.assert_close(density, expected, atol=1e-4 * float(expected.max()), rtol=0)


def test_the_fourier_kernel_falls_to_one_e_at_its_resolution():
    sigma = FourierKernel(20.0).sigma_angstrom
    assert math.exp(-2 * math.pi**2 * sigma**2 / 20.0**2) == pytest.approx(1 / math.e)


def test_carbon_scatters_as_tabulated():
    """International Tables C, table 4.3.1.1: f(0) of carbon is 2.5 A, f at s = 0.5 / A is 1.17 A."""
    rows = ElectronScattering().form_factor(gemmi.Element("C"))
    at = [float((rows[:, 0] * torch.exp(-rows[:, 1] * s**2)).sum()) for s in (0.0, 0.5)]
    assert at[0] == pytest.approx(2.509, abs=0.01)
    assert at[1] == pytest.approx(1.17, abs=0.03)


def test_refuses_files_without_atoms(tmp_path):
    empty = tmp_path / "empty.pdb"
    empty.write_text("HEADER    NOTHING\nEND\n")
    with pytest.raises(InputError, match=r"empty\.pdb: expected an atomic model, found no atoms"):
        read_atoms(empty, ElectronScattering())


def test_refuses_unknown_elements(tmp_path):
    path = write_pdb(tmp_path / "odd.pdb", [("CA", "C", 0.0, 0.0, 0.0), ("QQ", "Qx", 1.0, 0.0, 0.0)])
    with pytest.raises(InputError, match="'QQ' of residue ALA 2 in chain A: expected an element up to Cf, got 'X'"):
        read_atoms(path, ElectronScattering())


def test_refuses_missing_and_unreadable_files(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_atoms(tmp_path / "none.pdb", ElectronScattering())
    broken = tmp_path / "broken.cif"
    broken.write_text("loop_\n_a.b\n")
    with pytest.raises(InputError, match=r"broken\.cif"):
        read_atoms(broken, ElectronScattering())


def test_refuses_an_unknown_assembly(two_atoms):
    with pytest.raises(InputError, match="biological assembly named '1', it has none"):
        read_atoms(two_atoms, ElectronScattering(), assembly="1")


def test_a_box_too_small_says_which_would_do(two_atoms):
    with pytest.raises(InputError, match="use box=14 or a larger voxel size"):
        AtomicModel(str(two_atoms)).density(12, 2.0)
    AtomicModel(str(two_atoms)).density(14, 2.0)


def test_real_groel_is_seven_fold(shared_data):
    """1OEL 14-mer at 6 A in a box of 64: self-correlation at 20 A under each operation of D7."""
    model = read_atoms(shared_data / "groel" / "1oel_14mer.pdb.gz", ElectronScattering())
    reference = density_of(model, 64, 4.0, FourierKernel(6.0).sigma_angstrom)
    low = low_pass(reference.density, 20.0, 4.0)
    rotations = Symmetry("D7").rotations.float()
    spectra = place_spectrum(ContinuousSpectrum.of(low), Poses(rotations, torch.zeros(14, 3)))
    turned = from_half_spectrum(spectra, reference.box).flatten(1)
    turned = turned - turned.mean(1, keepdim=True)
    correlation = turned @ turned[0] / (turned.norm(dim=1) * turned[0].norm())
    assert float(correlation.min()) > 0.99


@pytest.mark.slow
def test_assembly_is_built_on_request(shared_data):
    path = shared_data / "groel" / "1aon.pdb.gz"
    model = read_atoms(path, ElectronScattering(), assembly="1")
    assert len(model) == len(read_atoms(path, ElectronScattering()))
    with pytest.raises(InputError, match="it has 1; choose one"):
        read_atoms(path, ElectronScattering(), assembly="7")


def test_atoms_are_inside_their_density(two_atoms):
    density = AtomicModel(str(two_atoms), kernel=FourierKernel(8.0)).density(32, 2.0).density
    assert float(density[centred_radius((32, 32, 32)) > 14].abs().max()) < 1e-2 * float(density.max())


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("   nan   0.000   0.000  1.00  0.00           C", "expected finite coordinates"),
        ("   0.000   0.000   0.000  1.00  0.00          Es", "expected an element up to Cf, got 'Es'"),
        ("   0.000   0.000   0.000 -1.00  0.00           C", "expected an occupancy from 0"),
    ],
)
def test_atoms_that_cannot_scatter_are_named(tmp_path, line, message):
    good = "ATOM      2  CB  ALA A   1       3.000   1.000   0.000  1.00  0.00           C"
    (tmp_path / "a.pdb").write_text(f"ATOM      1  CA  ALA A   1    {line.rjust(48)}\n{good}\nEND\n")
    with pytest.raises(InputError, match=rf"a\.pdb: atom 'CA' of residue ALA 1 in chain A: {message}"):
        read_atoms(tmp_path / "a.pdb", ElectronScattering())


@pytest.mark.parametrize("text", ["data_x\nloop_\n_atom_site.id\n_atom_site.type_symbol\n1\n", "data_x\n", "garbage"])
def test_damaged_mmcif_is_one_sentence(tmp_path, text):
    (tmp_path / "a.cif").write_text(text)
    with pytest.raises(InputError, match=r"a\.cif: "):
        read_atoms(tmp_path / "a.cif", ElectronScattering())
