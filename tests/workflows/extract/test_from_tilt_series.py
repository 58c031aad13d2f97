"""Tilt images cut out of series whose every pixel is known: Gaussian blobs painted at their projected places."""

import json
from dataclasses import dataclass

import mrcfile
import numpy as np
import pytest
import torch
from thread_ranks import on_ranks

import torchsag
from torchsag.errors import InputError
from torchsag.geometry import rotation_distance, zyz_to_matrix
from torchsag.io import read_particles
from torchsag.io.star import Loop, read_star, write_star
from torchsag.particles import DensityMap, TiltStack
from torchsag.runs.provenance import Provenance
from torchsag.workflows.extract.command import Extract

PIXEL, BOX, SIZE = 4.0, 24, (340, 150)  # angstrom, pixels, pixels (x, y)
TILTS = np.arange(-60.0, 61.0, 6.0)
X_TILT, Z_ROT = 1.5, 85.0
SHIFTS = np.stack([np.linspace(-13.0, 9.0, len(TILTS)), np.linspace(6.0, -17.0, len(TILTS))], -1)  # angstrom


@dataclass(frozen=True)
class Scene:
    """A project: its folder, the structure, where each copy lies (angstrom from the centre) and how (degrees)."""

    folder: object
    blobs: object
    centred: torch.Tensor
    degrees: torch.Tensor

    @property
    def rotations(self):
        return zyz_to_matrix(torch.deg2rad(self.degrees))


def directions():
    """Rows: x axis, y axis and beam of each image; written out anew, in degrees."""
    frames = []
    for tilt in TILTS:
        (cx, sx), (cy, sy), (cz, sz) = ((np.cos(a), np.sin(a)) for a in np.deg2rad([X_TILT, tilt, Z_ROT]))
        about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
        about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
        about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
        frames.append(about_z @ about_y @ about_x)
    return torch.tensor(np.stack(frames))


def paint(scene, noise):
    """The series: a projected Gaussian is a Gaussian."""
    blobs = scene.blobs
    inside = torch.einsum("pij,gj->pgi", scene.rotations, blobs.centres)
    points = (scene.centred[:, None] / PIXEL + inside).reshape(-1, 3)
    heights = blobs.heights.repeat(len(scene.centred)) * blobs.width * (2 * np.pi) ** 0.5
    places = torch.einsum("tik,gk->tgi", directions()[:, :2], points) + torch.tensor(SHIFTS / PIXEL)[:, None]
    x, y = (
        torch.exp(-((torch.arange(n) - n / 2 - places[..., k, None]) ** 2) / (2 * blobs.width**2)).double()
        for k, n in enumerate(SIZE)
    )
    images = torch.einsum("g,tgy,tgx->tyx", heights, y, x)
    return images + noise * torch.randn(images.shape, generator=torch.Generator().manual_seed(1))


def write_project(scene, noise=0.05, ctf=False):
    with mrcfile.new(scene.folder / "TS_1.mrcs") as file:
        file.set_data(paint(scene, noise).numpy().astype(np.float32))
    said = {
        "rlnTomoName": "TS_1", "rlnOpticsGroupName": "o1", "rlnVoltage": "300",
        "rlnSphericalAberration": "2.7" if ctf else "0",
        "rlnAmplitudeContrast": "0.07" if ctf else "1", "rlnTomoHand": "-1", "rlnTomoTiltSeriesPixelSize": str(PIXEL),
        "rlnTomoTiltSeriesStarFile": "TS_1.star", "rlnTomoSizeX": "150", "rlnTomoSizeY": "340", "rlnTomoSizeZ": "60",
    }  # fmt: skip
    write_star(scene.folder / "tomograms.star", {"global": Loop({key: [value] for key, value in said.items()})})
    count, defocus = len(TILTS), "15000" if ctf else "0"
    images = {
        "rlnMicrographName": [f"{k:06d}@TS_1.mrcs" for k in range(1, count + 1)],
        "rlnTomoXTilt": [str(X_TILT)] * count, "rlnTomoYTilt": [str(tilt) for tilt in TILTS],
        "rlnTomoZRot": [str(Z_ROT)] * count, "rlnTomoXShiftAngst": [str(x) for x in SHIFTS[:, 0]],
        "rlnTomoYShiftAngst": [str(y) for y in SHIFTS[:, 1]], "rlnDefocusU": [defocus] * count,
        "rlnDefocusV": [defocus] * count, "rlnDefocusAngle": ["0"] * count,
        "rlnMicrographPreExposure": ["0"] * count,
    }  # fmt: skip
    write_star(scene.folder / "TS_1.star", {"TS_1": Loop(images)})


