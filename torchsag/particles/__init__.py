"""The nouns: particle sets on disk, batches in memory, density maps."""

from torchsag.particles.batch import ParticleBatch
from torchsag.particles.density_map import DensityMap
from torchsag.particles.gridded import GriddedParticles
from torchsag.particles.in_memory import HeldVolumes, as_tilt_range
from torchsag.particles.particle_error import ParticleError
from torchsag.particles.particle_set import ParticleSet
from torchsag.particles.sampling import Sampling, usual_sampling
from torchsag.particles.sources import (
    DensitySource,
    Tilt,
    TiltRange,
    TiltScheme,
    VolumeReader,
    VolumeSource,
    WeightSource,
    WeightVolume,
)
from torchsag.particles.tilt_stack import Assembled, AssemblyStore, TiltStack
from torchsag.particles.transform_store import TransformStore
from torchsag.particles.unit_size import of_unit_size
from torchsag.particles.weighting import Corrected, Premultiplied, Transfer, WeightAction, Weighting

__all__ = [
    "Assembled",
    "AssemblyStore",
    "Corrected",
    "DensityMap",
    "DensitySource",
    "GriddedParticles",
    "HeldVolumes",
    "ParticleBatch",
    "ParticleError",
    "ParticleSet",
    "Premultiplied",
    "Sampling",
    "Tilt",
    "TiltRange",
    "TiltScheme",
    "TiltStack",
    "Transfer",
    "TransformStore",
    "VolumeReader",
    "VolumeSource",
    "WeightAction",
    "WeightSource",
    "WeightVolume",
    "Weighting",
    "as_tilt_range",
    "of_unit_size",
    "usual_sampling",
]
