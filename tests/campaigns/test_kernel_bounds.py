"""No value of any input makes a compiled loop read or write outside of its arrays; kernel and slow twin agree on it."""

import importlib
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from blobs import Blobs
from fourier_problems import noisy, single, some_poses
from numba.core.registry import CPUDispatcher

import torchsag
from torchsag.classification.evidence import Prior, Views, reference_leave_one_out
from torchsag.classification.evidence_numba import leave_one_out
from torchsag.fourier import to_half_spectrum
from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.spline_plain import spline_values_and_gradients
from torchsag.imaging.spline_sampling import sample_spline, sample_spline_with_gradient
from torchsag.likelihood.fourier_blocks import reference_block_sums
from torchsag.likelihood.fourier_kernel import fused_block_sums
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable
from torchsag.spectra.gather import gather_torch
from torchsag.spectra.gather_numba import gather_into_sums, gather_numba
from torchsag.spectra.gridding import WIDTH, ContinuousSpectrum, interpolate, tap_table
from torchsag.spectra.mates import mate_sums_torch
from torchsag.spectra.mates_numba import mate_sums_numba
from torchsag.spectra.scatter import scatter_torch
from torchsag.spectra.scatter_numba import scatter_numba
from torchsag.spectra.tables import Sphere, padded_table
from torchsag.spectra.tables_numba import padded_table_numba
from torchsag.spectra.taps_numba import fill_taps

BAD = [float("nan"), float("inf"), float("-inf"), 1e3, -1e3, 1e20, -1e20, 3e38]
# The modules whose compiled loops are tried here: a new one has to be added, with a test.
TRIED = {
    "torchsag.classification.evidence_numba",
    "torchsag.imaging.spline_kernel",
    "torchsag.likelihood.fourier_kernel",
    "torchsag.spectra.bounds",
    "torchsag.spectra.gather_numba",
    "torchsag.spectra.gridding_numba",
    "torchsag.spectra.mates_numba",
    "torchsag.spectra.scatter_numba",
    "torchsag.spectra.tables_numba",
    "torchsag.spectra.taps_numba",
    "torchsag.spectra.unit_circle",
}


def _agree(kernel, twin):
    torch.testing.assert_close(kernel, twin.to(kernel.dtype), rtol=2e-3, atol=2e-3, equal_nan=True)


def test_every_compiled_loop_is_tried_here():
    names = [m.name for m in pkgutil.walk_packages(torchsag.__path__, "torchsag.") if m.name != "torchsag.__main__"]
    sources = {name: Path(torchsag.__path__[0], *name.split(".")[1:]).with_suffix(".py") for name in names}
    compiled = set()
    for name, source in sources.items():
        if source.is_file() and re.search(r"\bnumba\b", source.read_text(encoding="utf-8")):
            members = vars(importlib.import_module(name)).values()
            own = [m for m in members if isinstance(m, CPUDispatcher) and m.py_func.__module__ == name]
            compiled |= {name} if own else set()
    assert compiled == TRIED


def _problem(shells):
    """A table up to shell 6, particles and a band."""
    box, seed = 16, torch.Generator().manual_seed(0)
    band = FourierBand.of(box, shells, 3)
    observed, _ = noisy(Blobs(box), 3, band, 2)
    table = FourierTable.from_density(torch.randn(box, box, box, generator=seed) / 500, 6)
    return table.rounded, band, single(observed)


def _poses(count):
    poses = some_poses(count, seed=5)
    return Poses(poses.rotations.float(), poses.shifts.float())


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("where", ["rotation", "shift"])
def test_a_pose_out_of_range_has_no_sums_and_spoils_no_other(bad, where):
    poses, terms = _poses(3), torch.arange(3)
    (poses.rotations if where == "rotation" else poses.shifts)[1, ..., 1] = bad
    arguments = (*_problem(6), poses, torch.tensor([0, 2, 1]), terms)
    kernel, twin = fused_block_sums(*arguments), reference_block_sums(*arguments)
    _agree(kernel[[0, 2]], twin[[0, 2]])
    assert kernel[[0, 2]].isfinite().all()
    if where == "rotation" or not abs(bad) < 1e30:
        assert kernel[1].isnan().all()
        assert twin[1].isnan().all()


def test_blocks_refuse_particles_terms_and_shells_that_do_not_exist():
    table, band, observed = _problem(6)
    for particle, term in [(3, 0), (-1, 0), (0, 3), (0, -1)]:
        with pytest.raises(IndexError):
            fused_block_sums(table, band, observed, _poses(1), torch.tensor([particle]), torch.tensor([term]))
    with pytest.raises(ValueError, match="expected a table up to shell"):
        fused_block_sums(*_problem(7), _poses(1), torch.tensor([0]), torch.tensor([0]))


