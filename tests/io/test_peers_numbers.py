"""What libraries that others maintain read from small lists; their numbers were printed by running them."""

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import emfile
import gemmi
import numpy as np
import pytest
import torch

from torchsag.geometry import zyz_to_matrix
from torchsag.io import av3, dynamo, pytom, stopgap
from torchsag.io.particle_list import ParticleList
from torchsag.particles import TiltRange, Transfer


def _close(ours, theirs, atol=1e-9):
    torch.testing.assert_close(ours, torch.tensor(theirs, dtype=torch.float64), atol=atol, rtol=0)


TABLE = """\
17 1 1 0.5 -1.25 2 -47.273 1.1777 -132.3 0.41 0 0 1 -60 54 0 0 0 0 21 0 2 0 100 200.5 50 0 0 0 0 0 0 0 0 0
18 1 1 -3.5 0.25 -0.125 100 90 45 0.3 0 0 1 -60 54 0 0 0 0 22 0 1 0 10 20 30.25 0 0 0 0 0 0 0 0 0
305 1 1 0 0 1.5 -170.5 150.25 12.5 -0.2 0 0 1 -60 54 0 0 0 0 21 0 0 0 7 8 9 0 0 0 0 0 0 0 0 0
"""


@pytest.fixture
def table(tmp_path):
    (tmp_path / "t.tbl").write_text(TABLE)
    return dynamo.read_table(tmp_path / "t.tbl")


def test_dynamo_table_as_dynamotable_reads_it(table):
    """Every number is that of dynamotable 0.3.0, ``dynamotable.read("t.tbl")``, by its names of columns."""
    assert table.names == ["particle_000017.em", "particle_000018.em", "particle_000305.em"]  # tag
    assert table.tomograms == ["21", "22", "21"]  # tomo
    assert table.classes.tolist() == [2, 1, 0]  # class
    _close(table.shifts.mT, [[0.5, -3.5, 0.0], [-1.25, 0.25, 0.0], [2.0, -0.125, 1.5]])  # dx, dy, dz
    _close(table.positions.mT, [[100.0, 10.0, 7.0], [200.5, 20.0, 8.0], [50.0, 30.25, 9.0]])  # x, y, z
    _close(table.scores, [0.41, 0.3, -0.2])  # cc
    assert table.tilt_ranges == [TiltRange(-60.0, 54.0)] * 3  # ftype, ymintilt, ymaxtilt


def test_dynamo_rotations_as_eulerangles_makes_them(table):
    """eulerangles 1.0.2, of tdrot, tilt, narot; what turns the particle back is the transpose of our rotation."""
    # euler2matrix(angles, axes="zxz", intrinsic=False, right_handed_rotation=True)
    theirs = [
        [[-9.99857456e-01, 7.34647673e-03, -1.52018563e-02], [-7.55692283e-03, -9.99875768e-01, 1.38326249e-02],
         [-1.50983467e-02, 1.39455324e-02, 9.99788759e-01]],
        [[-1.22787804e-01, -6.96364240e-01, 7.07106781e-01], [-1.22787804e-01, -6.96364240e-01, -7.07106781e-01],
         [9.84807753e-01, -1.73648178e-01, 6.12323400e-17]],
        [[-9.93921222e-01, -2.42001891e-02, 1.07400908e-01], [-7.35737823e-02, 8.71717291e-01, -4.84454191e-01],
         [-8.18993459e-02, -4.89411193e-01, -8.68198814e-01]],
    ]  # fmt: skip
    _close(table.rotations.mT, theirs, atol=1e-8)
    # convert_eulers(angles, source_meta="dynamo", target_meta="relion"): rot, tilt, psi
    relion = [[137.7, 1.1777, 42.727], [-45.0, 90.0, -170.0], [-77.5, 150.25, -80.5]]
    _close(table.rotations, zyz_to_matrix(torch.deg2rad(torch.tensor(relion, dtype=torch.float64))).tolist())


# cryoCAT 0.7.1: EmMotl("motl.em").get_rotations().as_matrix(), rows of phi, psi, theta as in the list below.
AV3_ROTATIONS = [
    [[0.8482836189721108, 0.5263044413407759, 0.05846825470759329],
     [0.3145494628704484, -0.4119788549624015, -0.8551795475055401],
     [-0.42599710936987667, 0.7438259595421779, -0.5150236933575649]],
    [[0.873982312422102, -0.4548741287028622, 0.17101007166283436],
     [0.4781385731893572, 0.742043091362337, -0.4698463103929542],
     [0.08682408883346518, 0.49240387650610407, 0.8660254037844388]],
    [[-0.05208906606709691, -0.86566729506824, 0.4979024637873309],
     [-0.995226884256134, 0.08619925927362776, 0.04575080933170128],
     [-0.08252380293033884, -0.4931428007686157, -0.8660254037844388]],
]  # fmt: skip


