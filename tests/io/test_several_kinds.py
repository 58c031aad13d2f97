"""One RELION list of several kinds: each optics group by its own flags, pixel size and box."""

import numpy as np
import pytest
import torch

from torchsag.fourier import to_half_spectrum
from torchsag.io import convert_list, read_particles, write_poses
from torchsag.io.mrc import write_mrc
from torchsag.io.relion import read_relion_list
from torchsag.io.star import read_star
from torchsag.particles import Premultiplied, Sampling, Transfer

COLUMNS = """
data_particles

loop_
_rlnImageName
_rlnCtfImage
_rlnOpticsGroup
_rlnOriginXAngst
_rlnOriginYAngst
_rlnOriginZAngst
"""


def _list(folder, rows, optics, columns="_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnCtfDataAreCtfPremultiplied"):
    path = folder / "list.star"
    path.write_text(f"data_optics\n\nloop_\n{columns}\n{optics}\n{COLUMNS}{rows}\n")
    return path


def _volume(path, n, size, seed=0):
    write_mrc(path, np.random.default_rng(seed).normal(size=(n, n, n)), size)


def _weight(path, n, value, size):
    write_mrc(path, np.full((n, n, n // 2 + 1), value), size)


def test_weights_mean_what_their_own_group_says(tmp_path):
    for name in ("a", "b"):
        _volume(tmp_path / f"{name}.mrc", 8, 4.0)
        _weight(tmp_path / f"{name}_w.mrc", 8, 4.0, 4.0)
    path = _list(tmp_path, "a.mrc a_w.mrc 1 0 0 0\nb.mrc b_w.mrc 2 0 0 0", "1 4.0 0\n2 4.0 1")
    assert read_relion_list(path).weightings == [Transfer(), Premultiplied()]
    batch = read_particles(path).load([0, 1])
    plain = to_half_spectrum(torch.from_numpy(np.random.default_rng(0).normal(size=(8, 8, 8))).float())
    torch.testing.assert_close(batch.weights[batch.weight_index][:, 0, 0, 0], torch.tensor([4.0, 2.0]))
    torch.testing.assert_close(batch.spectra[0], plain, rtol=1e-4, atol=1e-3)
    torch.testing.assert_close(batch.spectra[1], plain / 2, rtol=1e-4, atol=1e-3)
    # One word on the command line holds for all.
    assert (read_particles(path, weighting=Transfer()).load([1]).weights == 4).all()


def test_the_order_of_the_rows_does_not_matter(tmp_path):
    for name in ("a", "b"):
        _volume(tmp_path / f"{name}.mrc", 8, 4.0, seed=ord(name))
        _weight(tmp_path / f"{name}_w.mrc", 8, 4.0, 4.0)
    rows = ["a.mrc a_w.mrc 1 0 0 0", "b.mrc b_w.mrc 2 0 0 0"]
    one = read_particles(_list(tmp_path, "\n".join(rows), "1 4.0 0\n2 4.0 1")).load([0, 1])
    other = read_particles(_list(tmp_path, "\n".join(rows[::-1]), "1 4.0 0\n2 4.0 1")).load([1, 0])
    torch.testing.assert_close(one.spectra, other.spectra)


def test_relions_weights_with_multiplicity(tmp_path):
    _volume(tmp_path / "a.mrc", 8, 4.0)
    both = np.concatenate([np.full((8, 8, 5), 9.0), np.full((8, 8, 5), 5.0)])
    both[3, 2, 1], both[8 + 4, 2, 1] = 25.0, 0.001
    write_mrc(tmp_path / "a_w.mrc", both, 0.25)
    batch = read_particles(_list(tmp_path, "a.mrc a_w.mrc 1 0 0 0", "1 4.0 1")).load([0])
    weight = batch.weights[0]
    assert float(weight[3, 2, 1]) == 5.0
    assert float(weight[4, 2, 1]) == 0.0
    assert float(weight[0, 0, 0]) == 3.0


class TestTwoPixelSizes:
    @pytest.fixture
    def path(self, tmp_path):
        _volume(tmp_path / "a.mrc", 16, 2.0)
        _volume(tmp_path / "b.mrc", 8, 4.0, seed=1)
        _volume(tmp_path / "c.mrc", 8, 4.0, seed=2)
        rows = "a.mrc None 1 -8 0 0\nb.mrc None 2 -8 0 0\nc.mrc None 2 4 0 0"
        return _list(tmp_path, rows, "1 2.0 3\n2 4.0 3", "_rlnOpticsGroup\n_rlnImagePixelSize\n_rlnImageDimensionality")

    def test_all_are_handed_out_as_most_are(self, path):
        particles = read_particles(path)
        assert (particles.box, particles.voxel_size) == ((8, 8, 8), 4.0)
        assert particles.samplings == (Sampling((16, 16, 16), 2.0), *[Sampling((8, 8, 8), 4.0)] * 2)
        batch = particles.load([2, 0, 1])
        assert batch.spectra.shape == (3, 8, 8, 5)
        assert batch.names == ("c.mrc", "a.mrc", "b.mrc")
        assert batch.poses.shifts[:, 0].tolist() == [-1.0, 2.0, 2.0]
        torch.testing.assert_close(batch.spectra[0], particles.load([2]).spectra[0])

    def test_what_is_written_keeps_each_groups_own(self, path, tmp_path):
        particles = read_particles(path)
        write_poses(tmp_path / "poses.star", particles, particles.poses)
        convert_list(path, tmp_path / "copy.star")
        for name in ("poses.star", "copy.star"):
            optics = read_star(tmp_path / name)["optics"].columns
            assert [float(size) for size in optics["rlnImagePixelSize"]] == [2.0, 4.0]
        again = read_particles(tmp_path / "poses.star")
        torch.testing.assert_close(again.poses.shifts, particles.poses.shifts)

    def test_other_programs_count_each_particles_own_voxels(self, path, tmp_path):
        convert_list(path, tmp_path / "list.tbl")
        columns = [line.split() for line in (tmp_path / "list.tbl").read_text().splitlines()]
        assert [float(row[3]) for row in columns] == [4.0, 2.0, -1.0]
