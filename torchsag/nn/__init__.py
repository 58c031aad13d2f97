"""The forward model as `torch.nn` modules, layers of poses, and particles as data sets of `torch.utils.data`."""

from torchsag.nn.datasets import SimulatedParticles, SubtomogramDataset
from torchsag.nn.forward_model import CTF, DensityLayer, ForwardModel, WedgeLayer, WhiteNoise
from torchsag.nn.pose_layers import EulerPoses, SixDPoses, TangentPoses, six_to_matrix

__all__ = [
    "CTF",
    "DensityLayer",
    "EulerPoses",
    "ForwardModel",
    "SimulatedParticles",
    "SixDPoses",
    "SubtomogramDataset",
    "TangentPoses",
    "WedgeLayer",
    "WhiteNoise",
    "six_to_matrix",
]
