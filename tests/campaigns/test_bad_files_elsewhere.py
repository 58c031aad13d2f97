"""`compare`, `duplicates` and `extract` with bad files: set aside by name, or the end in one sentence."""

import json
import shutil

import mrcfile
import numpy as np
import pytest
from small_data import VOXEL
from test_bad_particles import SPOILERS, empty, truncated, vanished, with_weights

from torchsag.app.main import main
from torchsag.io.mrc import write_mrc
from torchsag.io.star import Loop, read_star, write_star
from torchsag.particles.particle_set import ParticleSet

COUNT = 17
BAD = [f"p{number}.mrc" for number in range(len(SPOILERS))]


def words(command, folder, out, skip_bad=True):
    given = [command, f"particles={folder / 'list.csv'}", f"out={out}", "threads=1"]
    if command == "compare":
        given += ["trials=listed", f"reference={folder / 'reference.mrc'}", "method=fast_matching", "~report"]
        given += ["device=cpu"]
    return [*given, *(["skip_bad=true"] if skip_bad else [])]


def sentence(capfd):
    err = capfd.readouterr().err
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("torchsag: ")]
    return line


def require_set_aside(out, names, capfd):
    """File, metrics and terminal tell the same."""
    lines = (out / "set_aside.txt").read_text().splitlines()
    assert len(lines) == len(names)
    assert all(name in line for name, line in zip(names, lines, strict=True))
    metrics = json.loads((out / "metrics.json").read_text())
    assert {**metrics, **(metrics["summary"] if isinstance(metrics["summary"], dict) else {})}["set_aside"] == len(
        names
    )
    said = capfd.readouterr()
    assert "Traceback" not in said.err
    assert f"{len(names)} of {COUNT} particles could not be used" in " ".join(said.out.split())


@pytest.mark.parametrize("command", ["duplicates", "compare"])
def test_all_kinds_of_bad_particles_are_set_aside_by_name(fresh, tmp_path, capfd, command):
    for name, spoil in zip(BAD, SPOILERS, strict=True):
        spoil(fresh / name)
    out = tmp_path / "out"
    assert main(words(command, fresh, out)) == 0
    require_set_aside(out, BAD, capfd)
    if command == "compare":
        table = (out / "particles.csv").read_text()
        assert not any(name in table for name in BAD)
        assert all(f"p{number}.mrc" in table for number in range(len(BAD), COUNT))


@pytest.mark.parametrize("command", ["duplicates", "compare"])
@pytest.mark.parametrize("spoil", [truncated, vanished])
def test_without_skip_bad_they_end_in_one_sentence_that_says_what_to_do(fresh, tmp_path, capfd, command, spoil):
    spoil(fresh / "p3.mrc")
    assert main(words(command, fresh, tmp_path / "out", skip_bad=False)) == 2
    assert "p3.mrc" in sentence(capfd)
    assert not (tmp_path / "out" / "metrics.json").exists()


@pytest.mark.parametrize("command", ["duplicates", "compare"])
def test_a_particle_that_vanishes_after_its_header_was_read(fresh, tmp_path, monkeypatch, capfd, command):
    read = ParticleSet._load_all

    def gone(self, indices, device):
        (fresh / "p5.mrc").unlink(missing_ok=True)
        return read(self, indices, device)

    monkeypatch.setattr(ParticleSet, "_load_all", gone)
    assert main(words(command, fresh, tmp_path / "out")) == 0
    require_set_aside(tmp_path / "out", ["p5.mrc"], capfd)
    shutil.copy(fresh / "p4.mrc", fresh / "p5.mrc")
    assert main(words(command, fresh, tmp_path / "other", skip_bad=False)) == 2
    line = sentence(capfd)
    assert "p5.mrc" in line
    assert "skip_bad=true" in line