def test_av3_list_as_cryocat_reads_it(tmp_path):
    rows = np.zeros((3, 20), np.float32)
    rows[:, 3], rows[:, 4], rows[:, 19] = (17, 18, 305), (3, 3, 4), (1, 2, 1)
    rows[:, 7:10] = [[100, 200.5, 50], [101, 200.5, 50], [102, 200.5, 50]]
    rows[:, 10:13] = [[0.5, -1.25, 2], [0, 0, 0], [-3.5, 0.25, -0.125]]
    rows[:, 16:19] = [[-29.80023, 3.911201, 120.999041], [10, 20, 30], [-170.5, 95.25, 150]]
    emfile.write(str(tmp_path / "motl.em"), rows[None])
    listing = av3.read_motive_list(tmp_path / "motl.em")
    _close(listing.rotations, AV3_ROTATIONS, atol=1e-12)
    assert listing.names == ["particle_17.em", "particle_18.em", "particle_305.em"]  # subtomo_id 17, 18, 305
    assert listing.tomograms == ["3", "3", "4"]  # tomo_id
    assert listing.classes.tolist() == [1, 2, 1]  # class
    # cryoCAT 0.7.1: EmMotl.get_coordinates(), the positions with the shifts added.
    coordinates = [[100.5, 199.25, 52.0], [101.0, 200.5, 50.0], [98.5, 200.75, 49.875]]
    _close(listing.positions + listing.shifts, coordinates)


def test_stopgap_list_as_cryocat_reads_it(tmp_path):
    """cryoCAT 0.7.1 with pandas 2.3.3 (with pandas 3 it reads none): StopgapMotl("motl.star")."""
    names = (
        "motl_idx tomo_num object subtomo_num halfset orig_x orig_y orig_z score x_shift y_shift z_shift phi psi the"
    )
    heads = "".join(f"_{name}\n" for name in (*names.split(), "class"))
    rows = "1 3 1 17 A 100 200 50 0.4 0.5 -1.25 2 10 20 30 1\n2 3 1 18 B 110 210 60 0.5 0 0 0 -170 5 90 2\n"
    (tmp_path / "motl.star").write_text(f"\ndata_stopgap_motivelist\n\nloop_\n{heads}\n{rows}")
    listing = stopgap.read_motive_list(tmp_path / "motl.star")
    second = [
        [-0.9810602621904069, 0.17298739392508938, 0.08715574274765817],
        [-0.0858316511774313, 0.01513443590133848, -0.9961946980917454],
        [-0.17364817766693028, -0.984807753012208, 0.0],
    ]
    _close(listing.rotations, [AV3_ROTATIONS[1], second], atol=1e-12)
    assert listing.names == ["subtomo_17.mrc", "subtomo_18.mrc"]  # subtomo_id 17, 18
    assert (listing.tomograms, listing.classes.tolist()) == (["3", "3"], [1, 2])
    _close(listing.scores, [0.4, 0.5])
    _close(listing.positions + listing.shifts, [[100.5, 198.75, 52.0], [110.0, 210.0, 60.0]])  # get_coordinates()


# What the peers make of these angles they make of what is written, too: lists of five particles that torchsag wrote
# were read by dynamotable 0.3.0 and eulerangles 1.0.2, cryoCAT 0.7.1 and PyTom's structures.py, rotations within 1e-7.
ANGLES = [[-29.80023, 3.911201, 120.999041], [10.0, 20.0, 30.0], [-170.5, 95.25, 150.0]]  # phi, psi, theta


def _listing():
    positions = torch.tensor([[100, 200.5, 50], [101, 200.5, 50], [102, 200.5, 50]], dtype=torch.float64)
    shifts = torch.tensor([[0.5, -1.25, 2], [0, 0, 0], [-3.5, 0.25, -0.125]], dtype=torch.float64)
    return ParticleList(
        Path("list"), (), ["p_17.em", "p_18.em", "p_305.em"], Transfer(), tilt_ranges=[TiltRange(-60, 54)] * 3,
        rotations=torch.tensor(AV3_ROTATIONS, dtype=torch.float64), shifts=shifts, positions=positions,
        classes=torch.tensor([1, 2, 1]), halves=torch.tensor([1, 2, 1]), tomograms=["3", "3", "4"],
        scores=torch.tensor([0.4, 0.5, 0.25]).double(),
    )  # fmt: skip


