"""``torchsag average`` shared by two ranks, played by two threads, gives what one process gives."""

import threading
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.averaging.outline import SphericalOutline
from torchsag.io import read_map, read_particles, write_map, write_poses
from torchsag.particles import DensityMap
from torchsag.search.local_grid import LocalGrid
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import RibosomePhantom
from torchsag.workflows.average import Average
from torchsag.workflows.provenance import Provenance

N, VOXEL = 24, 14.0


class _Board:
    """What the threads share."""

    def __init__(self, size):
        self.barrier = threading.Barrier(size, timeout=60)
        self.value = None
        self.parts = [None] * size
        self.results = []
        self.lock = threading.Lock()


@dataclass(frozen=True)
class _Rank:
    rank: int
    size: int
    board: _Board = field(repr=False)

    @property
    def is_root(self):
        return self.rank == 0

    def map_chunks(self, function, chunks):
        for number in range(self.rank, len(chunks), self.size):
            result = function(chunks[number])
            with self.board.lock:
                self.board.results.append((number, chunks[number], result))
        self.board.barrier.wait()
        gathered = sorted(self.board.results, key=lambda entry: entry[0])
        self.board.barrier.wait()
        if self.is_root:
            self.board.results = []
        self.board.barrier.wait()
        if self.is_root:
            for _, chunk, result in gathered:
                yield chunk, result

    def broadcast(self, value):
        if self.is_root:
            self.board.value = value
        self.board.barrier.wait()
        received = self.board.value
        self.board.barrier.wait()
        return received

    def sum_to_root(self, values):
        self.board.parts[self.rank] = values
        self.board.barrier.wait()
        total = sum(self.board.parts)
        self.board.barrier.wait()
        return total if self.is_root else values

    def together(self):
        return nullcontext()


@pytest.fixture
def settings(tmp_path):
    structure = RibosomePhantom().density(N, VOXEL)
    particles, true = simulate_particles(structure, 9, 0.5, max_shift=1.0, seed=0)
    rows = ""
    for name, volume in zip(particles.names, particles.volumes, strict=True):
        write_map(tmp_path / f"{name}.mrc", DensityMap(volume, VOXEL))
        rows += f"{name}.mrc,-60,60\n"
    (tmp_path / "blind.csv").write_text("volume,tilt_min_deg,tilt_max_deg\n" + rows)
    write_map(tmp_path / "reference.mrc", structure)
    write_poses(tmp_path / "true.star", read_particles(str(tmp_path / "blind.csv")), true)
    return Average(
        particles=str(tmp_path / "true.star"),
        out=str(tmp_path / "one"),
        reference=str(tmp_path / "reference.mrc"),
        method=CurvatureSAGAligner(search=LocalGrid(cone_deg=10.0, max_shift=3.0), keep=(), passes=(2.0,)),
        mask=SphericalOutline(diameter_angstrom=280.0, edge_angstrom=40.0),
        iterations=2,
        parts=2,
        chunk=2,
        device="cpu",
    )


def test_two_ranks_make_the_maps_of_one(settings, tmp_path):
    settings(Provenance("average"))
    board = _Board(2)
    outcomes, errors = {}, []

    def work(rank):
        try:
            run = replace(settings, out=str(tmp_path / "two"), parallel=_Rank(rank, 2, board))
            outcomes[rank] = run(Provenance("average"))
        except BaseException as error:
            errors.append(error)
            board.barrier.abort()

    threads = [threading.Thread(target=work, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert outcomes[0].rows
    assert not outcomes[1].rows
    for name in ("half1.mrc", "half2.mrc", "average.mrc"):
        one, two = (read_map(tmp_path / folder / name).density for folder in ("one", "two"))
        torch.testing.assert_close(one, two, atol=1e-4 * float(one.abs().max()), rtol=1e-3)
