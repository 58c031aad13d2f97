"""What ``torchsag bench`` is made of."""
