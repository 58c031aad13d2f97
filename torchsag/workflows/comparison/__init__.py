"""What ``torchsag compare`` is made of, and the summary of its sweeps."""
