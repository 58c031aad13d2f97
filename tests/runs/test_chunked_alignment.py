import numpy as np
import pytest
import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.geometry import Poses
from torchsag.particles import ParticleSet
from torchsag.runs.chunked_alignment import ChunkAligner, _columns, _Gathered, remaining_chunks


@pytest.mark.parametrize("chunk", [1, 2, 3, 100])
@pytest.mark.parametrize("done", [[], [range(3)], [range(5, 10)], [range(6, 7), range(1, 3)], [range(10)]])
def test_remaining_chunks_cover_the_rest_exactly_once(done, chunk):
    chunks = remaining_chunks(done, 10, chunk)
    rows = [row for part in [*done, *chunks] for row in part]
    assert sorted(rows) == list(range(10))
    assert all(0 < len(part) <= chunk for part in chunks)


@pytest.mark.parametrize("chunk", [1, 3, 100])
@pytest.mark.parametrize("done", [[], [range(3, 5)], [range(2)], [range(6, 10), range(1, 3)]])
def test_a_part_of_the_rows(done, chunk):
    chunks = remaining_chunks(done, 8, chunk, first=2)
    known = {row for part in done for row in part}
    assert [row for part in chunks for row in part] == [row for row in range(2, 8) if row not in known]


def test_chunks_are_gathered_in_the_order_of_their_rows_without_keeping_them():
    """Those that are done, whatever order they come in; an array of its own for none of them."""
    gathered = _Gathered(9)
    for rows in (range(6, 8), range(3)):
        columns = _columns(len(rows), None, [])
        columns["scores"][:] = list(rows)
        columns["fault"] = np.array(["", "bad"] if 6 in rows else [""] * len(rows))
        columns["stage_cpu_seconds.reading"] = np.array([0.5])
        gathered.add(rows, columns)
        columns["scores"][:] = -1
    found = gathered.columns()
    assert found["scores"].tolist() == [0, 1, 2, 6, 7]
    assert found["fault"].tolist() == ["", "", "", "", "bad"]
    assert found["fault"].dtype.kind == "U"
    assert found["covariances"].shape == (5, 6, 6)
    assert found["stage_cpu_seconds.reading"].tolist() == [1.0]


def _aligner(method):
    density = torch.rand(5, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    particles = ParticleSet.from_arrays(density, 4.0, names=list("01234"))
    return ChunkAligner(particles, method, torch.device("cpu"), 0, False)


def _found(particles):
    numbers = torch.tensor([float(name) for name in particles.names])
    poses = Poses.identity(len(numbers))
    known = torch.eye(6).repeat(len(numbers), 1, 1)
    return AlignmentResult(poses, numbers, known, numbers, torch.ones(len(numbers), dtype=torch.bool), numbers)


@pytest.mark.parametrize("most", [1, 2, 3, 5])
def test_where_memory_runs_out_half_of_the_particles_are_aligned_at_a_time(most):
    sizes = []

    def method(particles):
        if len(particles) > most:
            raise torch.OutOfMemoryError("no room")
        sizes.append(len(particles))
        return _found(particles)

    columns = _aligner(method)(range(5))
    assert columns["scores"].tolist() == [0, 1, 2, 3, 4]
    assert max(sizes) <= most
    assert sum(sizes) == 5


def test_a_particle_that_memory_does_not_hold_at_all_ends_the_run():
    def method(particles):
        raise torch.OutOfMemoryError("no room")

    with pytest.raises(torch.OutOfMemoryError):
        _aligner(method)(range(3))
