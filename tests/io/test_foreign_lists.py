"""Lists of Dynamo, AV3, STOPGAP and PyTom: files of their own, and one list through all of them."""

from dataclasses import replace
from pathlib import Path

import emfile
import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations, rotation_distance
from torchsag.io import av3, dynamo, pytom, read_particles, stopgap
from torchsag.io.em import write_em
from torchsag.io.foreign import numbered_names, particle_numbers, tomogram_numbers, trailing_number
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.zxz import zxz_to_matrix
from torchsag.particles import TiltRange, Transfer

STOPGAP_TEXT = """
data_stopgap_motivelist

loop_
_motl_idx
_tomo_num
_object
_subtomo_num
_halfset
_orig_x
_orig_y
_orig_z
_score
_x_shift
_y_shift
_z_shift
_phi
_psi
_the
_class

1 3 1 17 A 100.0 200.0 50.0 0.4 0.5 -1.25 2.0 10.0 20.0 30.0 1
2 3 1 18 B 110.0 210.0 60.0 0.5 0.0 0.0 0.0 -170.0 5.0 90.0 2
"""

PYTOM_TEXT = """<ParticleList>
  <Particle Filename="p0.mrc">
    <Rotation Z1="10.0" Paradigm="ZXZ" X="30.0" Z2="20.0"/>
    <Shift Y="-1.25" X="0.5" Z="2.0"/>
    <PickPosition Origin="tomo.em" Y="200.0" X="100.0" Z="50.0"/>
    <Score Type="FLCFScore" Value="0.4"/>
    <WedgeInfo Angle1="30.0" Angle2="35.0" CutoffRadius="0.0" TiltAxis="custom">
      <Rotation Z1="0.0" Z2="0.0" X="0.0"/>
    </WedgeInfo>
    <Class Name="2"/>
  </Particle>
</ParticleList>
"""


def _listing(count=5):
    generator = torch.Generator().manual_seed(7)
    return ParticleList(
        path=Path("list"),
        folders=(Path(),),
        names=[f"vol_{k + 11:03d}.mrc" for k in range(count)],
        weighting=Transfer(),
        tilt_ranges=[TiltRange(-60.0, 50.0)] * count,
        rotations=random_rotations(count, generator, torch.float64),
        shifts=torch.randn(count, 3, generator=generator, dtype=torch.float64),
        halves=torch.tensor([1, 2, 1, 2, 1])[:count],
        classes=torch.tensor([1, 1, 2, 3, 2])[:count],
        tomograms=["4", "4", "9", "9", "9"][:count],
        positions=100 * torch.rand(count, 3, generator=generator, dtype=torch.float64),
        scores=torch.rand(count, generator=generator, dtype=torch.float64),
    )


FORMATS = {
    "dynamo": (dynamo.write_table, dynamo.read_table, "a.tbl"),
    "av3": (av3.write_motive_list, av3.read_motive_list, "a.em"),
    "stopgap": (stopgap.write_motive_list, stopgap.read_motive_list, "a.star"),
    "pytom": (pytom.write_particle_list, pytom.read_particle_list, "a.xml"),
}


@pytest.mark.parametrize("program", FORMATS)
def test_round_trip(tmp_path, program):
    write, read, name = FORMATS[program]
    listing = _listing()
    write(tmp_path / name, listing)
    back = read(tmp_path / name)
    assert torch.rad2deg(rotation_distance(back.rotations, listing.rotations)).max() < 1e-4
    torch.testing.assert_close(back.shifts, listing.shifts, atol=1e-5, rtol=0)
    torch.testing.assert_close(back.positions, listing.positions, atol=1e-5, rtol=0)
    torch.testing.assert_close(back.scores, listing.scores, atol=1e-5, rtol=0)
    assert back.classes.tolist() == listing.classes.tolist()
    assert list(back.tomograms) == list(listing.tomograms)
    assert [trailing_number(n) for n in back.names] == [11, 12, 13, 14, 15]
    if program in ("dynamo", "pytom"):
        assert back.tilt_ranges == listing.tilt_ranges
    if program == "stopgap":
        assert back.halves.tolist() == listing.halves.tolist()