@pytest.fixture
def scene(tmp_path, blobs):
    """Six copies along the tilt axis, no image of which overlaps another, and one that half of the images hold."""
    generator = torch.Generator().manual_seed(4)
    grid = torch.tensor([[0.0, y, 0.0] for y in (-500.0, -300.0, -100.0, 100.0, 300.0, 500.0)]).double()
    off = 30 * (torch.rand(len(grid), 3, generator=generator, dtype=torch.float64) - 0.5)
    centred = torch.cat([grid + off, torch.tensor([[0.0, 632.0, 0.0]]).double()])
    degrees = torch.rand(len(centred), 3, generator=generator, dtype=torch.float64) * torch.tensor(
        [360.0, 180.0, 360.0]
    )
    scene = Scene(tmp_path, blobs(radius=5.0, count=12), centred, degrees)
    write_project(scene)
    origins = torch.tensor([2.5, -1.25, 4.0]).double()
    columns = {"rlnTomoName": ["TS_1"] * 7, "rlnClassNumber": ["2"] * 7}
    for k, axis in enumerate("XYZ"):  # RELION's particle lies at the coordinate minus the origin
        columns[f"rlnCenteredCoordinate{axis}Angst"] = [f"{v:.6f}" for v in centred[:, k] + origins[k]]
        columns[f"rlnOrigin{axis}Angst"] = [str(float(origins[k]))] * 7
    for k, name in enumerate(("rlnAngleRot", "rlnAngleTilt", "rlnAnglePsi")):
        columns[name] = [f"{v:.6f}" for v in degrees[:, k]]
    write_star(tmp_path / "picks.star", {"particles": Loop(columns)}, 50001)
    return scene


def extract(scene, **settings):
    folder = scene.folder
    defaults = {"positions": str(folder / "picks.star"), "tilt_series": str(folder / "tomograms.star")}
    return Extract(**{**defaults, "out": str(folder / "out"), "box": BOX, **settings})(Provenance("extract", ""))


def extracted(scene, out="out"):
    return read_particles(scene.folder / out / "optimisation_set.star")


def test_extracted_stacks_are_particles_at_the_listed_poses(scene):
    outcome = extract(scene)
    assert outcome.notes[0].endswith("optimisation_set.star")
    particles = extracted(scene)
    assert len(particles) == 7
    assert all(isinstance(source, TiltStack) for source in particles.volumes)
    assert particles.voxel_size == PIXEL
    turned = rotation_distance(particles.poses.rotations.double(), scene.rotations)
    assert float(torch.rad2deg(turned).max()) < 1e-3
    assert float(particles.poses.shifts.abs().max()) == 0  # the origins went into the positions
    reference = DensityMap(scene.blobs.map(BOX), PIXEL)
    found = torchsag.align(particles, reference, method="curvature_sag_local")
    assert float(torch.rad2deg(rotation_distance(found.poses.rotations.double(), scene.rotations)[:6]).max()) < 0.6
    assert float(found.poses.shifts[:6].norm(dim=1).max()) < 0.06


def test_each_image_is_the_projection_centred_on_the_particle(scene):
    """Against the same painting with the particle in the middle: no pixel is off by more than interpolation."""
    write_again = Scene(scene.folder, scene.blobs, scene.centred[2:3], scene.degrees[2:3])
    (scene.folder / "TS_1.mrcs").unlink()
    write_project(write_again, noise=0.0)
    extract(scene, premultiply=False, background_radius_voxels=0.0)
    with mrcfile.open(scene.folder / "out" / "particles" / "particle_000002.mrcs") as file:
        images = torch.tensor(file.data).double()
    inside = torch.einsum("ij,gj->gi", scene.rotations[2], scene.blobs.centres)
    places = torch.einsum("tik,gk->tgi", directions()[:, :2], inside)
    axis = torch.arange(BOX) - BOX // 2
    x, y = (torch.exp(-((axis - places[..., k, None]) ** 2) / (2 * scene.blobs.width**2)) for k in range(2))
    expected = torch.einsum("g,tgy,tgx->tyx", scene.blobs.heights, y, x)
    expected = expected - expected.mean((1, 2), keepdim=True)
    expected = expected / expected.std((1, 2), correction=0, keepdim=True)
    assert float((images - expected).abs().max()) < 0.02 * float(expected.max())


def test_images_that_hold_only_a_part_are_not_visible(scene):
    extract(scene)
    table = read_star(scene.folder / "out" / "particles.star")["particles"]
    seen = [json.loads(text) for text in table.columns["rlnTomoVisibleFrames"]]
    assert all(all(flags) for flags in seen[:6])
    assert 0 < sum(seen[6]) < len(TILTS)
    with mrcfile.open(scene.folder / "out" / "particles" / "particle_000006.mrcs") as file:
        assert file.data.shape == (sum(seen[6]), BOX, BOX)
    assert table.columns["rlnClassNumber"] == ["2"] * 7


