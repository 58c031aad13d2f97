"""What the campaigns found, each kind once."""

import gzip
import json
import logging
import struct

import gemmi
import numpy as np
import pandas as pd
import pytest

from torchsag.app.components import build
from torchsag.errors import InputError
from torchsag.io import read_map, read_particles
from torchsag.io.em import write_em
from torchsag.io.mrc import read_mrc, write_mrc
from torchsag.io.position_list import read_positions
from torchsag.io.relion import read_relion_list
from torchsag.simulation.atoms import read_atoms
from torchsag.simulation.scattering import ElectronScattering

VOLUME = np.random.default_rng(0).normal(size=(6, 6, 6)).astype(np.float32)


@pytest.fixture
def pdb(tmp_path):
    rows = "".join(
        f"ATOM  {k:>5d}  CA  ALA A{k:>4d}    {3.0 * k:8.3f}{k * k:8.3f}{-k:8.3f}  1.00 20.00           C  \n"
        for k in range(1, 7)
    )
    (tmp_path / "a.pdb").write_text(rows + "END\n")
    return tmp_path / "a.pdb"


@pytest.mark.parametrize("write", [write_em, lambda path, volume: write_mrc(path, volume, 5.0)])
def test_bytes_that_got_into_a_volume_are_said(tmp_path, caplog, write):
    path = tmp_path / ("a.em" if write is write_em else "a.mrc")
    write(path, VOLUME)
    read_map(path, 5.0)
    assert not caplog.messages
    data = path.read_bytes()
    path.write_bytes(data[:-100] + b"\0" * 8 + data[-100:])
    read_map(path, 5.0)
    assert any("8 bytes more than its header promises" in message for message in caplog.messages)


def test_packed_volumes_are_read_to_their_checksum(tmp_path):
    packed = gzip.compress(VOLUME.tobytes())
    path = tmp_path / "a.mrc.gz"
    write_mrc(path, np.stack([VOLUME, 2 * VOLUME]), 5.0)
    np.testing.assert_array_equal(read_mrc(path, 0), VOLUME)
    data = bytearray(path.read_bytes())
    data[-6] ^= 4
    for damaged in (data, data[:-8], data[:-2]):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="damaged gzip file"):
            read_mrc(path, 1)
    assert len(packed) > 100


def test_models_with_other_bytes_are_refused_and_what_is_not_read_is_said(pdb, caplog):
    whole = pdb.read_bytes()
    for damaged, said in (
        (whole.replace(b"20.00      ", b"20.00\0     ", 1), "control characters"),
        (whole.replace(b"CA  ALA A   3", b"\xff\xff  ALA A   3"), "a.pdb"),
    ):
        pdb.write_bytes(damaged)
        with pytest.raises(InputError, match=said):
            read_atoms(pdb, ElectronScattering())
    lines = whole.split(b"\n")
    pdb.write_bytes(b"\n".join([*lines[:2], b"END", *lines[3:]]))
    assert len(read_atoms(pdb, ElectronScattering()).positions) == 2
    assert "atoms behind its line END" in caplog.text
    caplog.clear()
    pdb.write_bytes(whole)
    structure = gemmi.read_structure(str(pdb))
    structure.add_model(structure[0])
    structure.renumber_models()
    structure.write_pdb(str(pdb))
    assert len(read_atoms(pdb, ElectronScattering()).positions) == 6
    assert "holds 2 models, the first is taken" in caplog.text


def test_packed_models_are_held_against_their_checksum(pdb):
    packed = bytearray(gzip.compress(pdb.read_bytes()))
    packed[-7] ^= 1
    path = pdb.with_name("a.pdb.gz")
    path.write_bytes(packed)
    with pytest.raises(InputError, match="copy the file again"):
        read_atoms(path, ElectronScattering())


def test_a_position_that_lacks_an_axis_is_said(tmp_path, caplog):
    path = tmp_path / "p.star"
    path.write_text("data_\n\nloop_\n_rlnImageName\n_rlnCoordinateX\n_rlnCoordinateY\na.mrc 1 2\nb.mrc 3 4\n")
    with caplog.at_level(logging.WARNING):
        assert read_relion_list(path).positions is None
    assert "rlnCoordinateZ not listed, so that positions stay unknown" in caplog.text


@pytest.mark.parametrize("name", ["a" * 300, "b/" * 3000])
@pytest.mark.parametrize("key", ["rlnTomoParticlesFile", "rlnTomoTomogramsFile"])
def test_names_that_no_file_can_have_are_refused(tmp_path, name, key):
    (tmp_path / "p.star").write_text("data_particles\n\nloop_\n_rlnImageName\n_rlnTomoName\na.mrc t\n")
    names = {"rlnTomoParticlesFile": "p.star", "rlnTomoTomogramsFile": "t.star", key: name}
    path = tmp_path / "optimisation_set.star"
    path.write_text("data_\n\n" + "".join(f"_{one} {value}\n" for one, value in names.items()))
    with pytest.raises(InputError):
        read_particles(path)


def test_numbers_that_no_float_holds_are_refused(tmp_path):
    target = "torchsag.search.rotational_matching.RotationalMatching"
    with pytest.raises(InputError, match="max_shift: expected a number, got one of 401 digits"):
        build({"_target_": target, "max_shift": 10**400})
    record = {"type": "orientedPoint", "location": {"x": 1, "y": 10**400, "z": 2}}
    (tmp_path / "points.ndjson").write_text(json.dumps(record) + "\n")
    with pytest.raises(InputError, match="entry 1: expected location"):
        read_positions(tmp_path / "points.ndjson")


def test_a_model_without_its_end_does_not_hang(tmp_path):
    imodmodel = pytest.importorskip("imodmodel")
    table = {"object_id": [0, 0], "contour_id": [0, 0], "x": [1.5, 2.5], "y": [3.5, 4.5], "z": [5.0, 6.0]}
    path = tmp_path / "a.mod"
    imodmodel.write(pd.DataFrame(table), path)
    data = path.read_bytes()
    for damaged in (data[:-4], data.replace(b"IEOF", b"IEOX" + struct.pack(">i", 7))):
        path.write_bytes(damaged)
        with pytest.raises(InputError, match="ends before its last chunk"):
            read_positions(path)


def test_a_model_of_which_no_atom_is_occupied_is_refused(pdb):
    """Found by coverage-guided fuzzing: its centre was no number, and so were all positions."""
    pdb.write_text(pdb.read_text().replace("  1.00", "  0.00"))
    assert "  0.00" in pdb.read_text()
    with pytest.raises(InputError, match="occupancy of 0 for every atom"):
        read_atoms(pdb, ElectronScattering())


@pytest.mark.parametrize("text", ["", "# nothing but this\n", "\n\n"])
def test_an_mmcif_file_without_a_block_is_refused(tmp_path, text):
    """Found by coverage-guided fuzzing."""
    (tmp_path / "a.cif").write_text(text)
    with pytest.raises(InputError, match=r"a\.cif: "):
        read_atoms(tmp_path / "a.cif", ElectronScattering())