@pytest.mark.parametrize("program", FORMATS)
def test_turned_boxes_are_turned_back_to_the_tomogram(tmp_path, program):
    write, read, name = FORMATS[program]
    plain = _listing()
    frames = random_rotations(5, torch.Generator().manual_seed(1), torch.float64)
    turned = ParticleList(
        Path("list"), (), plain.names, Transfer(), rotations=plain.rotations, shifts=plain.shifts, box_frames=frames
    )
    write(tmp_path / name, turned)
    back = read(tmp_path / name)
    assert torch.rad2deg(rotation_distance(back.rotations, frames @ plain.rotations)).max() < 1e-4
    expected = torch.einsum("pij,pj->pi", frames, plain.shifts)
    torch.testing.assert_close(back.shifts, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("program", FORMATS)
def test_shifts_in_angstrom_need_a_voxel_size(tmp_path, program):
    write, read, name = FORMATS[program]
    plain = _listing()
    listing = ParticleList(Path("list"), (), plain.names, Transfer(), shifts=4 * plain.shifts, shift_unit="angstrom")
    with pytest.raises(InputError, match="voxel_size_angstrom"):
        write(tmp_path / name, listing)
    write(tmp_path / name, listing, 4.0)
    torch.testing.assert_close(read(tmp_path / name).shifts, plain.shifts, atol=1e-5, rtol=0)


def test_a_list_that_says_nothing_but_names(tmp_path):
    for write, read, name in FORMATS.values():
        write(tmp_path / name, ParticleList(Path("list"), (), ["a.mrc", "b.mrc"], Transfer()))
        back = read(tmp_path / name)
        torch.testing.assert_close(back.rotations, torch.eye(3, dtype=torch.float64).expand(2, 3, 3))
        assert back.shifts.abs().max() == 0


class TestTheirOwnFiles:
    def test_dynamo_table(self, shared_data, tmp_path):
        path = shared_data / "metadata" / "dynamo" / "example.tbl"
        listing = dynamo.read_table(path)
        assert listing.names[0] == "particle_000043.em"
        assert listing.shifts[0].tolist() == [-1.1651, -2.3275, 3.8319]
        # (tdrot, tilt, narot) turn the particle back: the reference is turned by their negatives in reverse order.
        expected = zxz_to_matrix(torch.tensor([[96.518, 32.745, -7.6126]], dtype=torch.float64))
        torch.testing.assert_close(listing.rotations[:1], expected)
        assert listing.tilt_ranges[0] == TiltRange(-60.0, 60.0)
        assert listing.positions[0].tolist() == [508.5, 378.5, 318.5]
        assert float(listing.scores[0]) == 0.15539
        dynamo.write_table(tmp_path / "copy.tbl", listing)
        ours, theirs = np.loadtxt(tmp_path / "copy.tbl"), np.loadtxt(path)
        used = [0, 3, 4, 5, 6, 7, 8, 9, 12, 13, 14, 19, 21, 23, 24, 25]
        np.testing.assert_allclose(ours[:, used], theirs[:, used], rtol=1e-6, atol=1e-9)

    def test_dynamo_picks(self, shared_data):
        listing = dynamo.read_table(shared_data / "metadata" / "dynamo" / "picked_b8.tbl")
        assert torch.equal(listing.rotations[0], torch.eye(3, dtype=torch.float64))
        assert listing.positions[1].tolist() == [63.683, 25.962, 81]

    def test_av3_motive_list(self, shared_data, tmp_path):
        path = shared_data / "metadata" / "motl" / "au_1.em"
        listing = av3.read_motive_list(path)
        assert len(listing.names) == 64
        assert listing.names[:2] == ["particle_1.em", "particle_2.em"]
        assert listing.positions[0].tolist() == [230, 201, 178]
        expected = torch.tensor([-0.169803, -0.106735, 0.370416], dtype=torch.float64)
        torch.testing.assert_close(listing.shifts[0], expected, atol=1e-6, rtol=0)
        assert listing.tomograms[0] == "160"
        av3.write_motive_list(tmp_path / "copy.em", listing)
        ours, theirs = (emfile.read(str(file))[1][0] for file in (tmp_path / "copy.em", path))
        used = [0, 3, 4, 7, 8, 9, 10, 11, 12, 18, 19]
        turns = (ours - theirs)[:, 16:18] / 360
        np.testing.assert_allclose(turns, turns.round(), atol=1e-6)
        np.testing.assert_allclose(ours[:, used], theirs[:, used], rtol=1e-5, atol=1e-4)

    def test_stopgap_motive_list(self, tmp_path):
        (tmp_path / "motl_1.star").write_text(STOPGAP_TEXT)
        listing = stopgap.read_motive_list(tmp_path / "motl_1.star")
        assert listing.names == ["subtomo_17.mrc", "subtomo_18.mrc"]
        assert listing.shifts[0].tolist() == [0.5, -1.25, 2.0]
        assert listing.halves.tolist() == [1, 2]
        expected = zxz_to_matrix(torch.tensor([[10.0, 20.0, 30.0]], dtype=torch.float64))
        torch.testing.assert_close(listing.rotations[:1], expected)
        stopgap.write_motive_list(tmp_path / "copy.star", listing)
        lines = (tmp_path / "copy.star").read_text().splitlines()
        first = lines.index("_class") + 2  # its reader drops the line right below the last name
        assert lines[first - 1] == ""
        assert [float(v) if v not in "AB" else v for v in lines[first].split()] == [
            1, 3, 1, 17, "A", 100, 200, 50, 0.4, 0.5, -1.25, 2, 10, 20, 30, 1,
        ]  # fmt: skip

    def test_pytom_particle_list(self, tmp_path):
        (tmp_path / "pl.xml").write_text(PYTOM_TEXT)
        listing = pytom.read_particle_list(tmp_path / "pl.xml")
        expected = zxz_to_matrix(torch.tensor([[10.0, 20.0, 30.0]], dtype=torch.float64))
        torch.testing.assert_close(listing.rotations, expected)
        assert listing.shifts.tolist() == [[0.5, -1.25, 2.0]]
        assert listing.tilt_ranges == [TiltRange(-60.0, 55.0)]
        assert listing.tomograms == ["tomo.em"]
        assert listing.classes.tolist() == [2]


def test_volumes_are_found_by_number(write_volumes, tmp_path):
    folder = write_volumes(count=3, folder=tmp_path / "subtomograms")
    (folder / "p0.mrc").rename(folder / "p_00017.mrc")
    (folder / "p1.mrc").rename(folder / "p_00018.mrc")
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "motl_1.star").write_text(STOPGAP_TEXT)
    particles = read_particles(tmp_path / "lists" / "motl_1.star", tilt_min_deg=-60, tilt_max_deg=60)
    assert particles.names == ("../subtomograms/p_00017.mrc", "../subtomograms/p_00018.mrc")
    assert particles.halves.tolist() == [1, 2]
    assert particles.load([0, 1]).volumes.shape == (2, 6, 6, 6)
    dynamo.write_table(tmp_path / "t.tbl", _listing(2))
    assert numbered_names(tmp_path / "t.tbl", [5], "x_{:d}.em") == ["x_5.em"]


