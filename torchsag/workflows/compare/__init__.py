"""What ``torchsag compare`` is made of."""