def test_dynamo_table_is_written_as_dynamotable_reads_it(table, tmp_path):
    """Columns by dynamotable's names: tag, dx dy dz, tdrot tilt narot, cc, ftype to ymaxtilt, tomo, class, x y z."""
    dynamo.write_table(tmp_path / "written.tbl", table)
    used = [0, *range(3, 10), 12, 13, 14, 19, 21, 23, 24, 25]
    written, read = (np.loadtxt(tmp_path / name)[:, used] for name in ("written.tbl", "t.tbl"))
    np.testing.assert_allclose(written, read, atol=1e-9, rtol=0)


@pytest.mark.parametrize(("write", "name"), [(av3.write_motive_list, "a.em"), (stopgap.write_motive_list, "a.star")])
def test_lists_without_a_place_for_wedges_say_so(tmp_path, caplog, write, name):
    write(tmp_path / name, _listing())
    assert "has no place for the wedge, which 3 particles of list have" in caplog.text
    caplog.clear()
    write(tmp_path / name, replace(_listing(), tilt_ranges=None))
    assert not caplog.text


def test_av3_list_is_written_as_cryocat_reads_it(tmp_path):
    listing = _listing()
    av3.write_motive_list(tmp_path / "motl.em", listing)
    _, values = emfile.read(str(tmp_path / "motl.em"))
    rows = np.squeeze(values)
    np.testing.assert_allclose(rows[:, 16:19], ANGLES, atol=1e-5, rtol=0)
    np.testing.assert_allclose(rows[:, 7:10] + rows[:, 10:13], listing.positions + listing.shifts, atol=1e-5, rtol=0)
    np.testing.assert_allclose(rows[:, [3, 4, 19]], [[17, 3, 1], [18, 3, 2], [305, 4, 1]])
    np.testing.assert_allclose(rows[:, 0], listing.scores, atol=1e-7)


def test_stopgap_list_is_written_as_cryocat_reads_it(tmp_path):
    listing = _listing()
    stopgap.write_motive_list(tmp_path / "motl.star", listing)
    block = gemmi.cif.read(str(tmp_path / "motl.star")).sole_block()

    def columns(*names):
        return np.array([[float(value) for value in block.find_loop(f"_{name}")] for name in names]).T

    np.testing.assert_allclose(columns("phi", "psi", "the"), ANGLES, atol=5e-6, rtol=0)
    places = columns("orig_x", "orig_y", "orig_z") + columns("x_shift", "y_shift", "z_shift")
    np.testing.assert_allclose(places, listing.positions + listing.shifts, atol=1e-6, rtol=0)
    numbers = columns("subtomo_num", "tomo_num", "class")
    np.testing.assert_allclose(numbers, [[17, 3, 1], [18, 3, 2], [305, 4, 1]])
    np.testing.assert_allclose(columns("score")[:, 0], listing.scores, atol=1e-6)
    assert list(block.find_loop("_halfset")) == ["A", "B", "A"]


# PyTom (github main of April 2025): pytom.agnostic.structures.Rotation(-29.80023, 3.911201, 120.999041).toMatrix(), its
# compiled volumes replaced by arrays; its deg2rad has seven digits.
PYTOM_ROTATION = [
    [0.8482836180460439, 0.5263044429906564, 0.058468253291923414],
    [0.31454947976689174, -0.4119788849460564, -0.8551795268462534],
    [-0.4259970987378803, 0.7438259417678972, -0.5150237278223302],
]


def test_pytom_list_as_pytom_reads_it_and_back(tmp_path):
    """ParticleList.fromXMLFile of what is written gives these numbers and missing angles of 30 and 36."""
    listing = _listing()
    pytom.write_particle_list(tmp_path / "list.xml", listing)
    particles = list(ElementTree.parse(tmp_path / "list.xml").iter("Particle"))
    for tag, keys, expected, within in (
        ("Rotation", "Z1 Z2 X", torch.tensor(ANGLES).double(), 5e-6),
        ("Shift", "X Y Z", listing.shifts, 1e-6),
        ("PickPosition", "X Y Z", listing.positions, 1e-6),
    ):
        found = [[float(one.find(tag).attrib[key]) for key in keys.split()] for one in particles]
        np.testing.assert_allclose(found, expected, atol=within, rtol=0)
    wedges = [one.find(".//SingleTiltWedge").attrib for one in particles]
    assert [(float(one["Angle1"]), float(one["Angle2"])) for one in wedges] == [(30.0, 36.0)] * 3
    back = pytom.read_particle_list(tmp_path / "list.xml")
    _close(back.rotations[0], PYTOM_ROTATION, atol=1e-7)
    assert [one.find("Class").attrib["Name"] for one in particles] == ["1", "2", "1"]
