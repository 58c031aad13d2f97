"""Boxes cut out of tomograms made of a known structure at known places."""

import json
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from thread_ranks import on_ranks

import torchsag
from torchsag.errors import InputError
from torchsag.fourier import from_half_spectrum, to_half_spectrum
from torchsag.fourier.resize import resample
from torchsag.geometry import Poses, rotvec_to_matrix, zyz_to_matrix
from torchsag.imaging.wedge import missing_wedge
from torchsag.io import read_map, read_particles, write_map
from torchsag.io.lists import read_list
from torchsag.particles import DensityMap
from torchsag.runs.provenance import Provenance
from torchsag.workflows.extract.command import Extract
from torchsag.workflows.extract.subvolumes import SubvolumeWriter

SHAPE, BOX, VOXEL = (40, 110, 120), 24, 5.0
GRID = [(x, y, 19) for y in (20, 54, 88) for x in (20, 54, 88)]


@dataclass(frozen=True)
class Scene:
    """A tomogram, the structure in it and where each copy lies: voxels (x, y, z) and degrees."""

    folder: object
    blobs: object
    positions: torch.Tensor
    degrees: torch.Tensor

    @property
    def rotations(self):
        return zyz_to_matrix(torch.deg2rad(self.degrees))


@pytest.fixture
def scene(tmp_path, blobs):
    """Nine copies, none on a voxel, in a little noise, without a wedge."""
    generator = torch.Generator().manual_seed(3)
    count = len(GRID)
    structure = blobs(radius=5.0, count=12)
    positions = torch.tensor(GRID) + torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5
    degrees = torch.rand(count, 3, generator=generator, dtype=torch.float64) * torch.tensor([360.0, 180.0, 360.0])
    scene = Scene(tmp_path, structure, positions, degrees)
    write_map(tmp_path / "TS_1.mrc", DensityMap(tomogram(scene, noise=0.01), VOXEL))
    write_csv(scene, scene.positions)
    return scene


def tomogram(scene, tilt_deg=None, noise=0.0):
    volume = torch.zeros(SHAPE)
    whole = scene.positions.round()
    copies = scene.blobs.volumes(Poses(scene.rotations, scene.positions - whole), 32)
    for (x, y, z), copy in zip(whole.long().tolist(), copies, strict=True):
        volume[z - 16 : z + 16, y - 16 : y + 16, x - 16 : x + 16] += copy
    volume += noise * torch.randn(SHAPE, generator=torch.Generator().manual_seed(0))
    if tilt_deg is None:
        return volume
    return from_half_spectrum(to_half_spectrum(volume) * missing_wedge(SHAPE, -tilt_deg, tilt_deg), SHAPE)


