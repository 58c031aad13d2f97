"""The one door to particles on disk: every kind of list, every early complaint."""

import logging
import os
import struct

import numpy as np
import pytest
import torch

from torchsag.errors import InputError
from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.io import read_particles
from torchsag.io.em import write_em
from torchsag.io.mrc import read_mrc, write_mrc
from torchsag.particles import Corrected, ParticleError, Premultiplied, TiltRange, Transfer


def _csv(folder, text):
    (folder / "list.csv").write_text(text)
    return folder / "list.csv"


def _star(folder, columns, rows, optics="_rlnImagePixelSize 4.0"):
    head = "\n".join(f"_{name}" for name in columns.split())
    (folder / "list.star").write_text(f"data_optics\n{optics}\n\ndata_particles\nloop_\n{head}\n{rows}\n")
    return folder / "list.star"


def test_folder_glob_and_csv_agree(write_volumes, monkeypatch):
    folder = write_volumes(count=11)
    listed = read_particles(_csv(folder, "volume\n" + "\n".join(f"p{k}.mrc" for k in range(11))))
    (folder / "notes.txt").write_text("not a volume")
    in_folder = read_particles(folder, tilt_min_deg=-60, tilt_max_deg=60)
    monkeypatch.chdir(folder)
    by_glob = read_particles("p*.mrc")
    assert [os.path.basename(name) for name in in_folder.names] == list(by_glob.names) == list(listed.names)
    assert by_glob.names[2] == "p2.mrc"  # p10 comes last
    assert (by_glob.box, by_glob.voxel_size, len(by_glob)) == ((6, 6, 6), 4.0, 11)
    assert set(in_folder.weights) == {TiltRange(-60.0, 60.0)}
    torch.testing.assert_close(listed.load([10]).volumes[0].numpy(), read_mrc(folder / "p10.mrc"))


def test_stack_of_volumes(tmp_path):
    data = np.random.default_rng(0).normal(size=(3, 6, 6, 6)).astype(np.float32)
    write_mrc(tmp_path / "s.mrcs", data, 4.0)
    particles = read_particles(tmp_path / "s.mrcs")
    assert [name[:7] for name in particles.names] == ["000001@", "000002@", "000003@"]
    torch.testing.assert_close(particles.load([2, 0]).volumes.numpy(), data[[2, 0]])
    listed = read_particles(_csv(tmp_path, "volume\n000003@s.mrcs\n1@s.mrcs"))
    torch.testing.assert_close(listed.load([0, 1]).volumes.numpy(), data[[2, 0]])


def test_folder_with_a_list_in_it(write_volumes):
    folder = write_volumes()
    write_mrc(folder / "reference.mrc", np.ones((9, 9, 9)), 4.0)
    (folder / "particles.csv").write_text("volume\np1.mrc\n")
    assert read_particles(folder).names == ("p1.mrc",)


def test_em_files_need_a_voxel_size(tmp_path):
    write_em(tmp_path / "a.em", np.arange(27.0).reshape(3, 3, 3))
    with pytest.raises(InputError, match=r"a\.em: neither .* voxel size; give voxel_size_angstrom"):
        read_particles(tmp_path)
    assert read_particles(tmp_path, voxel_size_angstrom=7).voxel_size == 7


def test_weights_of_a_csv(write_volumes, wedge_file):
    folder = write_volumes()
    wedge_file(folder / "w.mrc")
    particles = read_particles(
        _csv(folder, "volume,weight,tilt_min_deg,tilt_max_deg\np0.mrc,w.mrc,-60,60\np1.mrc,,-50,40\np2.mrc,w.mrc,1,2")
    )
    assert particles.weighting == Corrected()
    batch = particles.load([0, 1, 2])
    assert batch.weight_index.tolist() == [0, 1, 0]
    assert batch.weights[0].min() == 0
    assert particles.weights[1] == TiltRange(-50.0, 40.0)


