"""What torchsag writes, RELION, torchsag and the reader of the original list all understand."""

import math

import numpy as np
import pytest
import starfile
import torch

from torchsag.errors import InputError
from torchsag.geometry import Poses, random_rotations, rotation_distance
from torchsag.io import read_covariances, read_particles, write_poses
from torchsag.io.mrc import write_mrc
from torchsag.io.star import read_star, write_star
from torchsag.particles import Corrected, Premultiplied, TiltRange


def _poses(count, seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    return Poses(
        random_rotations(count, generator, dtype), torch.randn(count, 3, generator=generator, dtype=dtype).mul(3)
    )


def _same(first, second, degrees=1e-5):
    angle = torch.rad2deg(rotation_distance(first.rotations.double(), second.rotations.double()))
    assert angle.max() < degrees
    torch.testing.assert_close(first.shifts.double(), second.shifts.double(), atol=1e-6, rtol=0)


@pytest.fixture
def particles(write_volumes, wedge_file):
    folder = write_volumes(count=4)
    wedge_file(folder / "w.mrc")
    (folder / "list.csv").write_text(
        "volume,weight,tilt_min_deg,tilt_max_deg,tomogram,half\n"
        "p2.mrc,w.mrc,-60,60,TS 1,1\np0.mrc,,-60,60,TS 1,2\np1.mrc,w.mrc,-60,60,007,1\np3.mrc,,-50,40,007,2\n"
    )
    return read_particles(folder / "list.csv")


def test_a_written_list_is_complete_anywhere(particles, tmp_path, monkeypatch):
    poses = _poses(4)
    write_poses(tmp_path / "out" / "deep" / "poses.star", particles, poses, classes=torch.tensor([1, 2, 3, 1]))
    monkeypatch.chdir("/")
    back = read_particles(tmp_path / "out" / "deep" / "poses.star")
    _same(back.poses, poses)
    assert back.names == particles.names == ("p2.mrc", "p0.mrc", "p1.mrc", "p3.mrc")
    assert [source.path.name for source in back.volumes] == list(back.names)
    assert back.weights[1] == TiltRange(-60.0, 60.0)
    assert back.weights[3] == TiltRange(-50.0, 40.0)
    assert back.weighting == Corrected()
    assert back.tomograms == ("TS 1", "TS 1", "007", "007")
    assert back.halves.tolist() == [1, 2, 1, 2]
    assert back.classes.tolist() == [1, 2, 3, 1]
    assert back.voxel_size == 4.0
    torch.testing.assert_close(back.load(range(4)).volumes, particles.load(range(4)).volumes)


def test_written_twice_changes_nothing(particles, tmp_path):
    poses = _poses(4)
    write_poses(tmp_path / "one.star", particles, poses)
    write_poses(tmp_path / "two.star", read_particles(tmp_path / "one.star"), None)
    assert read_star(tmp_path / "two.star") == read_star(tmp_path / "one.star")


def test_single_precision_poses_survive_to_1e_5_degrees(particles, tmp_path):
    poses = _poses(4, dtype=torch.float32)
    write_poses(tmp_path / "a.star", particles, poses)
    _same(read_particles(tmp_path / "a.star").poses, poses)


@pytest.mark.parametrize("tilt_deg", [0.0, 1e-4, 90.0, 179.9999, 180.0])
def test_poses_at_the_poles(particles, tmp_path, tilt_deg):
    zyz = torch.deg2rad(torch.tensor([[170.0, tilt_deg, -95.0]], dtype=torch.float64)).repeat(4, 1)
    poses = Poses.from_zyz(zyz, torch.zeros(4, 3, dtype=torch.float64))
    write_poses(tmp_path / "a.star", particles, poses)
    _same(read_particles(tmp_path / "a.star").poses, poses)


def test_relion_columns_as_another_reader_sees_them(particles, tmp_path):
    zyz = torch.deg2rad(torch.tensor([[10.0, 20.0, 30.0]], dtype=torch.float64)).repeat(4, 1)
    shifts = torch.tensor([[1.0, -2.0, 0.5]], dtype=torch.float64).repeat(4, 1)
    write_poses(tmp_path / "a.star", particles, Poses.from_zyz(zyz, shifts), scores=torch.tensor([0.5, 0.25, 0, -1]))
    blocks = starfile.read(tmp_path / "a.star", always_dict=True)
    assert blocks["optics"].loc[0, "rlnImagePixelSize"] == 4.0
    assert blocks["optics"].loc[0, "rlnImageSize"] == 6
    table = blocks["particles"]
    row = table.loc[0, ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]].tolist()
    assert row == pytest.approx([10, 20, 30], abs=1e-6)
    origins = table.loc[0, ["rlnOriginXAngst", "rlnOriginYAngst", "rlnOriginZAngst"]].tolist()
    assert origins == pytest.approx([-4, 8, -2])
    assert table["torchsagScore"].tolist() == [0.5, 0.25, 0, -1]
    assert set(table["rlnOpticsGroup"]) == {1}


def test_covariances(particles, tmp_path):
    generator = torch.Generator().manual_seed(4)
    factor = torch.randn(4, 6, 6, generator=generator, dtype=torch.float64) * 0.02
    covariances = factor @ factor.mT
    covariances[2] = math.nan
    write_poses(tmp_path / "a.star", particles, _poses(4), covariances=covariances)
    scale = torch.tensor([180 / math.pi] * 3 + [4.0] * 3, dtype=torch.float64)
    expected = covariances * scale[:, None] * scale
    back = read_covariances(tmp_path / "a.star")
    torch.testing.assert_close(back, expected, rtol=1e-6, atol=1e-9, equal_nan=True)
    table = starfile.read(tmp_path / "a.star", always_dict=True)["particles"]
    assert table.loc[0, "torchsagSigmaRotationDeg"] == pytest.approx(
        float(expected[0, :3, :3].trace().sqrt()), abs=1e-6
    )
    assert table.loc[1, "torchsagSigmaShiftAngst"] == pytest.approx(float(expected[1, 3:, 3:].trace().sqrt()), abs=1e-6)
    write_poses(tmp_path / "b.star", particles, _poses(4))
    assert read_covariances(tmp_path / "b.star") is None


