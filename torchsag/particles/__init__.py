"""The nouns: particle sets on disk, batches in memory, density maps."""

from torchsag.particles.batch import ParticleBatch
from torchsag.particles.density_map import DensityMap
from torchsag.particles.particle_set import ParticleError, ParticleSet
from torchsag.particles.sources import TiltRange, VolumeReader, VolumeSource, WeightSource
from torchsag.particles.weighting import Corrected, Premultiplied, Transfer, WeightAction, Weighting

__all__ = [
    "Corrected",
    "DensityMap",
    "ParticleBatch",
    "ParticleError",
    "ParticleSet",
    "Premultiplied",
    "TiltRange",
    "Transfer",
    "VolumeReader",
    "VolumeSource",
    "WeightAction",
    "WeightSource",
    "Weighting",
]
