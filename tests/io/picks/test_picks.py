"""What picking programs write; numbers that come from a program or library were printed by running it."""

import json
import struct

import imodmodel
import pandas as pd
import pytest
import torch

from torchsag.errors import InputError
from torchsag.geometry import zyz_to_matrix
from torchsag.io.position_list import read_positions
from torchsag.workflows.extract.sites import find_sites

# scipy's Rotation.from_euler("zyz", ..., degrees=True), and the RELION angles that copick 1.31.0 writes for them
# (picks_to_df_relion) and that zarr-particle-tools 1.0.1 makes of xyz_rotation_matrix.
TURNS = [
    [[0.043412044417, -0.909615886422, 0.413175911167], [0.829598373326, 0.26325835481, 0.492403876506],
     [-0.556670399226, 0.321393804843, 0.766044443119]],
    [[0.256515107494, -0.454769465589, 0.852868531952], [-0.954769465589, -0.256515107494, 0.15038373318],
     [0.15038373318, -0.852868531952, -0.5]],
]  # fmt: skip
RELION = [[150.0, 40.0, 130.0], [-80.0, 120.0, 170.0]]
POINTS = [[100.5, 200.0, 50.0], [32.0, 41.0, 26.5]]


def _close(ours, theirs, atol=1e-9):
    torch.testing.assert_close(ours.double(), torch.tensor(theirs, dtype=torch.float64), atol=atol, rtol=0)


def _relion(angles):
    return zyz_to_matrix(torch.deg2rad(torch.tensor(angles, dtype=torch.float64)))


def _place(point):
    return dict(zip("xyz", point, strict=True))


@pytest.fixture
def copick():
    """What ``CopickPicksFile.model_dump_json`` of copick 1.31.0 writes."""
    matrices = [[[*line, 0.0] for line in turn] + [[0.0, 0.0, 0.0, 1.0]] for turn in TURNS]
    matrices[0][0][3] = 2.0
    points = [
        {"location": _place(point), "transformation_": matrix, "instance_id": 0, "score": score}
        for point, matrix, score in zip(POINTS, matrices, (1.0, 0.25), strict=True)
    ]
    return {
        "pickable_object_name": "ribosome", "user_id": "u", "session_id": "1", "run_name": "TS_1",
        "voxel_spacing": 10.0, "unit": "angstrom", "points": points, "trust_orientation": True,
    }  # fmt: skip


def _read(folder, name, document):
    (folder / name).write_text(document if isinstance(document, str) else json.dumps(document))
    return read_positions(folder / name)


def test_copick_lies_where_and_as_copick_says(tmp_path, copick):
    listing = _read(tmp_path, "u_1_ribosome.json", copick)
    _close(listing.rotations, _relion(RELION).tolist(), atol=1e-9)
    _close(listing.scores, [1.0, 0.25])
    assert listing.tomograms == ["TS_1", "TS_1"]
    sites = find_sites(listing, [(40, 60, 50)] * 2, voxel_size=10.0, rescale=None)
    # location and the translation of its matrix, angstrom, over 10 angstrom a voxel
    _close(sites.centres + sites.poses.shifts, [[10.25, 20.0, 5.0], [3.2, 4.1, 2.65]])


def test_copick_without_a_run_is_named_by_its_folder(tmp_path, copick):
    folder = tmp_path / "ExperimentRuns" / "TS_7" / "Picks"
    folder.mkdir(parents=True)
    del copick["run_name"]
    assert _read(folder, "u_1_ribosome.json", copick).tomograms == ["TS_7", "TS_7"]


