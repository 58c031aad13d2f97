"""Where to compute."""

import torch

from torchsag.errors import InputError


def pick_device(name: str) -> torch.device:
    """``cpu``, ``cuda`` or ``cuda:1``; ``auto`` takes a GPU where there is one.

    Raises
    ------
    InputError
        If there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError:
        raise InputError(f"device: expected auto, cpu, cuda or cuda:1, got {name!r}") from None
    present = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= present:
        raise InputError(f"device: expected one of the {present} GPUs that torch finds, got {name!r}; use device=cpu")
    return device