def test_motive_list_and_volume_in_em_are_told_apart(tmp_path):
    write_em(tmp_path / "vol.em", np.arange(27.0).reshape(3, 3, 3))
    assert not av3.is_motive_list(tmp_path / "vol.em")
    assert read_particles(tmp_path / "vol.em", voxel_size_angstrom=2.0).box == (3, 3, 3)
    with pytest.raises(InputError, match="motive list"):
        av3.read_motive_list(tmp_path / "vol.em")
    av3.write_motive_list(tmp_path / "motl.em", _listing())
    assert av3.is_motive_list(tmp_path / "motl.em")


def test_numbers_of_particles_and_tomograms():
    listing = _listing(3)
    assert particle_numbers(listing) == [11, 12, 13]
    assert trailing_number("a_0042.em.gz") == 42
    assert trailing_number("tomo3_x.mrc") is None
    other = ParticleList(Path("l"), (), ["a/p_1.mrc", "b/p_1.mrc"], Transfer(), tomograms=["TS_b", "TS_a"])
    assert particle_numbers(other) == [1, 2]
    assert tomogram_numbers(other) == [1, 2]


@pytest.mark.parametrize(
    ("name", "text", "read", "message"),
    [
        ("a.tbl", "", dynamo.read_table, "empty list"),
        ("a.tbl", "1 2 3\n", dynamo.read_table, "line 1: expected 26 numbers, got 3"),
        ("a.tbl", "1 " * 26 + "\n" + "x " * 26, dynamo.read_table, "line 2: expected numbers"),
        ("a.tbl", "1 " * 26 + "\n" + "1 " * 27, dynamo.read_table, "line 2: expected 26 numbers, got 27"),
        ("a.star", "data_x\n_a 1\n", stopgap.read_motive_list, "expected a STOPGAP motive list"),
        (
            "a.star",
            STOPGAP_TEXT.replace("17 A 100.0", "17 A left"),
            stopgap.read_motive_list,
            "entry 1: expected a number as orig_x, got 'left'",
        ),
        ("a.xml", "no xml", pytom.read_particle_list, "cannot be read as XML"),
        ("a.xml", "<ParticleList/>", pytom.read_particle_list, "expected a PyTom list"),
        (
            "a.xml",
            PYTOM_TEXT.replace('"10.0"', '"ten"'),
            pytom.read_particle_list,
            "a number as Z1 in <Rotation>",
        ),
        (
            "a.xml",
            PYTOM_TEXT.replace('"35.0"', '"x"'),
            pytom.read_particle_list,
            "a number as Angle2 in <WedgeInfo>",
        ),
    ],
)
def test_broken_lists_are_one_sentence(tmp_path, name, text, read, message):
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read(tmp_path / name)