def test_the_spline_reads_zero_outside_and_no_number_at_none():
    table = torch.randn(7, 8, 9, generator=torch.Generator().manual_seed(0))
    points = torch.tensor([[3.0, 3.0, 3.0]]).repeat(3 * len(BAD), 1)
    for k, bad in enumerate(BAD):
        for axis in range(3):
            points[3 * k + axis, axis] = bad
    edges = torch.tensor([[1.0, 1.0, 1.0], [6.999, 5.999, 4.999], [7.0, 3.0, 3.0], [0.999, 3.0, 3.0]])
    points = torch.cat([points, edges])
    values, gradients = spline_values_and_gradients(table, points)
    assert values[:3].isnan().all()
    assert (values[3 : 3 * len(BAD)] == 0).all()
    assert values[-4:].ne(0).tolist() == [True, True, False, False]
    _agree(sample_spline(table, points), values)
    again, slopes = sample_spline_with_gradient(table, points)
    _agree(again, values)
    _agree(slopes, gradients)


def test_the_spline_scatters_nothing_outside():
    table = torch.randn(7, 7, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    points = torch.tensor([[bad, 3.0, 3.0] for bad in BAD] + [[3.0, 3.0, 3.0]], requires_grad=True)
    sample_spline(table, points)[-1].backward(retain_graph=True)
    (expected,) = torch.autograd.grad(sample_spline(table, points[-1:]).sum(), table)
    (every,) = torch.autograd.grad(sample_spline(table, points).sum(), table)
    _agree(every, expected)


@pytest.mark.parametrize("bad", BAD)
def test_a_gather_outside_of_the_table_gives_no_number(bad):
    generator = torch.Generator().manual_seed(0)
    n = 12
    spectra = padded_table(to_half_spectrum(torch.randn(3, n, n, n, generator=generator)), n)
    weights = padded_table(torch.rand(2, n, n, n // 2 + 1, generator=generator), n)
    rotations, shifts = random_rotations(3, generator).float(), torch.randn(3, 3, generator=generator)
    rotations[1, 0, 1] = bad
    inputs = (spectra, weights, torch.tensor([0, 1, 0]), rotations, shifts, Sphere.up_to(n, 6).index, n)
    values, measured = gather_numba(*inputs)
    expected, weight = gather_torch(*inputs)
    _agree(measured, weight)
    _agree(torch.view_as_real(values), torch.view_as_real(expected))
    assert values[[0, 2]].isfinite().all()
    assert values[1].isnan().any()
    points = inputs[5]
    sums = torch.zeros(2, len(points), dtype=torch.complex128), torch.zeros(2, len(points), dtype=torch.float64)
    gather_into_sums(sums, torch.tensor([0, 1, 0]), torch.ones(3), *inputs)
    assert sums[0][0].isfinite().all()
    assert torch.equal(sums[0][1].isnan(), values[1].isnan())
    assert torch.equal(sums[1][1].isnan(), measured[1].isnan())


def test_a_gather_refuses_a_weight_that_does_not_exist():
    n = 8
    spectra = padded_table(to_half_spectrum(torch.randn(1, n, n, n)), n)
    weights = padded_table(torch.rand(1, n, n, n // 2 + 1), n)
    with pytest.raises(IndexError):
        gather_numba(
            spectra, weights, torch.tensor([1]), torch.eye(3)[None], torch.zeros(1, 3), Sphere.up_to(n, 3).index, n
        )


@pytest.mark.parametrize("group", [-1, 2])
def test_sums_refuse_a_group_that_does_not_exist(group):
    n, points = 8, Sphere.up_to(8, 3).index
    tables = padded_table(to_half_spectrum(torch.randn(1, n, n, n)), n), padded_table(torch.rand(1, n, n, 5), n)
    sums = torch.zeros(2, len(points), dtype=torch.complex128), torch.zeros(2, len(points), dtype=torch.float64)
    place = torch.eye(3)[None], torch.zeros(1, 3), points, n
    with pytest.raises(IndexError):
        gather_into_sums(sums, torch.tensor([group]), torch.ones(1), *tables, torch.tensor([0]), *place)


def test_a_padded_table_refuses_what_it_would_read_beyond():
    with pytest.raises(ValueError, match="a reach within"):
        padded_table_numba(torch.rand(1, 8, 8, 4), 8, 4)


@pytest.mark.parametrize("bad", BAD)
def test_mates_of_a_point_outside_of_the_tables_are_no_number(bad):
    generator, n = torch.Generator().manual_seed(0), 12
    spectra = padded_table(to_half_spectrum(torch.randn(2, n, n, n, generator=generator)), n)
    weights = padded_table(torch.rand(2, n, n, n // 2 + 1, generator=generator), n)
    points, turns = Sphere.up_to(n, 5).index.float(), random_rotations(3, generator).float()
    away = points.clone()
    away[7, 1] = bad
    value, weight = mate_sums_numba(spectra, weights, turns, away, n)
    expected, _ = mate_sums_torch(spectra, weights, turns, points, n)
    others = torch.arange(len(points)) != 7
    _agree(torch.view_as_real(value[:, others]), torch.view_as_real(expected[:, others]))
    assert value[:, 7].isnan().all()
    assert weight[:, 7].isnan().all()
    turns[1, 2, 0] = bad  # at which every point is but those in the plane x = 0
    value, _ = mate_sums_numba(spectra, weights, turns, points, n)
    assert value[:, points[:, 0] >= 1].isnan().all()


def test_gridding_outside_of_the_samples_gives_no_number():
    spectrum = ContinuousSpectrum.of(torch.randn(6, 7, 8, generator=torch.Generator().manual_seed(0)))
    bad = torch.tensor([[b if a == axis else 0.1 for a in range(3)] for b in BAD for axis in range(3)])
    fine = torch.tensor([[0.5, 0.5, 0.5], [-0.5, -0.5, -0.5], [0.1, -0.2, 0.3]])
    points = torch.cat([bad, fine])
    values = spectrum.at(points)
    sizes = torch.tensor(spectrum.samples.shape[::-1]) - 8
    twin = interpolate(spectrum.samples, points * sizes + (sizes // 2 + 4))
    _agree(torch.view_as_real(values), torch.view_as_real(twin))
    assert values[: len(bad)].isnan().all()
    assert values[len(bad) :].isfinite().all()


@pytest.mark.parametrize("place", [0.0, -0.0, 3.0, 2.9999998, -1e-9, 1e-9, -7.5, 1e6, 1e9])
def test_taps_stay_within_their_table(place):
    """Just below a whole number the fraction is rounded to one: that is what the row more is for."""
    table, taps = tap_table().numpy(), np.zeros(WIDTH, np.float32)
    first = fill_taps.py_func(np.float32(place), table, taps)  # numpy refuses what lies outside
    assert first == int(np.floor(np.float32(place))) - (WIDTH // 2 - 1)
    assert abs(float(taps.sum()) - float(table[0].sum())) < 0.2 * float(table[0].sum())


def test_a_scatter_adds_within_its_grid_and_refuses_what_lies_outside():
    size, shape = 12, (2, 12, 12, 12 // 2 + 1 + 2 * WIDTH)
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(2, 40, dtype=torch.complex64, generator=generator)
    positions = torch.rand(40, 3, generator=generator) * torch.tensor([size / 2, size, size]) - torch.tensor([0, 6, 6])
    positions[:3] = torch.tensor([[0.0, 0, 0], [size / 2, 5.5, -6], [size / 2 - 1e-3, -6, 5.99]])
    signal, power = values[0], values[1].real
    kernel, other = scatter_numba(signal, power, positions, tap_table(), shape[1:])
    twin = scatter_torch(values, positions, shape)
    _agree(torch.view_as_real(kernel), torch.view_as_real(twin[0]))
    _agree(other, twin[1].real)
    for bad in BAD:
        for axis in range(3):
            if axis and abs(bad) < 1e4:
                continue  # along y and z the grid goes round
            away = positions.clone()
            away[7, axis] = bad
            with pytest.raises(IndexError, match="outside of the grid"):
                scatter_numba(signal, power, away, tap_table(), shape[1:])


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), 1e30])
def test_evidence_stays_within_its_views(bad):
    generator = torch.Generator().manual_seed(0)
    data = torch.randn(3, 2, 5, 2, generator=generator)
    data[1, 0, 2] = bad
    weights = torch.rand(3, 2, 5, generator=generator)
    membership = torch.full((3, 2, 2), 0.25)
    data = torch.view_as_complex(data)
    views = Views(data, weights, torch.ones(3, 2), torch.zeros(3, 2))
    sums, prior = views.sums(membership), Prior(torch.ones(5))
    kernel, twin = (f(views, membership, sums, prior) for f in (leave_one_out, reference_leave_one_out))
    assert (kernel.isfinite() == twin.isfinite()).all()
    with pytest.raises(ValueError, match="expected views"):
        leave_one_out(views, membership, sums, Prior(torch.ones(6)))


@pytest.mark.slow
def test_the_kernels_tests_pass_with_numbas_bounds_checked(tmp_path):
    root = Path(__file__).parents[2]
    files = [
        "tests/campaigns/test_kernel_bounds.py", "tests/likelihood/test_fourier_blocks.py", "tests/spectra",
        "tests/imaging/test_interpolation.py", "tests/imaging/test_sampling.py",
        "tests/classification/test_evidence.py",
    ]  # fmt: skip
    # A cache of its own: numba's does not tell checked code from unchecked.
    environment = {**os.environ, "NUMBA_BOUNDSCHECK": "1", "NUMBA_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-n", "0", "-q", "-m", "not slow and not gpu", *files],
        cwd=root, env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