@pytest.mark.parametrize("command", ["duplicates", "compare"])
def test_unusable_weights_are_set_aside_there_too(fresh, tmp_path, capfd, command):
    with_weights(fresh, 1e38)
    assert main(words(command, fresh, tmp_path / "out")) == 0
    require_set_aside(tmp_path / "out", ["p16.mrc"], capfd)


@pytest.mark.parametrize("command", ["duplicates", "compare"])
def test_without_any_usable_particle_they_end_in_one_sentence(fresh, tmp_path, capfd, command):
    for path in fresh.glob("p*.mrc"):
        write_mrc(path, np.ones((16, 16, 16)), VOXEL)
    assert main(words(command, fresh, tmp_path / "out")) == 2
    assert "p0.mrc" in sentence(capfd)
    assert not (tmp_path / "out" / "metrics.json").exists()


def listed(out):
    table = read_star(out / "particles.star")["particles"]
    assert isinstance(table, Loop)
    return table.columns


@pytest.fixture
def tomograms(tmp_path):
    """Three, with two places each; what is wrong with one must not matter to the others."""
    rows = []
    for name in ("a", "b", "c"):
        noise = np.random.default_rng(ord(name)).normal(size=(20, 24, 28)).astype(np.float32)
        write_mrc(tmp_path / f"{name}.mrc", noise, VOXEL)
        rows += [f"{name}.mrc,{x},12,10" for x in (9, 19)]
    (tmp_path / "picks.csv").write_text("\n".join(["tomogram,x,y,z", *rows]) + "\n")
    return tmp_path


def extract_words(folder, *more):
    tilts = ["tilt_min_deg=-60", "tilt_max_deg=60"]
    picks = [f"positions={folder / 'picks.csv'}", "box=12", "chunk=2", *tilts]
    return ["extract", *picks, f"out={folder / 'out'}", "threads=1", *more]


@pytest.mark.parametrize("spoil", [vanished, truncated, empty])
@pytest.mark.parametrize("bad", ["a", "b"])
def test_particles_of_a_bad_tomogram_are_set_aside_by_name(tomograms, capfd, spoil, bad):
    """Also of the first; the others keep their numbers."""
    spoil(tomograms / f"{bad}.mrc")
    assert main(extract_words(tomograms)) == 2
    line = sentence(capfd)
    assert f"{bad}.mrc" in line
    assert "skip_bad=true" in line
    assert not (tomograms / "out").exists()
    assert main(extract_words(tomograms, "skip_bad=true")) == 0
    lines = (tomograms / "out" / "set_aside.txt").read_text().splitlines()
    first = 1 if bad == "a" else 3
    assert [line.split(" ", 2)[:2] for line in lines] == [["entry", str(first)], ["entry", str(first + 1)]]
    assert all(f"{bad}.mrc" in line for line in lines)
    kept = [number for number in range(6) if number not in (first - 1, first)]
    table = listed(tomograms / "out")
    assert table["rlnImageName"] == [f"particles/particle_{number:06d}.mrc" for number in kept]
    assert json.loads((tomograms / "out" / "metrics.json").read_text())["set_aside"] == 2


def test_a_tomogram_that_vanishes_while_it_is_cut(tomograms, capfd, monkeypatch):
    from torchsag.workflows.extract import subvolumes

    mapped = subvolumes.map_volume

    def gone(path):
        (tomograms / "b.mrc").unlink(missing_ok=True)
        return mapped(path)

    monkeypatch.setattr(subvolumes, "map_volume", gone)
    assert main(extract_words(tomograms, "skip_bad=true")) == 0
    lines = (tomograms / "out" / "set_aside.txt").read_text().splitlines()
    assert len(lines) == 2
    assert all("b.mrc" in line for line in lines)
    shutil.copy(tomograms / "a.mrc", tomograms / "b.mrc")
    shutil.rmtree(tomograms / "out")
    capfd.readouterr()
    assert main(extract_words(tomograms)) == 2
    assert "skip_bad=true" in sentence(capfd)
    assert not (tomograms / "out" / "particles.star").exists()