@pytest.mark.parametrize("program", FORMATS)
def test_missing_list(tmp_path, program):
    with pytest.raises(InputError, match="no such file"):
        FORMATS[program][1](tmp_path / FORMATS[program][2])


def test_poses_type():
    assert isinstance(_listing().tomogram_poses(None), Poses)


def test_a_motive_list_of_another_round_is_no_particle(tmp_path):
    listing = ParticleList(tmp_path / "x", (), ["p_1.em", "p_2.em"], Transfer())
    for number in (1, 2, 3):
        av3.write_motive_list(tmp_path / f"motl_{number}.em", listing)
    assert read_list(tmp_path / "motl_3.em").names == ["particle_1.em", "particle_2.em"]


def test_numbers_that_a_list_cannot_give_back_do_not_count(tmp_path):
    large = ParticleList(tmp_path / "x", (), ["p_20240131120000.em", "p_7.em"], Transfer(), tomograms=["99999999", "3"])
    assert particle_numbers(large) == [1, 2]
    assert tomogram_numbers(large, 2**24) == [1, 2]
    av3.write_motive_list(tmp_path / "motl.em", large)
    assert read_list(tmp_path / "motl.em").tomograms == ["99999999", "3"]
    beyond = replace(large, classes=torch.tensor([2**24 + 1, 1]))
    with pytest.raises(InputError, match="whole number from -16777216 to 16777216 as class"):
        av3.write_motive_list(tmp_path / "other.em", beyond)
