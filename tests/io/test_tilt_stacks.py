"""Tilt images of RELION 5 and WarpTools read as particles: the structure stands where the list says."""

import numpy as np
import pytest
import torch
from tilt_projects import PIXEL, TILTS, Project

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.geometry import Poses
from torchsag.io import convert_list, read_particles, write_poses
from torchsag.io.mrc import write_mrc
from torchsag.particles import TiltStack, VolumeSource


@pytest.fixture
def structure(blobs):
    return blobs(radius=5.0, count=12)


@pytest.fixture
def project(structure):
    return Project(structure.centres, structure.heights)


def _agreement(particles, structure, mirrored=False, poses=None):
    """Correlation of each particle with the structure at the listed pose, seen through the particle's weight."""
    batch = particles.load(range(len(particles)))
    n = particles.box[0]
    placed = structure.volumes(poses or batch.poses, n)
    if mirrored:
        placed = placed.flip(-3).roll(1 - n % 2, -3)
    expected = to_half_spectrum(placed) * batch.weights[batch.weight_index]
    inside = half_frequencies(particles.box).norm(dim=-1) < 0.3
    cross = (batch.spectra * expected.conj()).real[:, inside].sum(-1)
    return cross / (batch.spectra[:, inside].norm(dim=-1) * expected[:, inside].norm(dim=-1))


@pytest.mark.parametrize("premultiplied", [True, False])
@pytest.mark.parametrize("hand", [-1.0, 1.0])
def test_relion_5_particles_stand_at_their_listed_poses(tmp_path, project, structure, premultiplied, hand):
    project.premultiplied, project.hand = premultiplied, hand
    particles = read_particles(project.write_relion5(tmp_path))
    assert particles.box == (24, 24, 24)
    assert particles.voxel_size == PIXEL
    assert all(isinstance(source, TiltStack) for source in particles.volumes)
    found = _agreement(particles, structure)
    assert (found > 0.9).all()
    poses = particles.poses
    assert (_agreement(particles, structure, mirrored=True) < found - 0.1).all()
    assert (_agreement(particles, structure, poses=Poses(poses.rotations.mT, poses.shifts)) < found - 0.1).all()
    # Only the first particle lies off its centre.
    assert _agreement(particles, structure, poses=Poses(poses.rotations, -poses.shifts))[0] < found[0] - 0.1


@pytest.mark.parametrize("keep_invisible", [True, False])
def test_warptools_particles_with_and_without_their_invisible_images(tmp_path, project, structure, keep_invisible):
    project.keep_invisible = keep_invisible
    particles = read_particles(project.write_warp(tmp_path))
    assert (_agreement(particles, structure) > 0.9).all()


def test_both_programs_give_one_weight(tmp_path, project):
    relion = read_particles(project.write_relion5(tmp_path / "relion"))
    warp = read_particles(project.write_warp(tmp_path / "warp"))
    for one, other in zip(relion.volumes, warp.volumes, strict=True):
        torch.testing.assert_close(one.frames, other.frames, rtol=0, atol=1e-6)
        torch.testing.assert_close(one.optics.defocus_um, other.optics.defocus_um, rtol=0, atol=1e-5)


def test_defocus_follows_the_depth_of_the_particle_and_the_hand(tmp_path, project):
    (tmp_path / "b").mkdir()
    both = [read_particles(project.write_relion5(tmp_path / "a")).volumes]
    project.hand = 1.0
    both.append(read_particles(project.write_relion5(tmp_path / "b")).volumes)
    level = TILTS.index(0) - len(project.hidden)  # both before the level image
    depth = (project.frames[TILTS.index(0)][2] * (np.array(project.positions[0]) - project.origins[0])).sum()
    listed = -1e-4 * project.defoci[TILTS.index(0)][0]
    for volumes, hand in zip(both, (-1, 1), strict=True):
        assert float(volumes[0].optics.defocus_um[level, 0]) == pytest.approx(listed - 1e-4 * hand * depth, abs=1e-5)


def test_what_is_written_is_read_again_from_another_folder(tmp_path, project, structure):
    particles = read_particles(project.write_relion5(tmp_path / "project"))
    (tmp_path / "out").mkdir()
    write_poses(tmp_path / "out" / "poses.star", particles, particles.poses)
    assert (_agreement(read_particles(tmp_path / "out" / "poses.star"), structure) > 0.9).all()
    convert_list(tmp_path / "project" / "optimisation_set.star", tmp_path / "out" / "copy.star")
    assert (_agreement(read_particles(tmp_path / "out" / "copy.star"), structure) > 0.9).all()


