"""What the loop behind ``torchsag average`` is made of."""
