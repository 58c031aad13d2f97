"""What ``torchsag simulate`` is made of."""
