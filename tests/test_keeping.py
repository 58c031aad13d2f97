"""What is kept for later calls serves them, whoever called first."""

import pytest
import torch

from torchsag.geometry import Symmetry, rotvec_to_matrix
from torchsag.imaging.projection import TiltGeometry
from torchsag.keeping import kept
from torchsag.particles import ParticleBatch


def fresh_table():
    calls = []

    @kept(2)
    def table(n):
        calls.append(n)
        return torch.arange(float(n)).square().cos()

    return table, calls


def table_of(kind):
    if kind == "function":
        table, _ = fresh_table()
        return lambda: table(3)
    if kind == "volumes":
        batch = ParticleBatch.from_arrays(torch.arange(128.0).reshape(2, 4, 4, 4), 10.0, tilt_range=(-60, 60))
        return lambda: batch.volumes
    if kind == "tilts":
        geometry = TiltGeometry(torch.linspace(-1, 1, 3), 6)
        return lambda: geometry.frequencies
    symmetry = Symmetry("C11")
    turned = rotvec_to_matrix(torch.full((1, 3), 0.1, dtype=torch.float64))
    return lambda: symmetry.distance(turned, turned.mT).float()


@pytest.mark.parametrize("kind", ["function", "volumes", "tilts", "symmetry"])
@pytest.mark.parametrize("first", [torch.func.hessian, torch.func.grad, "inference"])
def test_a_first_call_from_within_a_transformation_does_no_harm(kind, first):
    table = table_of(kind)

    def loss(x):
        return (x * table()).square().sum()

    x = torch.tensor(2.0)
    if first == "inference":
        with torch.inference_mode():
            loss(x)
    else:
        first(loss)(x)
    plain = loss(x)
    torch.testing.assert_close(torch.func.grad(loss)(x), plain)  # of a square at 2 they agree
    torch.testing.assert_close(torch.func.hessian(loss)(x), plain / 2)
    leaf = x.clone().requires_grad_()
    loss(leaf).backward()
    torch.testing.assert_close(leaf.grad, plain)


def test_what_was_asked_for_last_is_kept():
    table, calls = fresh_table()
    assert table(3) is table(3)
    table(4), table(3), table(5)
    assert calls == [3, 4, 5]
    table(4)
    assert calls == [3, 4, 5, 4]


def test_nothing_is_kept_of_particles_that_are_differentiated():
    batch = ParticleBatch.from_arrays(torch.arange(64.0).reshape(1, 4, 4, 4), 10.0, tilt_range=(-60, 60))
    spectra = batch.spectra.clone().requires_grad_()
    differentiated = ParticleBatch(spectra, batch.weights, batch.weight_index, batch.names, 10.0, batch.box)
    with torch.no_grad():
        assert not differentiated.volumes.requires_grad
    for _ in range(2):  # a kept history would be gone after the first
        differentiated.volumes.square().sum().backward()
    assert spectra.grad.any()
