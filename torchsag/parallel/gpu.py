"""Each process its own GPU."""

import torch


def take_gpu(local_rank: int) -> None:
    """Make ``cuda`` mean the GPU of this process; with more processes than GPUs they take turns."""
    if torch.cuda.is_available():
        torch.cuda.set_device(local_rank % torch.cuda.device_count())