def test_premultiplied_images_are_filtered_images(scene):
    """In a box large enough that nothing is cut off, by the transfer that the reader counts with."""
    write_project_with_ctf = Scene(scene.folder, scene.blobs, scene.centred, scene.degrees)
    (scene.folder / "TS_1.mrcs").unlink()
    write_project(write_project_with_ctf, ctf=True)
    extract(scene)
    extract(scene, out=str(scene.folder / "plain"), premultiply=False, box=2 * BOX, background_radius_voxels=BOX / 2)
    stack, plain = extracted(scene).volumes[0], extracted(scene, "plain").volumes[0]
    assert (stack.premultiplied, plain.premultiplied) == (True, False)
    with mrcfile.open(plain.path) as file:
        images = torch.tensor(file.data).double()
    transfer = plain.optics.transfer(2 * BOX, PIXEL)
    # The transfer is laid out with the zero frequency first and real: no centre enters.
    expected = torch.fft.irfft2(torch.fft.rfft2(images) * transfer, s=images.shape[1:])
    with mrcfile.open(stack.path) as file:
        torch.testing.assert_close(
            torch.tensor(file.data).double(), expected[:, BOX // 2 : -BOX // 2, BOX // 2 : -BOX // 2], atol=1e-4, rtol=0
        )


def test_binned_images_keep_the_particle_in_the_middle(scene):
    extract(scene, box=BOX // 2, binning=2)
    particles = extracted(scene)
    assert particles.voxel_size == 2 * PIXEL
    coarse = torchsag.align(
        particles,
        DensityMap(torchsag.fourier.resize.resample(scene.blobs.map(BOX), (BOX // 2,) * 3), 2 * PIXEL),
        method="curvature_sag_local",
    )
    assert float(coarse.poses.shifts[:6].mean(0).norm()) < 0.05


def test_picks_of_a_csv_count_voxels_of_their_tomogram(scene):
    centre = torch.tensor([150.0, 340.0, 60.0]).double() * PIXEL / 2
    rows = torch.cat([(scene.centred + centre) / 10.0, scene.degrees], 1).tolist()
    text = "".join("TS_1," + ",".join(f"{v:.6f}" for v in row) + "\n" for row in rows)
    (scene.folder / "picks.csv").write_text("tomogram,x,y,z,rot_deg,tilt_deg,psi_deg\n" + text)
    picks = str(scene.folder / "picks.csv")
    with pytest.raises(InputError, match="does not tell what its positions count; give voxel_size_angstrom="):
        extract(scene, positions=picks)
    extract(scene, positions=picks, voxel_size_angstrom=10.0, out=str(scene.folder / "csv"))
    extract(scene)
    one, other = ((scene.folder / out / "particles/particle_000003.mrcs").read_bytes() for out in ("csv", "out"))
    difference = np.frombuffer(one[1024:], "<f4") - np.frombuffer(other[1024:], "<f4")
    assert np.abs(difference).max() < 1e-3  # six digits of a position


def test_origins_in_angstrom_of_a_list_that_counts_voxels_move_the_box(scene):
    """RELION 3.1's way: rlnCoordinateX in voxels of a tomogram, rlnOriginXAngst in angstrom."""
    centre, columns = torch.tensor([150.0, 340.0, 60.0]).double() * PIXEL / 2, {"rlnTomoName": ["TS_1"] * 7}
    for k, axis in enumerate("XYZ"):
        origin = (6.0, -9.0, 3.0)[k]
        columns[f"rlnCoordinate{axis}"] = [f"{v:.6f}" for v in (scene.centred[:, k] + centre[k] + origin) / 10.0]
        columns[f"rlnOrigin{axis}Angst"] = [str(origin)] * 7
    write_star(scene.folder / "voxels.star", {"particles": Loop(columns)})
    extract(scene, positions=str(scene.folder / "voxels.star"), voxel_size_angstrom=10.0)
    table = read_star(scene.folder / "out" / "particles.star")["particles"].columns
    for k, axis in enumerate("XYZ"):
        found = torch.tensor([float(v) for v in table[f"rlnCenteredCoordinate{axis}Angst"]], dtype=torch.float64)
        torch.testing.assert_close(found, scene.centred[:, k], atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"tomogram": "TS_1.mrc"}, "tomogram: concerns tomograms, and tilt_series= cuts images"),
        ({"tilt_series": "nowhere.star"}, "tilt_series: no such file: nowhere.star"),
        ({"box": 400}, "not one box of 400 pixels lies inside an image"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_written(scene, settings, message):
    with pytest.raises(InputError, match=message):
        extract(scene, **settings)
    assert not (scene.folder / "out").exists()


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("@TS_1.mrcs", "@TS_9.mrcs", "image 1: no such file: TS_9.mrcs"),
        ("000003@", "000300@", "image 3: expected section 300 in .*, which has 21"),
        ("000003@", "0@", "image 3: no such file: 0@TS_1.mrcs"),
        ("rlnMicrographName", "rlnMicrographNames", "expected a column rlnMicrographName"),
    ],
)
def test_missing_images_are_named(scene, old, new, message):
    path = scene.folder / "TS_1.star"
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        extract(scene)


def test_many_ranks_and_a_second_run_make_what_one_makes(scene):
    extract(scene, out=str(scene.folder / "one"))
    on_ranks(3, lambda workers: extract(scene, parallel=workers, chunk=2))
    for name in ["particles.star", *(f"particles/particle_{k:06d}.mrcs" for k in range(7))]:
        assert (scene.folder / "one" / name).read_bytes() == (scene.folder / "out" / name).read_bytes()