def test_weighting_of_a_star_follows_its_optics(write_volumes, wedge_file):
    folder = write_volumes()
    wedge_file(folder / "w.mrc")
    columns, rows = "rlnImageName rlnCtfImage", "p0.mrc w.mrc"
    assert read_particles(_star(folder, columns, rows)).weighting == Transfer()
    optics = "_rlnImagePixelSize 4.0\n_rlnCtfDataAreCtfPremultiplied 1"
    assert read_particles(_star(folder, columns, rows, optics)).weighting == Premultiplied()
    assert read_particles(_star(folder, columns, rows), weighting=Corrected()).weighting == Corrected()


def test_half_spectrum_weights_are_accepted(write_volumes):
    folder = write_volumes()
    write_mrc(folder / "w.mrc", np.ones((6, 6, 4)), 4.0)
    particles = read_particles(_star(folder, "rlnImageName rlnCtfImage", "p0.mrc w.mrc"))
    assert particles.load([0]).weights.shape == (1, 6, 6, 4)


def test_no_wedge_at_all_is_said_aloud(write_volumes, caplog):
    folder = write_volumes()
    with caplog.at_level(logging.WARNING):
        read_particles(folder)
    assert "3 of 3 particles" in caplog.text
    caplog.clear()
    read_particles(folder, tilt_min_deg=-60.0, tilt_max_deg=60.0)
    assert caplog.text == ""


def test_names_start_in_the_project_folder(write_volumes, tmp_path, monkeypatch):
    write_volumes(folder=tmp_path / "Extract" / "job1")
    job = tmp_path / "Refine3D" / "job2"
    job.mkdir(parents=True)
    path = _star(job, "rlnImageName", "Extract/job1/p0.mrc")
    assert len(read_particles(path)) == 1  # found some levels above the list
    monkeypatch.chdir(tmp_path)
    assert len(read_particles(path)) == 1


@pytest.mark.parametrize("place", ["beside", "where it ran"])
def test_pytom_volumes_are_found_where_it_ran(write_volumes, tmp_path, place):
    folder = write_volumes(folder=tmp_path / "project")
    lists = folder if place == "beside" else folder / "alignment" / "run1"
    lists.mkdir(parents=True, exist_ok=True)
    wedge = '<Wedge Type="SingleTiltWedge"><SingleTiltWedge Angle1="30" Angle2="30" CutoffRadius="0"/></Wedge>'
    (lists / "list.xml").write_text(f'<ParticleList><Particle Filename="p0.mrc">{wedge}</Particle></ParticleList>')
    assert read_particles(lists / "list.xml").load([0]).volumes.shape == (1, 6, 6, 6)


def test_poses_in_voxels(write_volumes):
    folder = write_volumes()
    columns = "rlnImageName rlnOriginXAngst rlnOriginYAngst rlnOriginZAngst rlnRandomSubset rlnClassNumber rlnTomoName"
    particles = read_particles(_star(folder, columns, "p0.mrc 4 -8 0 2 5 007"))
    assert particles.poses.shifts.tolist() == [[-1, 2, 0]]
    assert particles.poses.rotations[0].tolist() == torch.eye(3).tolist()
    assert particles.poses.shifts.dtype == torch.float64
    assert particles.halves.tolist() == [2]
    assert particles.classes.tolist() == [5]
    assert particles.tomograms == ("007",)
    # Twice the voxel size: the same shift in angstrom is half as many voxels.
    assert read_particles(folder / "list.star", voxel_size_angstrom=8).poses.shifts.tolist() == [[-0.5, 1, 0]]


def test_many_random_subsets_are_no_halves(write_volumes):
    folder = write_volumes()
    particles = read_particles(_star(folder, "rlnImageName rlnRandomSubset", "p0.mrc 1\np1.mrc 3"))
    assert particles.halves is None


