import numpy as np
import pytest
import torch
from torch_harmonics import RealSHT

from torchsag.harmonics.analysis_table import analysis_table
from torchsag.harmonics.spherical import ShellSampling


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    analysis_table.cache_clear()
    yield tmp_path / "torchsag"
    analysis_table.cache_clear()


def test_analysis_is_that_of_torch_harmonics():
    sampling = ShellSampling(degree=6, latitudes=9)
    samples = torch.randn(2, 9, 18, dtype=torch.complex128, generator=torch.Generator().manual_seed(0))
    expected = RealSHT(9, 18, lmax=7, mmax=7, grid="legendre-gauss").double()(samples.real + samples.imag)
    torch.testing.assert_close(sampling.analyse(samples), expected)


def test_a_table_is_made_once(cache, monkeypatch):
    first = analysis_table(4, 5)
    analysis_table.cache_clear()
    monkeypatch.setattr("torchsag.harmonics.analysis_table._made", lambda *_: pytest.fail("made again"))
    assert torch.equal(analysis_table(4, 5), first)
    assert len(list(cache.iterdir())) == 1


@pytest.mark.parametrize(
    "damage", [lambda raw: raw[:50], lambda raw: raw[:400] + bytes(8) + raw[408:], lambda raw: b""]
)
def test_a_damaged_table_is_made_again(cache, damage):
    first = analysis_table(4, 5)
    (kept,) = cache.iterdir()
    kept.write_bytes(damage(kept.read_bytes()))
    analysis_table.cache_clear()
    assert torch.equal(analysis_table(4, 5), first)


def test_a_table_of_another_shape_is_not_taken(cache):
    first = analysis_table(4, 5)
    (kept,) = cache.iterdir()
    np.savez(kept, table=np.zeros((5, 5, 6)))
    analysis_table.cache_clear()
    assert torch.equal(analysis_table(4, 5), first)


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert analysis_table(2, 3).shape == (3, 3, 3)
