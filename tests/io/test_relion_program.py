"""RELION itself reads what torchsag writes, and makes the same map of it (RELION 3.1.3 of Debian and Ubuntu)."""

import shutil
import subprocess

import pytest
import torch

from torchsag.app.main import main
from torchsag.fourier import fourier_shell_correlation, half_frequencies, to_half_spectrum
from torchsag.geometry import Symmetry, rotation_distance
from torchsag.imaging.masks import centred_radius
from torchsag.io import convert_list, read_map, read_particles, write_poses
from torchsag.parallel.serial import Serial
from torchsag.runs.chunked_sums import average_at

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("relion_reconstruct") is None, reason="RELION is not installed"),
]
BOX, VOXEL = 32, 12.0


def _run(folder, *words):
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-1000:] + done.stderr[-1000:]


def _reconstructed(folder, listing, out):
    _run(folder, "relion_reconstruct", "--i", str(listing), "--o", str(out), "--ctf")
    return read_map(out, VOXEL).density


def _ours(listing):
    particles = read_particles(listing)
    return average_at(particles, particles.poses, Symmetry("C1"), torch.device("cpu"), 16, Serial()).density


def _relions_corners(density):
    """RELION's last step: beyond half the box, over three voxels, the mean of what lies there takes its place."""
    beyond = ((centred_radius((BOX,) * 3) - BOX / 2) / 3).clamp(0, 1)
    share = 0.5 - 0.5 * (torch.pi * beyond).cos()
    return density * (1 - share) + share * (density * share).sum() / share.sum()


def _agree(theirs, ours):
    """FSC of whole boxes, and inside the inscribed sphere, above 0.99 to half the Nyquist frequency; shift < 0.02."""
    inside = ((BOX / 2 - centred_radius((BOX,) * 3)) / 3 + 0.5).clamp(0, 1)
    theirs, ours = theirs.float(), ours.float()
    spectra = [to_half_spectrum(density * inside) for density in (theirs, ours)]
    whole = [to_half_spectrum(density) for density in (theirs, _relions_corners(ours))]
    for first, second in (spectra, whole):
        assert fourier_shell_correlation(first, second, (BOX,) * 3)[: BOX // 4 + 1].min() > 0.99
    cross = spectra[0] * spectra[1].conj()
    waves = half_frequencies((BOX,) * 3)
    low = waves.norm(dim=-1) < 0.25
    weight = cross.abs()[low].sqrt()
    phases = (cross.angle()[low] * weight)[:, None]
    shift = torch.linalg.lstsq(2 * torch.pi * waves[low] * weight[:, None], phases).solution
    assert shift.abs().max() < 0.02


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    words = [f"n={60}", f"box={BOX}", f"voxel_size_angstrom={VOXEL}", "snr=0.3", "seed=3", "threads=1"]
    assert main(["simulate", f"out={folder / 'sim'}", "structure=ribosome", *words]) == 0
    return folder / "sim"


def test_simulated_particles(project, tmp_path):
    theirs, ours = _reconstructed(project, "particles.star", tmp_path / "rec.mrc"), _ours(project / "particles.star")
    _agree(theirs, ours)
    # What keeps the boxes as they are from agreeing better: RELION's corners are empty.
    corners = centred_radius((BOX,) * 3) > BOX / 2 + 3
    assert theirs[corners].std() < 0.15 * ours[corners].std()


def test_poses_of_align_and_average(project, tmp_path):
    start = [f"particles={project / 'particles.star'}", f"reference={project / 'reference.mrc'}", "threads=1"]
    assert main(["align", *start, f"out={tmp_path / 'aligned'}"]) == 0
    assert main(["average", *start, f"out={tmp_path / 'averaged'}", "iterations=1"]) == 0
    for run in ("aligned", "averaged"):
        poses = tmp_path / run / "poses.star"
        _agree(_reconstructed(project, poses, tmp_path / f"{run}.mrc"), _ours(poses))
    _agree(read_map(tmp_path / "aligned.mrc", VOXEL).density, read_map(tmp_path / "aligned" / "average.mrc").density)


def test_lists_of_other_programs_converted(project, tmp_path):
    particles = read_particles(project / "particles.star")
    # Tilt ranges instead of weight volumes, as most programs have them; a wedge about x as well.
    convert_list(project / "particles.star", tmp_path / "a.csv")
    lines = (tmp_path / "a.csv").read_text().splitlines()
    column = lines[0].split(",").index("weight")
    for axis in (0, 90):
        rows = [line.split(",") for line in lines]
        rows[0][column], rows[0][-1] = "tilt_axis_deg", f"{rows[0][-1]},tilt_min_deg,tilt_max_deg"
        for row in rows[1:]:
            row[column], row[-1] = str(axis), f"{row[-1]},-60,60"
        (tmp_path / "b.csv").write_text("\n".join(",".join(row) for row in rows) + "\n")
        convert_list(tmp_path / "b.csv", tmp_path / "lists" / f"b{axis}.star", project=tmp_path)
        listing = tmp_path / "lists" / f"b{axis}.star"
        _agree(_reconstructed(tmp_path, listing, tmp_path / f"b{axis}.mrc"), _ours(listing))
    convert_list(project / "particles.star", tmp_path / "motl.star", program="stopgap")
    assert len(particles) == 60


def test_refine_and_star_handler(project, tmp_path):
    _run(
        project, "relion_refine", "--i", "particles.star", "--o", str(tmp_path / "run"), "--ref", "reference.mrc",
        "--ini_high", "40", "--iter", "1", "--K", "1", "--ctf", "--particle_diameter", "330", "--skip_align", "--norm",
        "--scale", "--j", "1", "--healpix_order", "1", "--dont_check_norm", "--zero_mask",
    )  # fmt: skip
    words = ["--select", "rlnClassNumber", "--minval", "0", "--maxval", "9"]
    _run(project, "relion_star_handler", "--i", "particles.star", "--o", str(tmp_path / "handled.star"), *words)
    ours = read_particles(project / "particles.star")
    shutil.copy(tmp_path / "run_it001_data.star", project / "refined.star")
    shutil.copy(tmp_path / "handled.star", project / "handled.star")
    for name in ("refined.star", "handled.star"):
        theirs = read_particles(project / name)
        assert theirs.names == ours.names
        assert rotation_distance(theirs.poses.rotations, ours.poses.rotations).max() < 1e-5
        assert (theirs.poses.shifts - ours.poses.shifts).abs().max() < 1e-5
    # And what we write over RELION's list is read by RELION again.
    write_poses(tmp_path / "again.star", read_particles(project / "refined.star"), ours.poses)
    _agree(_reconstructed(project, tmp_path / "again.star", tmp_path / "again.mrc"), _ours(project / "particles.star"))