def test_the_list_alone_finds_the_tomograms_beside_it(tmp_path, project):
    project.write_relion5(tmp_path)
    assert len(read_particles(tmp_path / "particles.star")) == 2
    for name in ("optimisation_set.star", "tomograms.star"):
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match=r"tilt images, which need a tomograms\.star"):
        read_particles(tmp_path / "particles.star")


def test_the_file_decides_where_a_flag_says_2d_of_volumes(tmp_path, write_volumes):
    folder = write_volumes(2)
    (folder / "list.star").write_text(
        "data_general\n\n_rlnTomoSubTomosAre2DStacks 1\n\ndata_particles\n\nloop_\n_rlnImageName\n_rlnPixelSize\n"
        "p0.mrc 4.0\np1.mrc 4.0\n"
    )
    particles = read_particles(folder / "list.star")
    assert particles.box == (6, 6, 6)
    assert all(isinstance(source, VolumeSource) for source in particles.volumes)


def test_a_nameless_optimisation_set_leads_to_its_particles(tmp_path, write_volumes):
    folder = write_volumes(2)
    (folder / "list.star").write_text("data_particles\n\nloop_\n_rlnImageName\n_rlnPixelSize\np0.mrc 4\np1.mrc 4\n")
    (folder / "set.star").write_text("data_\n\n_rlnTomoParticlesFile list.star\n_rlnTomoTomogramsFile none.star\n")
    assert read_particles(folder / "set.star").names == ("p0.mrc", "p1.mrc")


def test_a_stack_of_another_depth_is_refused_by_name(tmp_path, project):
    path = project.write_relion5(tmp_path)
    write_mrc(tmp_path / "stacks" / "2_stack2d.mrcs", np.ones((5, 24, 24)), PIXEL)
    with pytest.raises(InputError, match=r"stacks/2_stack2d\.mrcs: expected 29 visible or all 31 images .* got 5"):
        read_particles(path)


def test_single_particle_images_are_refused(tmp_path):
    write_mrc(tmp_path / "images.mrcs", np.ones((5, 8, 8)), 4.0)
    (tmp_path / "list.star").write_text(
        "data_optics\n\nloop_\n_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnImageDimensionality\n1 4.0 2\n\n"
        "data_particles\n\nloop_\n_rlnImageName\n_rlnOpticsGroup\n1@images.mrcs 1\n2@images.mrcs 1\n"
    )
    with pytest.raises(InputError, match="got 2D images as of single particles"):
        read_particles(tmp_path / "list.star")


def test_missing_tomogram_and_missing_defocus_are_named(tmp_path, project):
    path = project.write_relion5(tmp_path)
    table = tmp_path / "tilt_series" / "tomo_1.star"
    text = table.read_text()
    table.write_text(text.replace("_rlnDefocusU", "_rlnOther"))
    with pytest.raises(InputError, match="expected a column rlnDefocusU"):
        read_particles(path)
    table.write_text(text)
    tomograms = tmp_path / "tomograms.star"
    tomograms.write_text(tomograms.read_text().replace("tomo_1 300", "tomo_9 300"))
    with pytest.raises(InputError, match="expected tomogram tomo_1, which particles name"):
        read_particles(path)


def test_a_csv_of_tilt_stacks_says_that_it_keeps_poses_only(tmp_path, blobs, caplog):
    structure = blobs(radius=5.0)
    (tmp_path / "project").mkdir()
    source = Project(structure.centres, structure.heights).write_relion5(tmp_path / "project")
    convert_list(source, tmp_path / "poses.csv")
    assert "particles cannot be read from it" in caplog.text
    header, first = (tmp_path / "poses.csv").read_text().splitlines()[:2]
    assert dict(zip(header.split(","), first.split(","), strict=True))["rot_deg"] == "10.000000"
    with pytest.raises(InputError, match=r"or give RELION's list with its tomograms\.star if these are tilt images"):
        read_particles(tmp_path / "poses.csv")
    caplog.clear()
    convert_list(source, tmp_path / "copy.star")
    assert "cannot be read" not in caplog.text
