"""The interpolated transform against the analytic one of Gaussian blobs."""

import pytest
import torch
from blobs import Blobs

from torchsag.spectra.fourier_table import FourierTable


def _points(max_shell, count=3000, seed=0):
    """Uniform in the ball, both halves."""
    generator = torch.Generator().manual_seed(seed)
    direction = torch.nn.functional.normalize(torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=-1)
    return max_shell * direction * torch.rand(count, 1, generator=generator, dtype=torch.float64).pow(1 / 3)


def _relative(found, expected):
    return float((found - expected).abs().square().mean().sqrt() / expected.abs().square().mean().sqrt())


@pytest.mark.parametrize("box", [24, 25])
@pytest.mark.parametrize(
    ("oversampling", "value_error", "gradient_error"), [(2, 0.003, 0.02), (3, 0.001, 0.01), (4, 3e-4, 0.006)]
)
def test_value_and_gradient(box, oversampling, value_error, gradient_error):
    blobs = Blobs(box)
    table = FourierTable.from_density(blobs.density(), 8, oversampling)
    points = _points(8)
    value, gradient = table.lookup(points)
    exact_value, exact_gradient = blobs.transform(points)
    assert _relative(value, exact_value) < value_error
    assert _relative(gradient, exact_gradient) < gradient_error


def test_rounding_costs_a_thousandth():
    blobs = Blobs(24)
    table = FourierTable.from_density(blobs.density(), 8)
    points = _points(8)
    exact, _ = blobs.transform(points)
    whole, rounded = (_relative(t.lookup(points)[0], exact) for t in (table, table.rounded))
    assert whole < rounded < whole + 0.001
    bits = torch.from_numpy(table.packed.astype("int32")) << 16
    torch.testing.assert_close(bits.view(torch.float32), table.rounded.samples.float().flatten(), rtol=0, atol=0)


def test_stored_samples_are_exact_but_for_the_damping_of_the_gradient():
    blobs = Blobs(24)
    table = FourierTable.from_density(blobs.density(), 8)
    points = torch.tensor([[0.0, 0, 0], [1.5, -2, 3.5], [-4, 0.5, 1], [0, -3, 0.5], [0, 0, -8]], dtype=torch.float64)
    value, _ = table.lookup(points)
    torch.testing.assert_close(value, blobs.transform(points)[0], rtol=1e-6, atol=1e-4)


def test_the_other_half_is_the_mirrored_conjugate():
    table = FourierTable.from_density(Blobs(16).density(), 5)
    points = _points(5, 100)
    value, gradient = table.lookup(points)
    mirrored_value, mirrored_gradient = table.lookup(-points)
    torch.testing.assert_close(mirrored_value, value.conj().resolve_conj())
    torch.testing.assert_close(mirrored_gradient, -gradient.conj().resolve_conj())


def test_covers_its_whole_largest_shell():
    blobs = Blobs(16)
    table = FourierTable.from_density(blobs.density(), 7)
    rim = 7 * torch.nn.functional.normalize(_points(1, 500), dim=-1)
    rim = torch.cat([rim, 7 * torch.eye(3, dtype=torch.float64), -7 * torch.eye(3, dtype=torch.float64)])
    value, _ = table.lookup(rim)
    scale = float(blobs.transform(torch.zeros(1, 3, dtype=torch.float64))[0].abs())
    assert float((value - blobs.transform(rim)[0]).abs().max()) < 1e-3 * scale


def test_sample_has_the_gradient_of_what_it_samples():
    blobs = Blobs(16)
    table = FourierTable.from_density(blobs.density(), 5, oversampling=6)
    points = _points(5, 60)
    upstream = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.complex128)

    def loss(at):
        return (upstream.conj() * table.sample(at)).real.sum()

    leaf = points.clone().requires_grad_()
    loss(leaf).backward()
    assert leaf.grad is not None
    assert torch.equal(table.sample(points), table.lookup(points)[0])
    for axis in range(3):
        step = torch.zeros(3, dtype=torch.float64)
        step[axis] = 0.05
        ahead, behind = blobs.transform(points + step)[0], blobs.transform(points - step)[0]
        expected = (upstream.conj() * (ahead - behind)).real / 0.1
        assert _relative(leaf.grad[:, axis], expected) < 0.01


def test_several_tables_in_one_are_cut_and_told_apart_as_each_by_itself():
    tables = [FourierTable.from_density(volume, 6) for volume in (Blobs(16).density(), Blobs(16).density().flip(2))]
    both = FourierTable.stacked(tables)
    assert (tables[0].maps, both.maps) == (1, 2)
    for number, table in enumerate(tables):
        assert torch.equal(both.single(number).samples, table.samples)
        assert torch.equal(both.within(4).single(number).samples, table.within(4).samples)
        assert both.within(4).single(number).max_shell == 4


def test_precision_is_the_density_s_and_can_be_changed():
    table = FourierTable.from_density(Blobs(16).density().float(), 5)
    assert table.samples.dtype == torch.float32
    double = table.to(torch.float64)
    assert double.samples.dtype == torch.float64
    assert (double.box, double.max_shell, double.oversampling) == (16, 5, 2)
