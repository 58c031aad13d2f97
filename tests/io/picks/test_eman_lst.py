"""EMAN2's lst. The list was written by EMAN2's own ``save_lst_params`` and ``Transform::get_matrix_string`` (its github
master of June 2026: the class of ``EMAN2.py`` run by Python 3.11, ``libEM/transform.cpp`` compiled), the places by its
``Transform`` times a point; its ``xform`` processor takes a voxel of the result from where the inverse sends it.
"""

import json

import pytest
import torch

from torchsag.errors import InputError
from torchsag.io.position_list import read_positions
from torchsag.workflows.extract.sites import find_sites

HEAD = "#LSX\n# This file is in fast LST format. All lines after the next line have exactly the ...\n# 250\n"
ROWS = (
    '0\tparticles3d/TS_1__ribo.hdf\t{"class":0,"coord":[10.0,-20.0,5.5],"idx2d":[0,1],"score":-0.31,"xform.align3d":'
    '{"__class__":"Transform","matrix":"[0.565247,-0.402887,-0.719846,2.25,0.75874,0.59638,0.262003,-3.5,0.323744,'
    '-0.694272,0.642788,1.25]"}}    \n'
    '3\tparticles3d/TS_2__ribo_bin2.hdf\t{"class":1,"coord":[1.0,2.0,3.0],"idx2d":[2,3],"score":-0.12,"xform.align3d":'
    '{"__class__":"Transform","matrix":"[-0.516676,-0.839862,0.166366,-1.5,-0.606797,0.496285,0.620885,0.75,-0.604023,'
    '0.219846,-0.766044,4]"}}      \n'
)
POINT = torch.tensor([5.0, 2.0, -3.0], dtype=torch.float64)  # of the reference, from its centre
IN_PARTICLES = [[4.351583, 5.122807, -3.270410], [0.111269, -6.377670, 7.219795]]  # Transform.inverse() times it


@pytest.fixture
def project(tmp_path):
    (tmp_path / "info").mkdir()
    (tmp_path / "spt_00").mkdir()
    for name in ("TS_1", "TS_2"):
        (tmp_path / "info" / f"{name}_info.json").write_text(json.dumps({"apix_unbin": 2.5, "boxes_3d": []}))
    return tmp_path / "spt_00"


def _read(folder, text, name="aliptcls3d_01.lst"):
    (folder / name).write_text(text)
    return read_positions(folder / name)


def test_poses_are_those_of_eman(project):
    listing = _read(project, HEAD + ROWS)
    poses = listing.poses(None)
    assert poses is not None
    places = poses.rotations @ POINT + poses.shifts
    torch.testing.assert_close(places, torch.tensor(IN_PARTICLES).double(), atol=2e-5, rtol=0)
    assert listing.tomograms == ["TS_1", "TS_2"]
    assert listing.halves is not None
    assert listing.halves.tolist() == [1, 2]
    assert listing.scores is not None
    assert listing.scores.tolist() == pytest.approx([-0.31, -0.12])


def test_positions_count_the_particles_pixels_from_the_centre(project):
    """10, -20, 5.5 pixels of 2.5 angstrom, and 1, 2, 3 of 5, in tomograms of 20 x 110 x 60 voxels of 10 angstrom."""
    listing = _read(project, HEAD + ROWS)
    assert listing.voxel_sizes == [2.5, 5.0]
    sites = find_sites(listing, [(20, 110, 60)] * 2, voxel_size=10.0, rescale=None)
    centres = torch.tensor([[32.5, 50.0, 11.375], [30.5, 56.0, 11.5]]).double()
    shifts = listing.shifts
    assert shifts is not None
    expected = centres + shifts * torch.tensor([[0.25], [0.5]]).double()
    torch.testing.assert_close(sites.centres + sites.poses.shifts, expected, atol=1e-6, rtol=0)


def test_positions_are_found_in_the_list_beside_it(project):
    (project / "particle_info_3d.lst").write_text(HEAD + ROWS)
    alone = ROWS.replace('"coord":[10.0,-20.0,5.5],', "").replace('"coord":[1.0,2.0,3.0],', "")
    rows = alone.splitlines()
    listing = _read(project, HEAD + rows[1] + "\n" + rows[0] + "\n")
    sites = find_sites(listing, [(20, 110, 60)] * 2, voxel_size=10.0, rescale=None)
    whole = find_sites(_read(project, HEAD + ROWS, "x.lst"), [(20, 110, 60)] * 2, voxel_size=10.0, rescale=None)
    assert sites.centres.tolist() == whole.centres.flip(0).tolist()
    with pytest.raises(InputError, match=r"there is no particle_info_3d\.lst beside it"):
        _read(project.parent, HEAD + alone)


def test_lists_that_nobody_aligned_have_positions(project):
    rows = "".join(f'{k}\tparticles3d/TS_1__a.hdf\t{{"coord":[{k},2.0,3.0]}}\n' for k in range(3))
    listing = _read(project, "#LST\n" + rows)
    assert listing.rotations is None
    assert len(listing.names) == 3


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("#LSX", "#LSZ", "expected a list of EMAN2, beginning with #LSX"),
        ("0\tparticles3d", "x\tparticles3d", "line 4: expected the number of an image"),
        ('"class":0,', '"class:0,', "line 4: expected JSON"),
        ('"class":0,', '"class":0.5,', "expected a whole number from .* as class"),
        (
            '{"__class__":"Transform","matrix":"[0.565247,',
            '{"matrix":"[',
            "entry 1: expected a matrix of 3 x 4 numbers",
        ),
        ("0.565247", "-0.565247", "entry 1: expected a rotation matrix"),
        ("[10.0,-20.0,5.5]", "[10.0,-20.0]", "entry 1: expected x, y, z as coord"),
        ("xform.align3d", "xform", "entry 1: expected xform.align3d, as other entries have it"),
        ("TS_2__ribo_bin2", "TS_3__ribo", r"in info/TS_3_info\.json of its project, got no such file"),
    ],
)
def test_damaged_lists_are_refused(project, old, new, message):
    with pytest.raises(InputError, match=message):
        _read(project, (HEAD + ROWS).replace(old, new, 1))


def test_a_project_without_pixel_size_is_refused(project):
    (project.parent / "info" / "TS_1_info.json").write_text("{}")
    with pytest.raises(InputError, match=r"expected apix_unbin, .* got None"):
        _read(project, HEAD + ROWS)


def test_alignments_of_older_programs_say_how_to_make_a_list(project):
    """Keys as ``e2spt_align.py`` writes them into ``particle_parms_NN.json``."""
    old = {
        "('particles3d/TS_1__ribo.hdf', 0)": {"score": -0.3, "xform.align3d": {"matrix": "[1,0,0,0,0,1,0,0,0,0,1,0]"}}
    }
    (project / "particle_parms_01.json").write_text(json.dumps(old))
    with pytest.raises(InputError, match=r"which hold no positions; make a \.lst"):
        read_positions(project / "particle_parms_01.json")
