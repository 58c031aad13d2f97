"""Phantom and atomic models, their density, and subtomograms of it with known poses."""

from torchsag.simulation.density import density_of
from torchsag.simulation.fast import FastPipeline, simulate_particles
from torchsag.simulation.phantoms import capped_phantom, groel_phantom, ribosome_phantom
from torchsag.simulation.pipeline import Pipeline, PreparedPipeline
from torchsag.simulation.point_model import PointModel
from torchsag.simulation.pose_distribution import BiasedPoses, PoseDistribution, UniformPoses
from torchsag.simulation.structures import AtomicModel, CappedPhantom, GroelPhantom, RibosomePhantom, Structure
from torchsag.simulation.tilt_series import TiltSeriesPipeline

__all__ = [
    "AtomicModel",
    "BiasedPoses",
    "CappedPhantom",
    "FastPipeline",
    "GroelPhantom",
    "Pipeline",
    "PointModel",
    "PoseDistribution",
    "PreparedPipeline",
    "RibosomePhantom",
    "Structure",
    "TiltSeriesPipeline",
    "UniformPoses",
    "capped_phantom",
    "density_of",
    "groel_phantom",
    "ribosome_phantom",
    "simulate_particles",
]
