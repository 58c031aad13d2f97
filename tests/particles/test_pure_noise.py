from pathlib import Path

import torch

from torchsag.fourier import low_pass, shell_sums
from torchsag.particles import ParticleSet, TiltRange, VolumeSource
from torchsag.particles.pure_noise import PureNoise
from torchsag.particles.weighting import Transfer

N = 24


def _particles(count=4):
    def read(source):
        generator = torch.Generator().manual_seed(int(source.path.stem))
        return low_pass(torch.randn(N, N, N, generator=generator), 20.0, 5.0)

    return ParticleSet(
        names=tuple(f"p{i}" for i in range(count)),
        box=(N, N, N),
        voxel_size=5.0,
        volumes=tuple(VolumeSource(Path(f"{i}.mrc")) for i in range(count)),
        weights=(TiltRange(-60.0, 60.0),) * count,
        weighting=Transfer(),
        reader=read,
    )


def test_power_and_wedge_stay_and_the_signal_goes():
    real, noise = _particles().load(range(4)), PureNoise.like(_particles(), 0).load(range(4))
    box = (N, N, N)
    power = [shell_sums(batch.spectra.abs().square(), box) for batch in (real, noise)]
    torch.testing.assert_close(power[0][:, 1:], power[1][:, 1:], rtol=0.05, atol=1e-3 * float(power[0].max()))
    assert float(noise.spectra[:, noise.weights[0] == 0].abs().max()) == 0
    cross = shell_sums((real.spectra * noise.spectra.conj()).real, box).sum(-1) / power[0].sum(-1)
    assert float(cross.abs().max()) < 0.1


def test_the_noise_of_a_particle_does_not_depend_on_its_company():
    noise = PureNoise.like(_particles(), 3)
    alone = noise.select([2]).load([0])
    assert isinstance(noise.select([2]), PureNoise)
    torch.testing.assert_close(alone.spectra[0], noise.load(range(4)).spectra[2])
    assert not torch.allclose(alone.spectra[0], PureNoise.like(_particles(), 4).load([2]).spectra[0])
