"""What ``torchsag extract`` is made of."""
