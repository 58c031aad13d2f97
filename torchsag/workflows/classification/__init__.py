"""What the loop behind ``torchsag classify`` is made of."""
