"""How many particles are aligned at a time."""

from __future__ import annotations

import torch

from torchsag.axes import Box

ON_CPU = 64
# Counted for 64^3 voxels (experiments/benchmarks/gpu_counting.json): the default method holds 28 bytes a voxel of its
# particles, half of it for the search, whose part does not grow with the box. Other methods and reading hold more.
_FIXED, _BY_VOXEL = 4e6, 64
_PART_OF_FREE = 0.5
# Launches do not grow with the chunk: of more particles they are a fifth of the time or less.
_MOST = 1024


def particles_at_once(device: torch.device, box: Box, sharing: int = 1) -> int:
    """As many as a GPU's free memory holds, if `sharing` processes use it; the same number on every CPU."""
    if device.type != "cuda":
        return ON_CPU
    free, _ = torch.cuda.mem_get_info(device)
    each = _FIXED + _BY_VOXEL * box[0] * box[1] * box[2]
    return max(1, min(_MOST, int(_PART_OF_FREE * free / sharing / each)))
