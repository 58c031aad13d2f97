"""What tilt stacks add up to is kept, and only as long as it is what they add up to."""

import os

import pytest
import torch
from tilt_projects import Project

from torchsag.io import AssemblyFolder, read_particles
from torchsag.particles import AssemblyStore


@pytest.fixture
def stacks(tmp_path, blobs):
    structure = blobs(radius=5.0, count=6)
    project = Project(structure.centres, structure.heights, n=12)
    return read_particles(project.write_relion5(tmp_path / "project"))


def _counting(particles, folder):
    from dataclasses import replace

    reads = []
    reader = lambda source: (reads.append(source), particles.reader(source))[1]  # noqa: E731
    return replace(particles, reader=reader, assembled=AssemblyFolder(folder)), reads


def test_the_second_reading_reads_no_images_and_gives_the_same(tmp_path, stacks):
    kept, reads = _counting(stacks, tmp_path / "kept")
    assert isinstance(kept.assembled, AssemblyStore)
    assert not (tmp_path / "kept").exists()
    first = kept.load([0, 1])
    again, more = _counting(stacks, tmp_path / "kept")
    second = again.load([1, 0])
    assert (len(reads), len(more)) == (2, 0)
    assert torch.equal(first.spectra, second.spectra[[1, 0]])
    assert torch.equal(first.weights, second.weights[[1, 0]])


def test_changed_images_and_damaged_files_are_assembled_again(tmp_path, stacks):
    kept, reads = _counting(stacks, tmp_path / "kept")
    kept.load([0, 1])
    os.utime(stacks.volumes[0].path, ns=(1, 1))
    kept.load([0, 1])
    assert len(reads) == 3
    for path in (tmp_path / "kept").iterdir():
        path.write_bytes(path.read_bytes()[:200])
    kept.load([0, 1])
    assert len(reads) == 5


def test_a_folder_that_cannot_be_made_costs_time_only(tmp_path, stacks):
    (tmp_path / "kept").write_text("in the way")
    kept, reads = _counting(stacks, tmp_path / "kept")
    kept.load([0])
    kept.load([0])
    assert len(reads) == 2
