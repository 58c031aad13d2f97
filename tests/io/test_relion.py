"""RELION lists of all versions, in this library's conventions."""

import math

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io.relion import read_relion_list
from torchsag.particles import Premultiplied, TiltRange, Transfer

HEAD = """
data_optics

loop_
_rlnOpticsGroup #1
_rlnImagePixelSize #2
{optics}

data_particles

loop_
{columns}
{rows}
"""


def _write(tmp_path, columns, rows, optics="1 3.0"):
    path = tmp_path / "list.star"
    columns = "\n".join(f"_{name}" for name in columns.split())
    path.write_text(HEAD.format(optics=optics, columns=columns, rows=rows))
    return path


def _euler_angles2matrix(rot_deg, tilt_deg, psi_deg):
    """RELION's function of this name, written out from its source (euler.cpp)."""
    a, b, g = (math.radians(angle) for angle in (rot_deg, tilt_deg, psi_deg))
    ca, sa, cb, sb, cg, sg = math.cos(a), math.sin(a), math.cos(b), math.sin(b), math.cos(g), math.sin(g)
    return torch.tensor(
        [
            [cg * cb * ca - sg * sa, cg * cb * sa + sg * ca, -cg * sb],
            [-sg * cb * ca - cg * sa, -sg * cb * sa + cg * ca, sg * sb],
            [sb * ca, sb * sa, cb],
        ],
        dtype=torch.float64,
    )


def test_angles_are_relions_matrix_and_origins_change_sign(tmp_path):
    columns = "rlnImageName rlnAngleRot rlnAngleTilt rlnAnglePsi rlnOriginXAngst rlnOriginYAngst rlnOriginZAngst"
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc 11 -62.5 143 3.0 -6.0 1.5"))
    torch.testing.assert_close(listing.rotations[0], _euler_angles2matrix(11, -62.5, 143))
    assert listing.shifts.tolist() == [[-3, 6, -1.5]]
    assert listing.shift_unit == "angstrom"


@pytest.mark.parametrize("names", ["rlnOriginXAngst rlnOriginYAngst", "rlnOriginX rlnOriginY"])
def test_an_origin_that_lacks_an_axis_counts_as_zero_there_and_is_said(tmp_path, caplog, names):
    listing = read_relion_list(_write(tmp_path, f"rlnImageName {names}", "a.mrc 3.0 -6.0"))
    assert listing.shifts.tolist() == [[-3, 6, 0]]
    assert f"{names.split()[0].replace('X', 'Z')} not listed, counted as 0" in caplog.text


def test_complete_origins_go_before_those_that_lack_an_axis(tmp_path):
    columns = "rlnImageName rlnOriginXAngst rlnOriginX rlnOriginY rlnOriginZ"
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc 9 1 2 3"))
    assert listing.shifts.tolist() == [[-1, -2, -3]]
    assert listing.shift_unit == "voxel"


def test_an_angle_that_is_not_listed_is_said(tmp_path, caplog):
    read_relion_list(_write(tmp_path, "rlnImageName rlnAngleRot rlnAnglePsi", "a.mrc 1 2"))
    assert "rlnAngleTilt not listed, counted as 0" in caplog.text


def test_priors_serve_where_angles_are_missing(tmp_path):
    columns = "rlnImageName rlnAngleTiltPrior rlnAnglePsiPrior"
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc 30 40"))
    torch.testing.assert_close(listing.rotations[0], _euler_angles2matrix(0, 30, 40))


def test_angles_win_over_priors(tmp_path):
    columns = "rlnImageName rlnAngleTiltPrior rlnAngleRot rlnAngleTilt rlnAnglePsi"
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc 30 1 2 3"))
    torch.testing.assert_close(listing.rotations[0], _euler_angles2matrix(1, 2, 3))


def test_voxel_size_by_optics_group(tmp_path):
    path = _write(tmp_path, "rlnImageName rlnOpticsGroup", "a.mrc 2\nb.mrc 1", optics="1 3.0\n2 4.5")
    assert read_relion_list(path).voxel_sizes == [4.5, 3.0]
    path = _write(tmp_path, "rlnImageName rlnOpticsGroup", "a.mrc 7")
    with pytest.raises(InputError, match="optics group 7"):
        read_relion_list(path)


def test_own_tilt_columns(tmp_path):
    columns = "rlnImageName torchsagTiltMinDeg torchsagTiltMaxDeg"
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc -60 55\nb.mrc None None"))
    assert listing.tilt_ranges == [TiltRange(-60.0, 55.0), None]


