"""The wedge that other programs' lists say, or a refusal that names what cannot be modelled."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from torchsag.errors import InputError
from torchsag.imaging.ctf import Microscope
from torchsag.imaging.wedge import missing_wedge
from torchsag.io import convert_list, read_particles, write_poses
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList
from torchsag.io.pytom import write_particle_list
from torchsag.io.wedge_list import read_wedge_list
from torchsag.particles import Tilt, TiltRange, TiltScheme, Transfer

SINGLE = (
    '<SingleTiltWedge Angle1="30.0" Angle2="40.0" CutoffRadius="0.0" Smooth="0.0">'
    '<TiltAxisRotation Z1="{0}" Z2="{1}" X="{2}"/></SingleTiltWedge>'
)


def _pytom(tmp_path, wedge):
    text = (
        '<ParticleList><Particle Filename="p0.mrc"><Rotation Z1="0" Z2="0" X="0"/><Shift X="0" Y="0" Z="0"/>'
        f'<PickPosition X="1" Y="1" Z="1" Origin="t"/>{wedge}<Class Name="0"/></Particle></ParticleList>'
    )
    (tmp_path / "a.xml").write_text(text)
    return tmp_path / "a.xml"


@pytest.mark.parametrize(
    ("wedge", "expected"),
    [
        (SINGLE.format(0, 0, 0), TiltRange(-60.0, 50.0)),
        (SINGLE.format(90, 0, 0), TiltRange(-60.0, 50.0, 90.0)),
        (SINGLE.format(10, 20, 0), TiltRange(-60.0, 50.0, 30.0)),
        (
            f"<DoubleTiltWedge>{SINGLE.format(0, 0, 0)}{SINGLE.format(90, 0, 0)}</DoubleTiltWedge>",
            TiltScheme((TiltRange(-60.0, 50.0), TiltRange(-60.0, 50.0, 90.0))),
        ),
        ('<WedgeInfo Angle="30" CutoffRadius="0" TiltAxis="Y"/>', TiltRange(-60.0, 60.0)),
        ('<WedgeInfo Angle1="30" Angle2="35" CutoffRadius="0" TiltAxis="X"/>', TiltRange(-60.0, 55.0, 90.0)),
        ('<WedgeInfo Angle1="0" Angle2="0" CutoffRadius="0"/>', TiltRange(-90.0, 90.0)),
        ("", None),
    ],
)
def test_pytom(tmp_path, wedge, expected):
    listing = read_list(_pytom(tmp_path, wedge))
    assert listing.tilt_ranges == [expected]
    write_particle_list(tmp_path / "b.xml", listing)
    assert read_list(tmp_path / "b.xml").tilt_ranges == [expected]
    convert_list(tmp_path / "a.xml", tmp_path / "a.star", voxel_size_angstrom=4.0)
    back = read_list(tmp_path / "a.star").tilt_ranges
    assert back == ([expected] if expected else None)


# (kx, ky, kz), and whether ``create_wedge(30, 40, 0, 24, 24, 24, 0, (Z1, 0, 0))`` of PyTom's agnostic/filter.py (github
# main of April 2025, run) keeps it; of all 956 within 8 voxels none differed.
PYTOM_POINTS = {
    90: {(0, 5, 8): 1, (0, 5, 9): 0, (0, -5, 5): 1, (0, -5, 6): 0, (5, 0, 5): 0, (6, 3, 4): 1, (6, -3, 9): 0,
         (3, 6, 9): 1, (-3, -6, 9): 0, (-3, -6, 7): 1},
    25: {(0, 5, 7): 0, (0, -5, 5): 0, (5, 0, 5): 1, (-5, 0, 5): 1, (6, 3, 4): 1, (-6, 3, 9): 0, (3, 6, 9): 1,
         (3, 6, 7): 1, (-3, -6, 7): 0},
}  # fmt: skip


@pytest.mark.parametrize("turn", PYTOM_POINTS)
def test_pytom_wedges_keep_what_pytom_keeps(tmp_path, turn):
    (found,) = read_list(_pytom(tmp_path, SINGLE.format(turn, 0, 0))).tilt_ranges
    kept = missing_wedge((24, 24, 24), found.tilt_min_deg, found.tilt_max_deg, axis_deg=found.axis_deg)
    for (x, y, z), expected in PYTOM_POINTS[turn].items():
        assert kept[(z, y, x) if x >= 0 else (-z, -y, -x)] == expected


@pytest.mark.parametrize(
    ("wedge", "message"),
    [
        (SINGLE.format(0, 0, 90), "entry 1: expected a tilt axis in the plane"),
        ('<WedgeInfo Angle="30" TiltAxis="Z"/>', "entry 1: expected a tilt axis in the plane"),
        ('<GeneralWedge WedgeFile="w.mrc"/>', "entry 1: a GeneralWedge"),
        ('<WedgeInfo Angle="100"/>', "entry 1: tilt range"),
    ],
)
def test_pytom_wedges_that_cannot_be_modelled(tmp_path, wedge, message):
    with pytest.raises(InputError, match=message):
        read_list(_pytom(tmp_path, wedge))


def _row(tag=1, use=1, ftype=1, limits=(-60, 60, -50, 40)):
    row = ["0"] * 35
    row[0], row[1], row[12], row[13:17], row[19], row[21] = str(tag), str(use), str(ftype), map(str, limits), "1", "1"
    return " ".join(row) + "\n"


def test_dynamo_tilts_about_y_and_about_x(tmp_path):
    (tmp_path / "a.tbl").write_text(_row() + _row(2, ftype=2) + _row(3, ftype=0) + _row(4, limits=(0, 0, 0, 0)))
    expected = [TiltRange(-60.0, 60.0), TiltRange(-50.0, 40.0, -90.0), None, None]
    assert read_list(tmp_path / "a.tbl").tilt_ranges == expected
    for target in ("b.star", "b.tbl"):
        convert_list(tmp_path / "a.tbl", tmp_path / target, voxel_size_angstrom=4.0)
        assert read_list(tmp_path / target).tilt_ranges == expected


@pytest.mark.parametrize("ftype", [3, 4, 5, 6, 7, -1])
def test_dynamo_types_that_cannot_be_modelled(tmp_path, ftype):
    (tmp_path / "a.tbl").write_text(_row() + _row(2, ftype=ftype))
    with pytest.raises(InputError, match=rf"entry 2: .*column 13 \(ftype\), got {ftype}"):
        read_list(tmp_path / "a.tbl")


def test_dynamo_particles_not_to_be_used_are_set_aside(tmp_path, caplog):
    (tmp_path / "a.tbl").write_text(_row(1) + _row(2, use=0) + _row(3))
    assert list(read_list(tmp_path / "a.tbl").names) == ["particle_000001.em", "particle_000003.em"]
    assert "1 of 3 particles have 0 in column 2 (aligned) and are set aside" in caplog.text
    (tmp_path / "b.tbl").write_text(_row(1, use=0) + _row(2, use=0))
    assert len(read_list(tmp_path / "b.tbl").names) == 2


def test_formats_that_cannot_say_a_wedge_say_so(tmp_path):
    double = TiltScheme((TiltRange(-60.0, 60.0), TiltRange(-60.0, 60.0, 90.0)))
    listing = ParticleList(Path("l"), (), ["a.mrc"], Transfer(), tilt_ranges=[double])
    write_particle_list(tmp_path / "a.xml", listing)
    for target in ("a.tbl", "a.csv"):
        with pytest.raises(InputError, match=r"a\.mrc: expected one tilt range about one axis"):
            convert_list(tmp_path / "a.xml", tmp_path / target)
    write_particle_list(tmp_path / "a.xml", replace(listing, tilt_ranges=[TiltRange(-60.0, 60.0, 30.0)]))
    with pytest.raises(InputError, match="30 degrees from y, which a Dynamo table cannot say"):
        convert_list(tmp_path / "a.xml", tmp_path / "a.tbl")
    convert_list(tmp_path / "a.xml", tmp_path / "a.csv")
    assert read_list(tmp_path / "a.csv").tilt_ranges == [TiltRange(-60.0, 60.0, 30.0)]


def _stopgap_project(tmp_path, write_volumes, tomograms=(1, 2)):
    folder = write_volumes(count=2, n=8, folder=tmp_path / "subtomograms")
    for k in range(2):
        (folder / f"p{k}.mrc").rename(folder / f"subtomo_{k + 1:06d}.mrc")
    lists = tmp_path / "lists"
    lists.mkdir()
    columns = "motl_idx tomo_num object subtomo_num halfset orig_x orig_y orig_z score x_shift y_shift z_shift phi psi"
    heads = "".join(f"_{name}\n" for name in (*columns.split(), "the", "class"))
    rows = "".join(f"{k} {t} 1 {k} A 0 0 0 0 0 0 0 0 0 0 1\n" for k, t in enumerate(tomograms, start=1))
    (lists / "allmotl_1.star").write_text(f"\ndata_stopgap_motivelist\n\nloop_\n{heads}\n{rows}")
    names = ["tomo_num", "pixelsize", "tilt_angle", "defocus", "exposure", "voltage", "amp_contrast", "cs"]
    tilts = "".join(f"{t} 4.0 {a} {2 + t} {abs(a)} 300 0.07 2.7\n" for t in (1, 2) for a in range(-54, 55, 3))
    heads = "".join(f"_{name}\n" for name in names)
    (lists / "wedgelist.star").write_text(f"\ndata_stopgap_wedgelist\n\nloop_\n{heads}\n{tilts}")
    return lists


def test_stopgap_wedge_list(tmp_path, write_volumes, caplog):
    lists = _stopgap_project(tmp_path, write_volumes)
    schemes = read_wedge_list(lists / "wedgelist.star")
    assert schemes[2].tilts[0] == Tilt(-54.0, 0.0, 4.0, 54.0)
    assert len(schemes[1].tilts) == 37
    assert schemes[1].microscope == Microscope(300.0, 2.7, 0.07)
    particles = read_particles(lists / "allmotl_1.star")
    assert particles.weights == (schemes[1], schemes[2])
    assert "all directions" not in caplog.text
    batch = particles.load([0, 1])
    assert batch.weights.max() <= 1
    # The list that is written says the same.
    write_poses(tmp_path / "poses.star", particles, particles.poses)
    again = read_particles(tmp_path / "poses.star")
    assert again.weights == particles.weights
    torch.testing.assert_close(again.load([0, 1]).weights, batch.weights)


def test_stopgap_tomograms_without_tilts_are_named(tmp_path, write_volumes):
    lists = _stopgap_project(tmp_path, write_volumes, tomograms=(1, 7))
    with pytest.raises(InputError, match=r"entry 2: tomogram 7 is not in the wedge list wedgelist\.star"):
        read_list(lists / "allmotl_1.star")
    (lists / "wedgelist2.star").write_text((lists / "wedgelist.star").read_text())
    with pytest.raises(InputError, match=r"one wedge list beside it, got wedgelist\.star, wedgelist2\.star"):
        read_list(lists / "allmotl_1.star")
    (lists / "wedgelist2.star").write_text("\ndata_stopgap_wedgelist\n\nloop_\n_tomo_num\n_tilt_angle\n1 nan\n")
    with pytest.raises(InputError, match="entry 1: expected a finite number as tilt_angle"):
        read_wedge_list(lists / "wedgelist2.star")
