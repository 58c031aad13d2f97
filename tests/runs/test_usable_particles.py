import pytest
import torch

from torchsag.particles import ParticleError, ParticleSet
from torchsag.runs.usable_particles import load_usable


@pytest.fixture
def particles():
    volumes = torch.randn(4, 8, 8, 8, generator=torch.Generator().manual_seed(0))
    volumes[1] = float("nan")
    volumes[3] = 0.0
    return ParticleSet.from_arrays(volumes, 5.0, names=["a", "b", "c", "d"])


def test_the_usable_ones_come_with_their_rows_and_the_others_with_reasons(particles):
    batch, rows, faults = load_usable(particles, [3, 2, 1, 0])
    assert batch.names == ("c", "a")
    assert rows == [2, 0]
    assert set(faults) == {1, 3}
    assert "particle b" in faults[1]


def test_nothing_usable_is_no_batch(particles):
    assert load_usable(particles, [1, 3])[:2] == (None, [])
    assert load_usable(particles, []) == (None, [], {})


def test_where_none_may_be_set_aside_the_error_says_how_to(particles):
    with pytest.raises(ParticleError, match=r"particle b.*skip_bad=true"):
        load_usable(particles, [0, 1], skip_bad=False)
    batch, _, faults = load_usable(particles, [0, 2], skip_bad=False)
    assert len(batch) == 2
    assert not faults