def write_csv(scene, positions, tomograms="TS_1.mrc", name="picks.csv"):
    rows = torch.cat([positions, scene.degrees], 1).tolist()
    text = "".join(f"{tomograms}," + ",".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
    (scene.folder / name).write_text("tomogram,x,y,z,rot_deg,tilt_deg,psi_deg\n" + text)


def extract(scene, **settings):
    defaults = {"positions": str(scene.folder / "picks.csv"), "out": str(scene.folder / "out"), "box": BOX}
    tilts = {"tilt_min_deg": -90.0, "tilt_max_deg": 90.0}
    return Extract(**{**defaults, **tilts, **settings})(Provenance("extract", ""))


def extracted(scene, out="out"):
    return read_particles(scene.folder / out / "particles.star")


def correlation(one, other):
    one, other = (volume.double() - volume.double().mean() for volume in (one, other))
    return float((one * other).sum() / (one.norm() * other.norm()))


def test_each_volume_is_the_structure_at_the_listed_pose(scene):
    write_map(scene.folder / "TS_1.mrc", DensityMap(tomogram(scene), VOXEL))
    extract(scene, background_radius_voxels=0.0)
    particles = extracted(scene)
    assert particles.voxel_size == VOXEL
    assert particles.tomograms == ("TS_1.mrc",) * 9
    listed = read_list(scene.folder / "out" / "particles.star")
    # Nothing is lost: box centre and shift are the position again.
    assert float((listed.positions + particles.poses.shifts - scene.positions).abs().max()) < 1e-5
    assert float(particles.poses.shifts.abs().max()) <= 0.5
    expected = scene.blobs.volumes(particles.poses, BOX)
    found = [read_map(scene.folder / "out" / name).density for name in particles.names]
    assert min(correlation(*pair) for pair in zip(found, expected, strict=True)) > 1 - 1e-9


@pytest.mark.parametrize("method", ["curvature_sag_local", pytest.param("curvature_sag", marks=pytest.mark.slow)])
def test_extract_align_average_end_at_the_truth(scene, method):
    """From the listed poses, and from nothing."""
    write_map(scene.folder / "TS_1.mrc", DensityMap(tomogram(scene, tilt_deg=60.0, noise=0.02), VOXEL))
    extract(scene, tilt_min_deg=-60.0, tilt_max_deg=60.0)
    particles = extracted(scene)
    reference = DensityMap(scene.blobs.map(BOX), VOXEL)
    found = torchsag.align(particles, reference, method=method)
    assert float((found.poses.shifts.double() - particles.poses.shifts).norm(dim=1).max()) < 0.02
    turned = found.poses.rotations.double() @ particles.poses.rotations.mT
    assert float(torch.rad2deg(torch.acos(((turned.diagonal(dim1=1, dim2=2).sum(1) - 1) / 2).clamp(-1, 1))).max()) < 0.5
    assert correlation(found.average.density, reference.density) > 0.99


def test_background_has_mean_0_and_variance_1(scene):
    write_map(scene.folder / "TS_1.mrc", DensityMap(3 * tomogram(scene, noise=0.5) + 7, VOXEL))
    extract(scene)
    extract(scene, out=str(scene.folder / "whole"), background_radius_voxels=0.0)
    volume = read_map(scene.folder / "out" / "particles" / "particle_000004.mrc").density.double()
    axis = torch.arange(BOX) - BOX // 2
    outside = axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2 >= (BOX // 2) ** 2
    assert float(volume[outside].mean()) == pytest.approx(0, abs=1e-5)
    assert float(volume[outside].std(correction=0)) == pytest.approx(1, abs=1e-5)
    assert float(volume.mean()) > 0.05
    whole = read_map(scene.folder / "whole" / "particles" / "particle_000004.mrc").density.double()
    assert float(whole.mean()) == pytest.approx(0, abs=1e-5)


def test_contrast_is_turned(scene):
    extract(scene)
    extract(scene, out=str(scene.folder / "dark"), invert=True)
    name = "particles/particle_000000.mrc"
    bright, dark = (read_map(scene.folder / out / name).density for out in ("out", "dark"))
    torch.testing.assert_close(dark, -bright)


def test_binning_crops_the_spectrum_and_keeps_the_position(scene):
    extract(scene, box=16, binning=2)
    extract(scene, out=str(scene.folder / "fine"), box=32)
    particles = extracted(scene)
    assert particles.voxel_size == 2 * VOXEL
    listed = read_list(scene.folder / "out" / "particles.star")
    where = (listed.positions + particles.poses.shifts) * 2
    assert float((where - scene.positions).abs().max()) < 1e-5
    fine, coarse = extracted(scene, "fine").load([3]).volumes[0], particles.load([3]).volumes[0]
    assert correlation(resample(fine, (16, 16, 16)), coarse) > 1 - 1e-6


def test_boxes_over_the_border_are_set_aside_by_name(scene):
    positions = scene.positions.clone()
    positions[2, 0] = 5.0
    write_csv(scene, positions)
    outcome = extract(scene)
    assert ("set aside", "1") in outcome.rows
    assert len(extracted(scene)) == 8
    assert not (scene.folder / "out" / "particles" / "particle_000002.mrc").exists()
    text = (scene.folder / "out" / "set_aside.txt").read_text()
    assert text.startswith("entry 3 at voxel (5, ")
    assert text.count("\n") == 1
    extract(scene, out=str(scene.folder / "padded"), edges="pad")
    assert len(extracted(scene, "padded")) == 9


@pytest.mark.parametrize(("low", "good"), [(12, True), (11, False)])
def test_the_last_box_that_fits_touches_the_border(scene, low, good):
    positions = scene.positions.clone()
    positions[0] = torch.tensor([low, SHAPE[1] - 12, 20])
    write_csv(scene, positions)
    extract(scene)
    assert len(extracted(scene)) == (9 if good else 8)


def test_an_empty_corner_and_nan_are_set_aside(scene):
    volume = tomogram(scene, noise=0.01)
    volume[:, :37, :37] = 0
    volume[19, 54, 54] = float("nan")
    raw = bytearray((scene.folder / "TS_1.mrc").read_bytes()[:1024]) + volume.numpy().astype("<f4").tobytes()
    (scene.folder / "TS_1.mrc").write_bytes(raw)
    extract(scene)
    assert len(extracted(scene)) == 7
    text = (scene.folder / "out" / "set_aside.txt").read_text()
    assert "has no contrast farther than 12 voxels" in text.splitlines()[0]
    assert "not finite" in text.splitlines()[1]
    assert [line.split(" at ")[0] for line in text.splitlines()] == ["entry 1", "entry 5"]


def test_positions_of_a_coarser_tomogram(scene):
    write_csv(scene, scene.positions / 4)
    extract(scene, rescale=4.0)
    particles = extracted(scene)
    listed = read_list(scene.folder / "out" / "particles.star")
    assert float((listed.positions + particles.poses.shifts - scene.positions).abs().max()) < 1e-5


def relion_list(scene, size, columns="rlnCoordinate{}", values=None, optics="", name="picks.star"):
    values = scene.positions if values is None else values
    labels = [columns.format(axis) for axis in "XYZ"] + ["rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi"]
    rows = torch.cat([values, scene.degrees], 1).tolist()
    (scene.folder / name).write_text(
        f"data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n{optics and '_' + optics.split()[0]}\n"
        f"1 {size} {optics and optics.split()[1]}\n\ndata_particles\n\nloop_\n_rlnTomoName\n_rlnOpticsGroup\n"
        + "".join(f"_{label}\n" for label in labels)
        + "_rlnTomoParticleName\n"
        + "".join("TS_1 1 " + " ".join(f"{v:.6f}" for v in row) + f" TS_1/{k}\n" for k, row in enumerate(rows, start=1))
    )
    return str(scene.folder / name)


def test_another_voxel_size_is_asked_about(scene):
    listed = relion_list(scene, 20.0)
    with pytest.raises(InputError, match=r"20 angstrom per voxel .* has 5; give rescale=4 if .* rescale=1 if"):
        extract(scene, positions=listed, tomogram=str(scene.folder))
    assert not (scene.folder / "out").exists()
    extract(scene, positions=listed, tomogram=str(scene.folder), rescale=1.0)
    assert len(extracted(scene)) == 9


def test_relion_4_positions_count_pixels_of_the_series(scene):
    listed = relion_list(scene, 10.0, values=scene.positions * 2, optics="rlnTomoTiltSeriesPixelSize 2.5")
    extract(scene, positions=listed, tomogram=str(scene.folder / "TS_1.mrc"))
    particles = extracted(scene)
    where = read_list(scene.folder / "out" / "particles.star").positions + particles.poses.shifts
    assert float((where - scene.positions).abs().max()) < 1e-5
    text = (scene.folder / "out" / "particles.star").read_text()
    assert "TS_1/9" in text
    assert "rlnTomoParticleName" in text


@pytest.mark.parametrize("sizes", [True, False])
def test_relion_5_positions_count_angstrom_from_the_centre(scene, sizes):
    centre = torch.tensor([SHAPE[2] / 2, SHAPE[1] / 2, SHAPE[0] / 2], dtype=torch.float64)
    values = (scene.positions - centre) * VOXEL
    listed = relion_list(scene, VOXEL, "rlnCenteredCoordinate{}Angst", values)
    (scene.folder / "rec").mkdir()
    (scene.folder / "TS_1.mrc").rename(scene.folder / "rec" / "vol_TS_1.mrc")
    more = "\n_rlnTomoSizeX\n_rlnTomoSizeY\n_rlnTomoSizeZ" if sizes else ""
    (scene.folder / "tomograms.star").write_text(
        f"data_global\n\nloop_\n_rlnTomoName\n_rlnTomoReconstructedTomogram\n_rlnTomoTiltSeriesPixelSize{more}\n"
        f"TS_1 rec/vol_TS_1.mrc 2.5 {'240 220 80' if sizes else ''}\n"
    )
    extract(scene, positions=listed)
    particles = extracted(scene)
    where = read_list(scene.folder / "out" / "particles.star").positions + particles.poses.shifts
    assert float((where - scene.positions).abs().max()) < 1e-5


def test_listed_shifts_move_the_box(scene):
    rows = torch.cat([scene.positions - torch.tensor([3.25, -2.5, 1.0]), scene.degrees], 1).tolist()
    text = "".join("TS_1.mrc,3.25,-2.5,1," + ",".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
    (scene.folder / "picks.csv").write_text("tomogram,tx,ty,tz,x,y,z,rot_deg,tilt_deg,psi_deg\n" + text)
    extract(scene)
    particles = extracted(scene)
    where = read_list(scene.folder / "out" / "particles.star").positions + particles.poses.shifts
    assert float((where - scene.positions).abs().max()) < 1e-5


def test_positions_without_angles_have_no_prior_angles(scene):
    rows = "".join(",".join(f"{v:.6f}" for v in row) + "\n" for row in scene.positions.tolist())
    (scene.folder / "picks.csv").write_text("x,y,z\n" + rows)
    extract(scene, tomogram=str(scene.folder / "TS_1.mrc"))
    listed = read_list(scene.folder / "out" / "particles.star")
    assert listed.rotations is None
    assert listed.tomograms[0] == "TS_1.mrc"
    where = listed.positions + extracted(scene).poses.shifts
    assert float((where - scene.positions).abs().max()) < 1e-5


def test_turned_boxes_of_relion_are_unturned(scene):
    listed = relion_list(scene, VOXEL)
    box = torch.tensor([[30.0, 40.0, 50.0]]).double().expand(9, 3)
    text = (scene.folder / "picks.star").read_text()
    for axis in ("Rot", "Tilt", "Psi"):
        text = text.replace("_rlnTomoParticleName\n", f"_rlnTomoSubtomogram{axis}\n_rlnTomoParticleName\n")
    (scene.folder / "picks.star").write_text(text.replace(" TS_1/", " 30 40 50 TS_1/"))
    extract(scene, positions=listed, tomogram=str(scene.folder))
    expected = zyz_to_matrix(torch.deg2rad(box)) @ scene.rotations
    torch.testing.assert_close(extracted(scene).poses.rotations.double(), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tomogram": "nowhere.mrc"}, "tomogram: no such file or folder: nowhere.mrc"),
        ({"tilt_min_deg": None, "tilt_max_deg": None}, "entry 1: says nothing about the tilts; give tilt_min_deg="),
        ({"box": 64}, r"not one box of 64 voxels lies inside its tomogram: .* \[120, 110, 40\] voxels"),
        ({"rescale": 9.0}, "check tomogram=, rescale= and box="),
        ({"box": 1000, "binning": 1000}, "box: expected boxes of at most 1024 voxels"),
        ({"edges": "wrap"}, "edges: expected set_aside or pad, got 'wrap'"),
        ({"rescale": -1.0}, "rescale: expected a number between"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(scene, settings, message):
    with pytest.raises(InputError, match=message):
        extract(scene, **settings)
    assert not (scene.folder / "out").exists()


def test_missing_and_cut_tomograms_are_refused(scene):
    write_csv(scene, scene.positions, tomograms="TS_7.mrc")
    with pytest.raises(InputError, match=r"no such tomogram file: TS_7\.mrc; check the path"):
        extract(scene)
    write_csv(scene, scene.positions)
    raw = (scene.folder / "TS_1.mrc").read_bytes()
    (scene.folder / "TS_1.mrc").write_bytes(raw[:-4])
    with pytest.raises(InputError, match="truncated or damaged MRC file, its header promises"):
        extract(scene)


def test_tomograms_of_two_voxel_sizes_are_refused(scene):
    write_map(scene.folder / "TS_2.mrc", DensityMap(tomogram(scene, noise=0.01), 6.0))
    text = (scene.folder / "picks.csv").read_text().splitlines()
    text[-1] = text[-1].replace("TS_1", "TS_2")
    (scene.folder / "picks.csv").write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match=r"TS_2.mrc: expected the voxel size of .*TS_1.mrc, 5 angstrom, got 6"):
        extract(scene)
    extract(scene, voxel_size_angstrom=5.0)
    assert set(extracted(scene).tomograms) == {"TS_1.mrc", "TS_2.mrc"}


def test_a_killed_run_carries_on(scene, monkeypatch):
    extract(scene, out=str(scene.folder / "straight"))
    work, made = SubvolumeWriter.__call__, []

    def killed(self, rows):
        if len(made) == 2:
            raise KeyboardInterrupt
        made.append(rows)
        return work(self, rows)

    monkeypatch.setattr(SubvolumeWriter, "__call__", killed)
    with pytest.raises(KeyboardInterrupt):
        extract(scene, chunk=2)
    assert not (scene.folder / "out" / "particles.star").exists()
    (scene.folder / "out" / "particles" / "particle_000003.mrc").unlink()
    monkeypatch.setattr(SubvolumeWriter, "__call__", lambda self, rows: made.append(rows) or work(self, rows))
    extract(scene, chunk=4)
    # The first chunk is there, the second lost a volume.
    assert made == [range(2), range(2, 4), range(2, 6), range(6, 9)]
    one, other = (extracted(scene, out).load(range(9)).volumes for out in ("straight", "out"))
    assert torch.equal(one, other)
    assert not (scene.folder / "out" / ".checkpoint").exists()


def test_many_ranks_make_what_one_makes(scene):
    extract(scene, out=str(scene.folder / "one"))
    on_ranks(3, lambda workers: extract(scene, parallel=workers))
    names = ["particles.star", *(f"particles/particle_{k:06d}.mrc" for k in range(9))]
    for name in names:
        assert (scene.folder / "one" / name).read_bytes() == (scene.folder / "out" / name).read_bytes()
    metrics = json.loads((scene.folder / "out" / "metrics.json").read_text())
    assert (metrics["particles"], metrics["set_aside"], metrics["box"]) == (9, 0, BOX)


def test_integers_of_the_other_byte_order(scene):
    """The map's own type is read box by box."""
    volume = (tomogram(scene, noise=0.01) * 1000).round().numpy()
    head = np.frombuffer((scene.folder / "TS_1.mrc").read_bytes()[:1024], "<i4").copy()
    head[3] = 1
    swapped = bytearray(head.byteswap().tobytes())
    swapped[208:212] = b"MAP "
    (scene.folder / "TS_1.mrc").write_bytes(bytes(swapped) + volume.astype(">i2").tobytes())
    extract(scene)
    particles = extracted(scene)
    expected = scene.blobs.volumes(particles.poses, BOX)
    assert correlation(particles.load([5]).volumes[0], expected[5]) > 0.99


def test_em_tomograms_need_a_voxel_size(scene):
    write_map(scene.folder / "TS_1.em", DensityMap(tomogram(scene, noise=0.01), VOXEL))
    tomogram_em = str(scene.folder / "TS_1.em")
    with pytest.raises(InputError, match=r"TS_1\.em: expected one voxel size .* give voxel_size_angstrom="):
        extract(scene, tomogram=tomogram_em)
    extract(scene, tomogram=tomogram_em, voxel_size_angstrom=VOXEL)
    extract(scene, out=str(scene.folder / "mrc"))
    one, other = (extracted(scene, out).load(range(9)).volumes for out in ("mrc", "out"))
    assert torch.equal(one, other)


def test_rotations_are_those_of_the_structure(scene):
    """The truth of these tests: a wrong rotation would be seen."""
    extract(scene)
    particles = extracted(scene)
    off = Poses(
        particles.poses.rotations @ rotvec_to_matrix(torch.tensor([0.0, 0.0, 0.3])).double(), particles.poses.shifts
    )
    assert correlation(particles.load([0]).volumes[0], scene.blobs.volumes(off, BOX)[0]) < 0.98


def test_dynamo_tables_count_voxels_and_keep_their_tilts(scene):
    table = np.zeros((9, 35))
    table[:, 0], table[:, 1], table[:, 12], table[:, 19] = range(1, 10), 1, 1, 1
    table[:, 13], table[:, 14] = -55, 50
    table[:, 23:26] = scene.positions / 2
    table[:, 3:6] = 0.25
    folder = scene.folder / "1/2/3/4/5/6"  # volumes are looked for in five folders above: all its own
    folder.mkdir(parents=True)
    np.savetxt(folder / "picks.tbl", table)
    listed = str(folder / "picks.tbl")
    extract(
        scene,
        positions=listed,
        tomogram=str(scene.folder / "TS_1.mrc"),
        rescale=2.0,
        tilt_min_deg=None,
        tilt_max_deg=None,
    )
    particles = extracted(scene)
    where = read_list(scene.folder / "out" / "particles.star").positions + particles.poses.shifts
    assert float((where - scene.positions - 0.5).abs().max()) < 1e-5
    assert (particles.weights[0].tilt_min_deg, particles.weights[0].tilt_max_deg) == (-55, 50)