def test_selection_keeps_its_rows(particles, tmp_path):
    chosen = particles.select([3, 0])
    write_poses(
        tmp_path / "a.star", chosen, _poses(2), columns={"torchsagNote": ["x", "y z"], "torchsagValue": [1, 0.5]}
    )
    back = read_particles(tmp_path / "a.star")
    assert back.names == ("p3.mrc", "p2.mrc")
    assert back.weights[0] == TiltRange(-50.0, 40.0)
    table = read_star(tmp_path / "a.star")["particles"].columns
    assert table["torchsagNote"] == ["x", "y z"]
    assert table["torchsagValue"] == ["1", "0.500000"]
    assert table["torchsagWeightImage"] == ["None", "w.mrc"]


def test_columns_of_another_length_are_refused(particles, tmp_path):
    with pytest.raises(InputError, match="expected 4 values as torchsagNote, got 1"):
        write_poses(tmp_path / "a.star", particles, _poses(4), columns={"torchsagNote": ["x"]})
    with pytest.raises(InputError, match="expected 4 values as rlnAngleRot, got 3"):
        write_poses(tmp_path / "a.star", particles, _poses(3))
    assert not (tmp_path / "a.star").exists()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("relion3/relion3.star", 5.0),
        ("relion3/relion_3.0.star", 5.364),
        ("relion3/relion_3.1_optics.star", 2.446),
        ("relion3/warp_subtomo.star", 6.896),
        ("relion4/relion4.star", 6.236),
        ("relion5/Refine3D/job_refine/run_it050_data.star", 12.42),
    ],
)
def test_unknown_columns_of_other_programs_survive(shared_data, tmp_path, name, size):
    """A few rows of a real list over volumes of our own making."""
    blocks = read_star(shared_data / "metadata" / name)
    key = "particles" if "particles" in blocks else ""
    table = blocks[key].take([0, 1, 2])
    generator = np.random.default_rng(0)
    for column in ("rlnImageName", "rlnCtfImage"):
        table.columns[column] = [value.replace("/", "_").lstrip("._") for value in table.columns[column]]
        for value in table.columns[column]:
            write_mrc(tmp_path / value, np.abs(generator.normal(size=(6, 6, 6))), size)
    blocks[key] = table
    write_star(tmp_path / "in.star", blocks)
    particles = read_particles(tmp_path / "in.star")
    assert particles.voxel_size == pytest.approx(size)
    poses = _poses(3)
    write_poses(tmp_path / "out" / "poses.star", particles, poses)
    written = read_star(tmp_path / "out" / "poses.star")
    ours = ("rlnAngle", "rlnOrigin")
    for column, values in table.columns.items():
        if not column.startswith(ours) or "Prior" in column:
            assert written["particles"].columns[column] == values
    for column, values in blocks["optics"].columns.items() if "optics" in blocks else ():
        assert written["optics"].columns[column] == values
    assert [c for c in written["particles"].columns if c in table.columns] == [
        c for c in table.columns if c not in ("rlnOriginX", "rlnOriginY", "rlnOriginZ")
    ]
    back = read_particles(tmp_path / "out" / "poses.star")
    _same(back.poses, poses)
    assert back.weighting == particles.weighting
    assert back.box == (6, 6, 6)


def test_other_blocks_and_weightings_survive(write_volumes, tmp_path):
    folder = write_volumes()
    (folder / "in.star").write_text(
        "data_general\n_rlnSomething 1\ndata_optics\n_rlnImagePixelSize 4.0\n_rlnCtfDataAreCtfPremultiplied 1\n"
        "data_particles\nloop_\n_rlnImageName\np0.mrc\n"
    )
    particles = read_particles(folder / "in.star")
    write_poses(tmp_path / "o" / "out.star", particles, None)
    written = read_star(tmp_path / "o" / "out.star")
    assert written["general"] == {"rlnSomething": "1"}
    assert read_particles(tmp_path / "o" / "out.star").weighting == Premultiplied()


def test_tilt_range_given_by_hand_is_written(write_volumes, tmp_path):
    folder = write_volumes()
    (folder / "in.star").write_text("data_\nloop_\n_rlnImageName\n_rlnPixelSize\np0.mrc 4\n")
    particles = read_particles(folder / "in.star", tilt_min_deg=-55, tilt_max_deg=60)
    write_poses(tmp_path / "out.star", particles, _poses(1))
    assert read_particles(tmp_path / "out.star").weights == (TiltRange(-55.0, 60.0),)


def test_voxel_size_given_by_hand_is_written(write_volumes, tmp_path):
    folder = write_volumes()
    (folder / "in.star").write_text(
        "data_optics\n_rlnImagePixelSize 9.0\ndata_particles\nloop_\n_rlnImageName\np0.mrc\n"
    )
    particles = read_particles(folder / "in.star", voxel_size_angstrom=4.0)
    write_poses(tmp_path / "out.star", particles, _poses(1))
    assert read_particles(tmp_path / "out.star").voxel_size == 4.0


def test_listed_poses_of_real_particles_round_trip(shared_data, tmp_path):
    particles = read_particles(shared_data / "ribosome70s" / "poses.csv")
    write_poses(tmp_path / "poses.star", particles, particles.poses)
    _same(read_particles(tmp_path / "poses.star").poses, particles.poses)
