"""How many particles at a time: from a GPU's free memory, whatever a real one has."""

import pytest
import torch

from torchsag.errors import InputError
from torchsag.parallel import Serial
from torchsag.runs.chunk_size import particles_at_once
from torchsag.runs.particle_run import ParticleRun


@pytest.fixture
def memory(monkeypatch):
    """A card, of which so many bytes are free."""
    free = {"bytes": 80e9}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device=None: (int(free["bytes"]), int(96e9)))
    return free


def test_a_cpu_takes_64():
    assert particles_at_once(torch.device("cpu"), (192, 192, 192)) == 64


def test_a_gpu_takes_what_is_free(memory):
    cuda = torch.device("cuda")
    assert particles_at_once(cuda, (64, 64, 64)) == 1024  # more would gain nothing
    large = particles_at_once(cuda, (192, 192, 192))
    assert 50 < large < 120
    memory["bytes"] = 8e9
    small = particles_at_once(cuda, (64, 64, 64))
    assert 100 < small < 300
    assert particles_at_once(cuda, (64, 64, 64), sharing=4) == pytest.approx(small / 4, abs=1)
    memory["bytes"] = 1e6
    assert particles_at_once(cuda, (64, 64, 64)) == 1


def test_a_run_takes_the_chunk_it_is_told(memory):
    run = ParticleRun(particles="p.star", out="o", device="cuda", parallel=Serial())
    assert run.at_once((64, 64, 64)) == 1024
    memory["bytes"] = 8e9
    assert run.at_once((64, 64, 64)) < 1024
    assert ParticleRun(particles="p.star", out="o", device="cuda", chunk=7).at_once((64, 64, 64)) == 7
    assert ParticleRun(particles="p.star", out="o", device="cpu").at_once((64, 64, 64)) == 64
    with pytest.raises(InputError, match="chunk: expected at least 1"):
        ParticleRun(particles="p.star", out="o", chunk=0)
