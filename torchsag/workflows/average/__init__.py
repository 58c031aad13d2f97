"""What ``torchsag average`` is made of."""
