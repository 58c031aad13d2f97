"""Truth: some coefficients alone are those of the whole placed spectrum."""

import torch

from torchsag.geometry import Poses, random_rotations
from torchsag.imaging.placement import Coefficients, place_coefficients, place_spectrum
from torchsag.imaging.wedge import missing_wedge
from torchsag.simulation import FastPipeline, density_of, ribosome_phantom
from torchsag.spectra.gridding import ContinuousSpectrum


def test_wanted_coefficients_are_those_of_the_whole():
    for box in ((9, 9, 9), (8, 8, 8)):
        density = torch.randn(box, generator=torch.Generator().manual_seed(0))
        poses = Poses(random_rotations(2, torch.Generator().manual_seed(1)), torch.tensor([[0.3, 0.0, -1.0]] * 2))
        reference, wedge = ContinuousSpectrum.of(density), missing_wedge(box, -50.0, 40.0)
        chosen = Coefficients.inside(box, wanted=wedge > 0)
        assert 0 < len(chosen.positions) < len(Coefficients.inside(box).positions)
        some = chosen.add(
            place_coefficients(reference, poses, chosen), torch.zeros(2, *wedge.shape, dtype=torch.complex64)
        )
        torch.testing.assert_close(some, place_spectrum(reference, poses) * wedge)


def test_no_particles_make_an_empty_batch():
    pipeline = FastPipeline(0.1).prepare(density_of(ribosome_phantom(), 16, 24.0, 60.0))
    batch = pipeline(Poses.identity(0), range(0), 0)
    assert len(batch) == 0
    assert batch.spectra.shape == (0, 16, 16, 9)


def test_simulation_is_differentiable_and_transformable_in_poses():
    pipeline = FastPipeline(float("inf")).prepare(density_of(ribosome_phantom(), 16, 24.0, 60.0))

    def energy(shift):
        return pipeline(Poses(torch.eye(3)[None], shift[None]), range(1), 0).volumes[0, 8, 8].square().sum()

    shift = torch.tensor([0.4, -0.2, 0.1])
    slope, step = torch.func.grad(energy)(shift), 0.02
    for axis in range(3):
        move = step * torch.eye(3)[axis]
        measured = (energy(shift + move) - energy(shift - move)) / (2 * step)
        torch.testing.assert_close(slope[axis], measured, rtol=0.02, atol=0.02 * float(slope.abs().max()))