@pytest.mark.parametrize(
    ("columns", "rows", "message"),
    [
        ("rlnImageName", "", "empty list"),
        ("rlnMicrographName", "a", "rlnImageName"),
        ("rlnImageName rlnAngleRot", "a b", "entry 1: expected a number as rlnAngleRot, got 'b'"),
        ("rlnImageName rlnAngleRot", "a nan", "entry 1: expected a finite number as rlnAngleRot"),
        ("rlnImageName torchsagTiltMinDeg torchsagTiltMaxDeg", "a 60 -60", "tilt range"),
        ("rlnImageName torchsagTiltMinDeg torchsagTiltMaxDeg", "a x -60", "torchsagTiltMinDeg"),
    ],
)
def test_bad_lists(tmp_path, columns, rows, message):
    with pytest.raises(InputError, match=message):
        read_relion_list(_write(tmp_path, columns, rows))


def test_no_particle_block(tmp_path):
    (tmp_path / "a.star").write_text("data_optics\n_rlnVoltage 300\n")
    with pytest.raises(InputError, match="data_particles"):
        read_relion_list(tmp_path / "a.star")


class TestFilesOfOtherPrograms:
    @pytest.fixture
    def metadata(self, shared_data):
        return shared_data / "metadata"

    def test_relion_3_0_with_legacy_origins(self, metadata):
        listing = read_relion_list(metadata / "relion3" / "relion3.star")
        assert len(listing.names) == 441
        assert listing.shift_unit == "voxel"
        assert listing.shifts[0].tolist() == [-3.542821, -1.105321, 0.45718]
        torch.testing.assert_close(listing.rotations[0], _euler_angles2matrix(-92.75023, 81.311299, -29.79485))
        assert listing.voxel_sizes is None
        assert listing.halves[:3].tolist() == [1, 2, 2]
        assert listing.weight_names[0].endswith("tomo8_M13_1_ctrl_ctf.mrc")
        assert listing.tomograms[0].endswith("syn_m13_ctrl_108_bin2.mrc")
        assert listing.weighting == Transfer()

    @pytest.mark.parametrize(("name", "size"), [("relion_3.0", 5.364), ("warp_subtomo", 6.896)])
    def test_relion_3_0_pixel_size(self, metadata, name, size):
        listing = read_relion_list(metadata / "relion3" / f"{name}.star")
        assert listing.voxel_sizes[0] == size
        assert listing.shifts is None

    def test_relion_3_1(self, metadata):
        listing = read_relion_list(metadata / "relion3" / "relion_3.1_optics.star")
        assert set(listing.voxel_sizes) == {2.446}
        assert listing.shifts[0].tolist() == [0.25289, 2.69889, -7.24711]
        assert listing.shift_unit == "angstrom"

    def test_relion_4_is_premultiplied(self, metadata):
        listing = read_relion_list(metadata / "relion4" / "relion4.star")
        assert listing.weighting == Premultiplied()
        assert listing.tomograms[0] == "tomo_1-2-002"
        assert listing.weight_names[0].endswith("1_weights.mrc")
        assert set(listing.voxel_sizes) == {6.236}

    def test_relion_5(self, metadata):
        folder = metadata / "relion5"
        listing = read_relion_list(folder / "Refine3D" / "job_refine" / "run_it050_data.star")
        assert listing.voxel_sizes == [12.42] * 5
        assert folder.resolve() in [path.resolve() for path in listing.folders]
        stacks = read_relion_list(folder / "Class3D" / "job_class3d" / "run_it025_data.star")
        assert set(stacks.flat) == {True}
        with pytest.raises(InputError, match="extract subtomograms first"):
            read_relion_list(folder / "Picks" / "job_picks" / "optimisation_set.star")

    def test_single_particle_images(self, metadata):
        with pytest.raises(InputError, match="got 2D images"):
            read_relion_list(metadata / "relion3" / "relion31_optics.star")


def test_box_frames_lead_from_the_box_to_the_tomogram(tmp_path):
    columns = (
        "rlnImageName rlnTomoSubtomogramRot rlnTomoSubtomogramTilt rlnTomoSubtomogramPsi "
        "rlnAngleRot rlnAngleTilt rlnAnglePsi"
    )
    listing = read_relion_list(_write(tmp_path, columns, "a.mrc 20 30 40 50 60 70"))
    # RELION, particle_set.cpp: A_subtomogram * A_particle "maps coordinates from particle space to tomogram space".
    total = listing.box_frames[0] @ listing.rotations[0]
    torch.testing.assert_close(total, _euler_angles2matrix(20, 30, 40) @ _euler_angles2matrix(50, 60, 70))
