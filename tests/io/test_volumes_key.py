"""The folder of a list's volumes, named by the user."""

import shutil

import pytest

from torchsag.app.main import main
from torchsag.errors import InputError
from torchsag.io import dynamo, read_particles, write_poses
from torchsag.io.lists import read_list
from torchsag.io.particle_list import ParticleList
from torchsag.particles import TiltRange, Transfer


@pytest.fixture
def project(tmp_path, write_volumes, monkeypatch):
    """A Dynamo project with two data folders that hold the particles of one table."""
    folder = write_volumes(count=2, folder=tmp_path / "bin4")
    for k in range(2):
        (folder / f"p{k}.mrc").rename(folder / f"particle_{k + 1:06d}.mrc")
    shutil.copytree(folder, tmp_path / "bin4_inverted")
    (tmp_path / "results").mkdir()
    names = [f"particle_{k + 1:06d}.mrc" for k in range(2)]
    listing = ParticleList(tmp_path / "l", (), names, Transfer(), tilt_ranges=[TiltRange(-60.0, 60.0)] * 2)
    dynamo.write_table(tmp_path / "results" / "refined.tbl", listing)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_two_data_folders_are_told_apart_by_the_key(project):
    with pytest.raises(InputError, match=r"may be in bin4, bin4_inverted of .*; name the right one with volumes="):
        read_particles("results/refined.tbl")
    for volumes in ("bin4", project / "bin4_inverted"):
        particles = read_particles("results/refined.tbl", volumes=volumes)
        assert [s.path.resolve().parent.name for s in particles.volumes] == [(project / volumes).name] * 2
        assert particles.load([0, 1]).volumes.shape == (2, 6, 6, 6)


def test_poses_of_such_a_list_are_read_without_the_key(project):
    particles = read_particles("results/refined.tbl", volumes="bin4_inverted")
    write_poses(project / "out" / "poses.star", particles, particles.poses)
    again = read_particles("out/poses.star")
    assert [s.path.resolve() for s in again.volumes] == [s.path.resolve() for s in particles.volumes]


def test_names_of_a_list_start_in_the_folder(project):
    (project / "lists").mkdir()
    (project / "lists" / "a.csv").write_text("volume,tilt_min_deg,tilt_max_deg\nparticle_000002.mrc,-60,60\n")
    with pytest.raises(InputError, match="no such volume"):
        read_particles("lists/a.csv")
    (source,) = read_particles("lists/a.csv", volumes="bin4").volumes
    assert source.path.resolve() == project / "bin4" / "particle_000002.mrc"


def test_what_the_folder_does_not_hold_is_named(project):
    (project / "bin4" / "particle_000002.mrc").unlink()
    with pytest.raises(InputError, match=r"particle bin4/particle_000002\.em: .*: no such file"):
        read_particles("results/refined.tbl", volumes="bin4")
    with pytest.raises(InputError, match=r"volumes: expected the folder .* results/refined\.tbl are, got nowhere"):
        read_list("results/refined.tbl", "nowhere")
    with pytest.raises(InputError, match="volumes: expected none, bin4 is no list"):
        read_list("bin4", "bin4")


def test_the_command_takes_it(project, capsys):
    words = ["convert", "in=results/refined.tbl", "out=sub/list.csv"]
    assert main(words) == 2
    assert "volumes=" in capsys.readouterr().err
    assert main([*words, "volumes=bin4"]) == 0
    again = read_particles("sub/list.csv")
    assert {source.path.resolve().parent.name for source in again.volumes} == {"bin4"}


def test_a_list_outside_of_a_project_does_not_find_the_folders_of_strangers(project, tmp_path):
    shutil.rmtree(project / "bin4_inverted")
    assert read_list(project / "results" / "refined.tbl").names[0].startswith("../bin4/")
    deep = project / "results" / "ite_0003" / "averages"
    deep.mkdir(parents=True)
    shutil.copy(project / "results" / "refined.tbl", deep)
    assert read_list(deep / "refined.tbl").names[0].startswith("../../../bin4/")
    elsewhere = project / "a" / "b"
    elsewhere.mkdir(parents=True)
    shutil.copy(project / "results" / "refined.tbl", elsewhere)
    assert "bin4" not in read_list(elsewhere / "refined.tbl").names[0]


def test_numbers_that_a_format_cannot_hold_are_given_anew_and_that_is_said(tmp_path, caplog):
    names = [f"p{2**31 + k}.mrc" for k in range(2)]
    listing = ParticleList(tmp_path / "l.csv", (), names, Transfer(), tilt_ranges=[TiltRange(-60.0, 60.0)] * 2)
    dynamo.write_table(tmp_path / "t.tbl", listing)
    assert [float(line.split()[0]) for line in (tmp_path / "t.tbl").read_text().splitlines()] == [1, 2]
    assert f"holds no number beyond {2**31 - 1}, as in p{2**31}.mrc" in caplog.text