class TestEarlyComplaints:
    """All of these come from names and headers alone."""

    def test_missing_source(self, tmp_path):
        for name in ("none", "none.csv", "none.star", "none.mrc"):
            with pytest.raises(InputError, match="no such file"):
                read_particles(tmp_path / name)

    def test_missing_volume(self, write_volumes):
        folder = write_volumes()
        with pytest.raises(InputError, match=r"list\.csv: no such volume: q\.mrc \(looked in"):
            read_particles(_csv(folder, "volume\nq.mrc\n"))
        with pytest.raises(InputError, match=r"list\.csv: particle q\.mrc: .*no such file"):
            read_particles(_csv(folder, "volume\np0.mrc\nq.mrc\n"))

    def test_nothing_there(self, tmp_path):
        with pytest.raises(InputError, match="expected at least one volume"):
            read_particles(tmp_path)
        with pytest.raises(InputError, match="expected at least one volume"):
            read_particles(str(tmp_path / "*.mrc"))

    def test_unknown_kind(self, tmp_path):
        (tmp_path / "a.txt").write_text("x")
        with pytest.raises(InputError, match="unknown kind of particle list"):
            read_particles(tmp_path / "a.txt")

    def test_truncated_volume(self, write_volumes):
        folder = write_volumes()
        path = folder / "p1.mrc"
        path.write_bytes(path.read_bytes()[:-4])
        with pytest.raises(InputError, match=r"particle .*p1\.mrc: .*truncated"):
            read_particles(_csv(folder, "volume\np0.mrc\np1.mrc"))

    def test_unequal_boxes(self, write_volumes):
        folder = write_volumes()
        write_mrc(folder / "p1.mrc", np.ones((8, 8, 8)), 4.0)
        with pytest.raises(InputError, match=r"p1\.mrc: expected a box of \(6, 6, 6\) .*p0\.mrc, got \(8, 8, 8\)"):
            read_particles(folder)

    def test_not_cubic(self, tmp_path):
        write_mrc(tmp_path / "a.mrc", np.ones((6, 6, 8)), 4.0)
        with pytest.raises(InputError, match=r"cubic box, got \(6, 6, 8\)"):
            read_particles(tmp_path)

    def test_unequal_voxel_sizes(self, write_volumes):
        folder = write_volumes()
        write_mrc(folder / "p2.mrc", np.ones((6, 6, 6)), 4.2)
        with pytest.raises(InputError, match=r"p2\.mrc: expected a voxel size of 4 angstrom .*p0\.mrc, got 4\.2"):
            read_particles(folder)
        assert read_particles(folder, voxel_size_angstrom=4.1).voxel_size == 4.1

    def test_list_and_header_disagree(self, write_volumes):
        folder = write_volumes()
        path = _star(folder, "rlnImageName", "p0.mrc", optics="_rlnImagePixelSize 5.0")
        with pytest.raises(InputError, match=r"list\.star says 5 angstrom per voxel, the volume's header 4"):
            read_particles(path)
        assert read_particles(path, voxel_size_angstrom=5.0).voxel_size == 5.0

    def test_list_and_one_axis_of_a_header_disagree(self, write_volumes):
        folder = write_volumes()
        path = _star(folder, "rlnImageName", "p0.mrc", optics="_rlnImagePixelSize 4.0")
        with (folder / "p0.mrc").open("r+b") as file:
            file.seek(48)  # the cell's length along z
            file.write(struct.pack("<f", 6 * 6.0))
        with pytest.raises(InputError, match=r"says 4 angstrom per voxel, the volume's header 4, 4, 6 along x, y, z"):
            read_particles(path)
        assert read_particles(path, voxel_size_angstrom=4.0).voxel_size == 4.0

    def test_voxel_size_zero(self, write_volumes):
        folder = write_volumes(voxel_size=0.0)
        with pytest.raises(InputError, match="neither the list nor the volume's header gives one voxel size"):
            read_particles(folder)
        path = _star(folder, "rlnImageName", "p0.mrc")
        assert read_particles(path).voxel_size == 4.0
        with pytest.raises(InputError, match="voxel_size_angstrom: expected a value above 0"):
            read_particles(folder, voxel_size_angstrom=-1.0)

    def test_voxel_size_one_is_a_warning_unless_the_list_knows_better(self, write_volumes, caplog):
        folder = write_volumes(voxel_size=1.0)
        with caplog.at_level(logging.WARNING):
            assert read_particles(folder, tilt_min_deg=-60, tilt_max_deg=60).voxel_size == 1.0
        assert "1 angstrom per voxel" in caplog.text
        assert read_particles(_star(folder, "rlnImageName", "p0.mrc")).voxel_size == 4.0

    def test_duplicate(self, write_volumes):
        folder = write_volumes()
        with pytest.raises(InputError, match=r"p1\.mrc stands twice in the list \(entries 2 and 3\)"):
            read_particles(_csv(folder, "volume\np0.mrc\np1.mrc\n./p1.mrc\n"))

    def test_stack_without_a_number_and_number_beyond_the_stack(self, tmp_path):
        write_mrc(tmp_path / "s.mrcs", np.ones((2, 6, 6, 6)), 4.0)
        with pytest.raises(InputError, match="holds 2 volumes"):
            read_particles(_csv(tmp_path, "volume\ns.mrcs\n"))
        with pytest.raises(InputError, match="holds 2 volumes"):
            read_particles(_csv(tmp_path, "volume\n3@s.mrcs\n"))
        with pytest.raises(InputError, match="a name like 000003@stack"):
            read_particles(_csv(tmp_path, "volume\nx@s.mrcs\n"))

    def test_weight_of_another_box(self, write_volumes, wedge_file):
        folder = write_volumes()
        wedge_file(folder / "w.mrc", n=8)
        with pytest.raises(InputError, match=r"particle p0\.mrc: expected a weight of \(6, 6, 6\)"):
            read_particles(_csv(folder, "volume,weight\np0.mrc,w.mrc\n"))
        with pytest.raises(InputError, match=r"particle p0\.mrc: .*no such file"):
            read_particles(_csv(folder, "volume,weight\np0.mrc,v.mrc\n"))

    def test_half_a_tilt_range(self, write_volumes):
        with pytest.raises(InputError, match="both tilt_min_deg and tilt_max_deg"):
            read_particles(write_volumes(), tilt_min_deg=-60.0)


