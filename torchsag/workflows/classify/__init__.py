"""What ``torchsag classify`` is made of."""
