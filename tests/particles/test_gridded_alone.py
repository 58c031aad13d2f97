"""What sums take of a particle does not depend on the particles beside it."""

import pytest
import torch

from torchsag.particles import GriddedParticles, ParticleSet


@pytest.mark.parametrize("box", [16, 17, 24])
def test_a_particle_is_the_same_alone_and_among_others_to_the_last_bit(box):
    volumes = torch.randn(5, box, box, box, generator=torch.Generator().manual_seed(box))
    particles = ParticleSet.from_arrays(volumes, 4.0, tilt_range=(-60, 60))
    whole = GriddedParticles.of(particles.load(range(5))).spectra
    for rows in ([0], [3], [1, 2], [4, 0, 2]):
        assert torch.equal(GriddedParticles.of(particles.load(rows)).spectra, whole[rows])