@pytest.mark.parametrize("change", ["untrusted", "identity"])
def test_copick_without_orientations_gives_no_priors(tmp_path, copick, change):
    if change == "untrusted":
        copick["trust_orientation"] = False
    for point in copick["points"] if change == "identity" else ():
        del point["transformation_"]
    assert _read(tmp_path, "picks.json", copick).rotations is None


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("unit", "nm", "expected unit angstrom"),
        ("points", [], "expected at least one pick"),
        ("points", 3, "expected picks of copick or EMAN2"),
        ("points", [{"location": {"x": 1, "y": 2}}], "entry 1: expected location with x, y and z"),
        ("points", [{"location": {"x": 1, "y": True, "z": 2}}], "entry 1: expected location"),
        ("points", [{"location": _place([1, 2, float("nan")])}], "entry 1: expected location"),
        ("points", [{"location": _place([1, 2, 3]), "transformation_": [[1]]}], "entry 1: expected a transformation_"),
        ("points", [{"location": _place([1, 2, 1e9])}], "expected a value up to 1e\\+07 as position"),
    ],
)
def test_damaged_copick_is_refused_by_entry(tmp_path, copick, key, value, message):
    with pytest.raises(InputError, match=message):
        _read(tmp_path, "picks.json", {**copick, key: value})


def test_a_matrix_that_mirrors_is_no_rotation(tmp_path, copick):
    copick["points"][1]["transformation_"][0] = [-value for value in copick["points"][1]["transformation_"][0]]
    with pytest.raises(InputError, match="entry 2: expected a rotation matrix"):
        _read(tmp_path, "picks.json", copick)


def test_portal_points_count_voxels_of_their_tomogram(tmp_path):
    records = [
        {"type": "orientedPoint", "location": _place(point), "xyz_rotation_matrix": turn}
        for point, turn in zip(POINTS, TURNS, strict=True)
    ]
    listing = _read(tmp_path, "ribosome-1.0_orientedpoint.ndjson", "\n".join(map(json.dumps, records)) + "\n")
    _close(listing.rotations, _relion(RELION).tolist(), atol=1e-9)
    _close(listing.positions, POINTS)
    assert listing.tomograms is None
    del records[1]["xyz_rotation_matrix"]
    with pytest.raises(InputError, match="entry 2: expected xyz_rotation_matrix"):
        _read(tmp_path, "points.ndjson", "\n".join(map(json.dumps, records)))
    with pytest.raises(InputError, match="line 2: expected JSON"):
        _read(tmp_path, "points.ndjson", json.dumps(records[0]) + "\n{nonsense")


def test_eman_boxes_count_from_the_centre(tmp_path):
    """cryohub 0.6.4, ``read_eman2_json(..., center_on_tomo=)``, of 60 x 110 x 20 voxels of 10 angstrom."""
    boxes = [[10, -20, 5.5, "manual", 0.7, 0], [1, 2, 3, "tm", 0.2, 1]]
    info = {"apix_unbin": 2.5, "boxes_3d": boxes, "class_list": {"0": {"boxsize": 32, "name": "a"}}}
    listing = _read(tmp_path, "TS_1_info.json", info)
    assert listing.tomograms == ["TS_1", "TS_1"]
    assert listing.classes is not None
    assert listing.classes.tolist() == [0, 1]
    _close(listing.scores, [0.7, 0.2])
    sites = find_sites(listing, [(20, 110, 60)] * 2, voxel_size=10.0, rescale=None)
    theirs = torch.tensor([[130.0, 200.0, 45.5], [121.0, 222.0, 43.0]]) * 2.5 / 10
    _close(sites.centres + sites.poses.shifts, theirs.tolist())
    with pytest.raises(InputError, match="expected apix_unbin"):
        _read(tmp_path, "TS_1_info.json", {"boxes_3d": boxes})


@pytest.fixture
def model(tmp_path):
    table = {"object_id": [0, 0, 1], "contour_id": [0, 0, 0], "x": [10.5, 20.25, 3.0], "y": [11.5, 21.0, 4.0]}
    imodmodel.write(pd.DataFrame({**table, "z": [12.0, 22.0, 5.0]}), tmp_path / "TS_1.mod")
    return tmp_path / "TS_1.mod"


