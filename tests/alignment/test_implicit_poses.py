"""Truth: the derivative of optimal poses by the reference is that of finite differences, also of the aligner's own."""

from dataclasses import replace

import pytest
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.alignment.implicit_poses import implicit_poses, last_shell
from torchsag.errors import InputError
from torchsag.geometry import Poses, Symmetry, zyz_to_matrix
from torchsag.imaging.cubic_spline import CubicSpline
from torchsag.imaging.sampling import place
from torchsag.optim import CurvatureSAG
from torchsag.particles import DensityMap
from torchsag.simulation import density_of, ribosome_phantom, simulate_particles

REFERENCE = density_of(ribosome_phantom(), 32, 12.0, 30.0)
PARTICLES, TRUTH = simulate_particles(REFERENCE, 3, 1.0, seed=3)
SHELL = last_shell(REFERENCE)


@pytest.fixture(scope="module")
def change():
    """Another map of the same band: the reference, turned."""
    turned = Poses(zyz_to_matrix(torch.tensor([[0.4, 0.9, 0.2]])), torch.tensor([[1.0, 0.0, -1.0]]))
    return place(CubicSpline(2).prepare(REFERENCE.density), turned, REFERENCE.box)[0].double()


def changed(change, amount):
    return DensityMap(REFERENCE.density.double() + amount * change, REFERENCE.voxel_size)


def rates(poses, base, density, change):
    """Change of each pose's move by the change of the density."""
    moves = base.move_to(poses)
    gradients = [torch.autograd.grad(one, density, retain_graph=True)[0] for one in moves.flatten()]
    return torch.stack([(gradient * change).sum() for gradient in gradients]).reshape(moves.shape)


@pytest.fixture(scope="module")
def implicit(change):
    density = REFERENCE.density.double().requires_grad_()
    poses = implicit_poses(DensityMap(density, REFERENCE.voxel_size), PARTICLES, TRUTH, SHELL)
    base = Poses(poses.rotations.detach(), poses.shifts.detach())
    return base, rates(poses, base, density, change)


def relative(one, other):
    return float((one - other).norm() / other.norm())


def test_derivative_by_the_reference_is_that_of_finite_differences(implicit, change):
    base, expected = implicit
    ahead, behind = (
        base.move_to(implicit_poses(changed(change, amount), PARTICLES, base, SHELL)) for amount in (1e-4, -1e-4)
    )
    assert relative((ahead - behind) / 2e-4, expected) < 1e-4


def test_poses_are_those_next_to_the_start_and_do_not_depend_on_it(implicit):
    base, _ = implicit
    away = base.retract(torch.full((len(base), 6), 0.03, dtype=torch.float64))
    again = implicit_poses(REFERENCE, PARTICLES, away, SHELL)
    assert float(base.move_to(again).abs().max()) < 1e-5
    assert not again.rotations.requires_grad


def test_derivative_by_the_particles_data(implicit):
    base, _ = implicit
    spectra = PARTICLES.spectra.clone().requires_grad_()
    noise = torch.ones(len(PARTICLES), SHELL)
    poses = implicit_poses(REFERENCE, replace(PARTICLES, spectra=spectra), base, SHELL, noise)
    found = Poses(poses.rotations.detach(), poses.shifts.detach())
    (gradient,) = torch.autograd.grad(found.move_to(poses)[0, 4], spectra)
    assert bool((gradient[1:] == 0).all())
    step = 1e-3 * torch.randn(spectra.shape, generator=torch.Generator().manual_seed(0), dtype=spectra.dtype)
    step = step * spectra.abs().mean()
    ahead, behind = (
        found.move_to(implicit_poses(REFERENCE, replace(PARTICLES, spectra=spectra + sign * step), base, SHELL, noise))
        for sign in (1, -1)
    )
    measured = float((ahead - behind)[0, 4].detach()) / 2
    assert measured == pytest.approx(float((gradient.conj() * step).real.sum()), rel=1e-3)


@pytest.mark.slow
def test_the_default_aligner_moves_its_poses_as_the_theorem_says(implicit, change):
    base, expected = implicit
    # Many more passes than by default: a difference of two results needs both at their optima.
    method = CurvatureSAGAligner(
        optimizer=CurvatureSAG(batch_fraction=1.0, tolerance=1e-5), passes=(3.0, 1.0, 60.0),
        max_resolution_angstrom=REFERENCE.box[0] * REFERENCE.voxel_size / SHELL,
    )  # fmt: skip
    ahead, behind = (
        base.move_to(method.prepare(changed(change, amount), Symmetry("C1"))(PARTICLES).poses.to(torch.float64))
        for amount in (0.05, -0.05)
    )
    assert relative((ahead - behind) / 0.1, expected) < 0.1


def test_what_is_no_optimum_is_refused():
    turned = Poses(TRUTH.rotations.mT, TRUTH.shifts)
    with pytest.raises(InputError, match="align it first"):
        implicit_poses(REFERENCE, PARTICLES, turned, SHELL)
    with pytest.raises(InputError, match="a pose for each"):
        implicit_poses(REFERENCE, PARTICLES, TRUTH[:2], SHELL)


def test_second_derivatives_are_refused():
    density = REFERENCE.density.double().requires_grad_()
    poses = implicit_poses(DensityMap(density, REFERENCE.voxel_size), PARTICLES, TRUTH, SHELL)
    (slope,) = torch.autograd.grad(poses.shifts.sum(), density, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        slope.square().sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="not have been used"):
        torch.autograd.grad(slope.square().sum(), density)
