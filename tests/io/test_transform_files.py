"""Transforms kept on disk: what comes back is what was put, or nothing."""

import logging

import pytest
import torch

from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.io import TransformFiles
from torchsag.particles import TransformStore

ROOM = 10**9


def _spectra(n, count=3):
    return to_half_spectrum(torch.randn(count, n, n, n, generator=torch.Generator().manual_seed(1)))


def _radius(n):
    return half_frequencies((n, n, n), dtype=torch.float64).norm(dim=-1) * n


def _store(folder, n=16, rows=3, limit=ROOM):
    return TransformFiles(folder, n, {row: f"particle {row}" for row in range(rows)}, limit)


def test_files_are_a_store(tmp_path):
    assert isinstance(_store(tmp_path), TransformStore)


@pytest.mark.parametrize("n", [15, 16])
@pytest.mark.parametrize(("kind", "margin"), [("spectra", 0), ("gridded", 4), ("weights", 4)])
def test_what_was_put_comes_back_up_to_a_shell_and_its_margin(tmp_path, n, kind, margin):
    put = _spectra(n).real if kind == "weights" else _spectra(n)
    store = _store(tmp_path, n)
    for row in (2, 0):
        store.put(kind, row, put[row])
    assert store.get(kind, 1, n) is None
    for last in (3, n):
        for row in (0, 2):
            found = store.get(kind, row, last)
            inside = (_radius(n) <= last + margin + 1e-6) & (_radius(n) <= -(-n // 2) + margin + 1e-6)
            assert bool((found[~inside] == 0).all())
            error = (found - put[row])[inside].abs().square().sum() / put[row][inside].abs().square().sum()
            assert float(error) < 1e-6


def test_a_shell_a_million_times_fainter_than_another_is_kept_as_well(tmp_path):
    put = _spectra(16)[0] * torch.where(_radius(16) <= 2, 1e6, 1.0)
    store = _store(tmp_path)
    store.put("spectra", 0, put)
    fine = (_radius(16) > 2) & (_radius(16) <= 8)
    error = (store.get("spectra", 0, 16) - put)[fine].abs().square().mean() / put[fine].abs().square().mean()
    assert float(error) < 1e-6


def test_another_process_finds_it_and_one_with_another_file_does_not(tmp_path):
    _store(tmp_path).put("spectra", 1, _spectra(16)[1])
    assert _store(tmp_path).get("spectra", 1, 8) is not None
    changed = TransformFiles(tmp_path, 16, {1: "particle 1, changed"}, ROOM)
    assert changed.get("spectra", 1, 8) is None


def test_a_damaged_slot_is_as_good_as_none_and_can_be_written_again(tmp_path):
    _store(tmp_path).put("spectra", 1, _spectra(16)[1])
    path = tmp_path / "spectra.bin"
    content = bytearray(path.read_bytes())
    content[len(content) // 2 + 500] ^= 1
    path.write_bytes(content)
    store = _store(tmp_path)
    assert store.get("spectra", 1, 8) is None
    store.put("spectra", 1, _spectra(16)[1])
    assert store.get("spectra", 1, 8) is not None


def test_a_file_that_was_cut_short_is_as_good_as_none(tmp_path):
    _store(tmp_path).put("spectra", 0, _spectra(16)[0])
    path = tmp_path / "spectra.bin"
    path.write_bytes(path.read_bytes()[:-4096])
    assert _store(tmp_path).get("spectra", 0, 8) is None


def test_files_grow_no_larger_than_allowed(tmp_path):
    whole = _store(tmp_path / "whole")
    for row in range(3):
        for kind in ("spectra", "gridded"):
            whole.put(kind, row, _spectra(16)[row])
        whole.put("weights", row, _spectra(16)[row].real)
    size = sum(path.stat().st_size for path in (tmp_path / "whole").iterdir())
    small = _store(tmp_path / "small", limit=size * 2 // 3)
    assert [small.keeps(row) for row in range(3)] == [True, True, False]
    small.put("spectra", 2, _spectra(16)[2])
    assert small.get("spectra", 2, 8) is None
    assert not (tmp_path / "small").exists()


def test_a_folder_that_cannot_be_written_costs_the_store_and_not_the_run(tmp_path, caplog):
    (tmp_path / "file").write_text("in the way")
    store = _store(tmp_path / "file")
    with caplog.at_level(logging.WARNING):
        store.put("spectra", 0, _spectra(16)[0])
        store.put("spectra", 1, _spectra(16)[1])
    assert len(caplog.records) == 1
    assert "read from their own files" in caplog.text
    assert store.get("spectra", 0, 8) is None
    assert not store.keeps(0)