def test_boxes_with_huge_values_are_set_aside_in_any_case(tomograms):
    """Normalised they would look like particles of one voxel."""
    noise = np.random.default_rng(0).normal(size=(20, 24, 28)).astype(np.float32)
    noise[10, 12, 19] = 1e20
    write_mrc(tomograms / "b.mrc", noise, VOXEL)
    assert main(extract_words(tomograms)) == 0
    (line,) = (tomograms / "out" / "set_aside.txt").read_text().splitlines()
    assert line.startswith("entry 4 ")
    assert "1e+20" in line


def test_without_any_usable_tomogram_extract_ends_in_one_sentence(tomograms, capfd):
    for name in "abc":
        (tomograms / f"{name}.mrc").unlink()
    assert main(extract_words(tomograms, "skip_bad=true")) == 2
    assert "a.mrc" in sentence(capfd)
    assert not (tomograms / "out").exists()


def write_series(folder, names=("a", "b", "c"), tilts=(-40, 0, 40)):
    """A RELION 5 project of several tilt series, one particle in the middle of each."""
    said = {
        "rlnVoltage": "300", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.1", "rlnTomoHand": "-1",
        "rlnTomoTiltSeriesPixelSize": "5", "rlnTomoSizeX": "40", "rlnTomoSizeY": "40", "rlnTomoSizeZ": "20",
    }  # fmt: skip
    listed = {key: [value] * len(names) for key, value in said.items()}
    listed |= {"rlnTomoName": list(names), "rlnTomoTiltSeriesStarFile": [f"{name}.star" for name in names]}
    write_star(folder / "tomograms.star", {"global": Loop(listed)})
    for name in names:
        noise = np.random.default_rng(ord(name)).normal(size=(len(tilts), 40, 40)).astype(np.float32)
        with mrcfile.new(folder / f"{name}.mrcs") as file:
            file.set_data(noise)
        images = {
            "rlnMicrographName": [f"{k}@{name}.mrcs" for k in range(1, len(tilts) + 1)],
            "rlnTomoYTilt": [str(tilt) for tilt in tilts], "rlnTomoZRot": ["0"] * len(tilts),
            **{f"rlnDefocus{one}": ["20000"] * len(tilts) for one in "UV"},
            "rlnDefocusAngle": ["0"] * len(tilts), "rlnMicrographPreExposure": ["0"] * len(tilts),
        }  # fmt: skip
        write_star(folder / f"{name}.star", {name: Loop(images)})
    columns = {
        "rlnTomoName": list(names),
        **{f"rlnCenteredCoordinate{axis}Angst": ["0"] * len(names) for axis in "XYZ"},
    }
    write_star(folder / "picks.star", {"particles": Loop(columns)}, 50001)


@pytest.mark.parametrize("suffix", ["mrcs", "star"])
@pytest.mark.parametrize("bad", ["a", "b"])
def test_particles_of_a_bad_tilt_series_are_set_aside_by_name(tmp_path, capfd, suffix, bad):
    write_series(tmp_path)
    truncated(tmp_path / f"{bad}.{suffix}") if suffix == "mrcs" else vanished(tmp_path / f"{bad}.{suffix}")
    given = ["extract", f"positions={tmp_path / 'picks.star'}", f"tilt_series={tmp_path / 'tomograms.star'}", "box=12"]
    given += [f"out={tmp_path / 'out'}", "threads=1"]
    assert main(given) == 2
    assert f"{bad}.{suffix}" in sentence(capfd)
    assert main([*given, "skip_bad=true"]) == 0
    (line,) = (tmp_path / "out" / "set_aside.txt").read_text().splitlines()
    number = "abc".index(bad)
    assert line.startswith(f"entry {number + 1} in {bad}: ")
    table = listed(tmp_path / "out")
    kept = [k for k in range(3) if k != number]
    assert table["rlnImageName"] == [f"particles/particle_{k:06d}.mrcs" for k in kept]
    assert table["rlnTomoName"] == ["abc"[k] for k in kept]