def test_imod_puts_voxel_centres_at_half_numbers_in_x_and_y(model):
    listing = read_positions(model)
    _close(listing.positions, [[10.0, 11.0, 12.0], [19.75, 20.5, 22.0], [2.5, 3.5, 5.0]])
    assert listing.classes is not None
    assert listing.classes.tolist() == [1, 1, 2]
    assert listing.tomograms == ["TS_1"] * 3
    assert listing.rotations is None


def test_imod_model_drawn_on_a_part_counts_in_the_whole(model):
    from imodmodel.models import MINX, ImodModel

    drawn = ImodModel.from_file(model)
    still = (0.0, 0.0, 0.0)
    drawn.header.flags.otrans_has_image_origin_values = True
    drawn.minx = MINX(oscale=(1, 1, 1), otrans=still, orot=still, cscale=(2, 2, 2), ctrans=(-40, -60, 0), crot=still)
    drawn.to_file(model)
    positions = read_positions(model).positions
    assert positions is not None
    _close(positions[0], [30.0, 41.0, 12.0])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"WIMP" + data[4:], "expected a binary model of IMOD"),
        (lambda data: data[:400], "cannot be read as a model of IMOD"),
        (lambda data: data.replace(b"CONT" + struct.pack(">i", 2), b"CONT" + struct.pack(">i", 10**9)), "claims 10000"),
    ],
)
def test_damaged_models_are_refused_before_memory_is_taken(model, damage, message):
    model.write_bytes(damage(model.read_bytes()))
    with pytest.raises(InputError, match=message):
        read_positions(model)


HEADER = (
    "CCC,reserved,reserved,pIndex,wedgeWT,NA,NA,NA,NA,NA,xOffset,yOffset,zOffset,NA,NA,reserved,EulerZ(1),EulerZ(3),"
    "EulerX(2),class"
)


def _motives(path, rows):
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def test_peet_list_takes_its_points_from_the_model(model):
    """Axes of the first particle: acryo 0.9.1, as cylindra calls it (negative angles, intrinsic ZXZ)."""
    listing = read_positions(
        _motives(
            model.with_name("run_MOTL_Tom1_Iter2.csv"),
            ["0.5,0,0,3,0,0,0,0,0,0,1.5,-2,0.25,0,0,0,-29.80023,3.911201,120.999041,2",
             "0.25,0,0,1,0,0,0,0,0,0,0,0,0,0,0,0,10,20,30,1"],
        )
    )  # fmt: skip
    _close(listing.positions, [[2.5, 3.5, 5.0], [10.0, 11.0, 12.0]])
    _close(listing.shifts, [[1.5, -2.0, 0.25], [0.0, 0.0, 0.0]])
    assert listing.rotations is not None
    x_axis, y_axis, z_axis = listing.rotations[0].mT
    _close(x_axis, [0.84828362, 0.31454948, -0.4259971], atol=1e-8)
    _close(y_axis, [0.52630444, -0.41197888, 0.74382594], atol=1e-8)
    _close(z_axis, [0.05846825, -0.85517953, -0.51502373], atol=1e-8)
    assert listing.classes is not None
    assert listing.classes.tolist() == [2, 1]
    _close(listing.scores, [0.5, 0.25])


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["0.5,0,0,4" + ",0" * 16], "whole number from 1 to 3 as pIndex"),
        (["0.5,0,0,1"], "entry 1: expected 20 numbers, got 4"),
        (["0.5,0,0,1" + ",0" * 12 + ",nan,0,0,0"], "expected a finite number as EulerZ"),
        ([], "expected at least one pick"),
    ],
)
def test_damaged_peet_lists_are_refused(model, rows, message):
    with pytest.raises(InputError, match=message):
        read_positions(_motives(model.with_suffix(".csv"), rows))


def test_a_peet_list_without_its_model_says_which(tmp_path):
    path = _motives(tmp_path / "motl.csv", ["0.5,0,0,1" + ",0" * 16])
    with pytest.raises(InputError, match=r"expected motl\.mod beside it"):
        read_positions(path)
