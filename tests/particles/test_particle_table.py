"""A particle set as a table, and in a line."""

import builtins

import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.particles import ParticleSet

VOLUMES = torch.randn(3, 8, 8, 8, generator=torch.Generator().manual_seed(0))
ZYZ = torch.deg2rad(torch.tensor([[10.0, 20.0, 30.0], [-90.0, 45.0, 0.0], [0.0, 90.0, 170.0]], dtype=torch.float64))
SHIFTS = torch.tensor([[1.0, -2.0, 0.5]] * 3, dtype=torch.float64)


def test_all_that_a_list_says_has_a_column_with_its_unit():
    particles = ParticleSet.from_arrays(VOLUMES, 4.0, poses=Poses.from_zyz(ZYZ, SHIFTS), names=["a", "b", "c"])
    object.__setattr__(particles, "halves", torch.tensor([1, 2, 1]))
    object.__setattr__(particles, "tomograms", ("one", "one", "two"))
    object.__setattr__(particles, "places", torch.tensor([[40.0, 80.0, 120.0]] * 3))
    table = particles.to_pandas()
    assert list(table) == [
        "name", "row", "tomogram", "half", "x_angstrom", "y_angstrom", "z_angstrom", "rot_deg", "tilt_deg", "psi_deg",
        "shift_x_angstrom", "shift_y_angstrom", "shift_z_angstrom",
    ]  # fmt: skip
    assert table["name"].tolist() == ["a", "b", "c"]
    assert table["tomogram"].tolist() == ["one", "one", "two"]
    assert table[["rot_deg", "tilt_deg", "psi_deg"]].values.ravel().tolist() == pytest.approx(
        torch.rad2deg(ZYZ).flatten().tolist(), abs=1e-9
    )
    assert table.loc[1, ["shift_x_angstrom", "shift_y_angstrom", "shift_z_angstrom"]].tolist() == [4.0, -8.0, 2.0]
    assert table.loc[2, ["x_angstrom", "y_angstrom", "z_angstrom"]].tolist() == [40.0, 80.0, 120.0]


def test_of_some_particles_the_rows_of_the_list_are_kept():
    assert ParticleSet.from_arrays(VOLUMES, 4.0)[[2, 0]].to_pandas()["row"].tolist() == [2, 0]


def test_without_pandas_it_says_how_to_get_it(monkeypatch):
    real = builtins.__import__

    def without(name, *more, **words):
        if name == "pandas":
            raise ImportError(name)
        return real(name, *more, **words)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install 'torchsag\[table\]'"):
        ParticleSet.from_arrays(VOLUMES, 4.0).to_pandas()


def test_sets_and_batches_print_in_a_line():
    particles = ParticleSet.from_arrays(VOLUMES, 4.0, poses=Poses.from_zyz(ZYZ, SHIFTS))
    assert repr(particles) == "ParticleSet(3 particles of 8 x 8 x 8 voxels of 4 angstrom; poses)"
    said = "2 particles of 8 x 8 x 8 voxels of 4 angstrom, 1 weights; torch.float32 on cpu; with prior poses"
    assert repr(particles.load([0, 1])) == f"ParticleBatch({said})"


def test_a_device_that_is_not_there_is_refused_in_a_sentence():
    with pytest.raises(InputError, match="particles: expected one of the"):
        ParticleSet.from_arrays(VOLUMES, 4.0).load([0], "cuda:99")
