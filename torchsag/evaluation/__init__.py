"""Judging results: against true poses and classes, half against half, method against method."""

from torchsag.evaluation.half_map_fsc import HalfMapFSC, compare_half_maps
from torchsag.evaluation.pose_errors import Frame, PoseErrors, RemoveCommonTransform, SameFrame, compare_poses

__all__ = [
    "Frame",
    "HalfMapFSC",
    "PoseErrors",
    "RemoveCommonTransform",
    "SameFrame",
    "compare_half_maps",
    "compare_poses",
]