def test_nan_and_empty_volumes_are_found_when_read(write_volumes):
    folder = write_volumes()
    write_mrc(folder / "p0.mrc", np.full((6, 6, 6), np.nan), 4.0)
    write_mrc(folder / "p2.mrc", np.zeros((6, 6, 6)), 4.0)
    particles = read_particles(_csv(folder, "volume\np0.mrc\np1.mrc\np2.mrc"))
    with pytest.raises(ParticleError, match=r"particle p0\.mrc") as caught:
        particles.load([0, 1, 2])
    assert list(caught.value.faults) == [0, 2]


class TestRealParticles:
    def test_whitened_noise_is_whiter(self, shared_data):
        """Beyond the signal, power is far more even between well and poorly measured coefficients than as stored."""
        particles = read_particles(shared_data / "ribosome70s" / "particles.csv")
        assert (len(particles), particles.box, particles.voxel_size) == (20, (32, 32, 32), 12.0)
        batch = particles.load(range(20))
        stored = torch.stack([particles.reader(source) for source in particles.volumes])
        radius = half_frequencies((32, 32, 32)).norm(dim=-1)
        outer = ((radius > 0.38) & (radius < 0.46)).expand(20, -1, -1, -1)
        amplitude = batch.weights[batch.weight_index]
        # Where little was measured the authors' division was regularised, which no weight can tell.
        poor = outer & (amplitude > 1.2) & (amplitude < 1.6)
        well = outer & (amplitude > 2)

        def unevenness(volumes):
            power = to_half_spectrum(volumes).abs().square()
            return float(power[poor].mean() / power[well].mean())

        assert unevenness(stored) > 1.8
        assert unevenness(batch.volumes) == pytest.approx(1, abs=0.3)
        unmeasured = to_half_spectrum(batch.volumes)[amplitude == 0]
        assert unmeasured.abs().max() < 1e-4 * to_half_spectrum(batch.volumes).abs().max()
