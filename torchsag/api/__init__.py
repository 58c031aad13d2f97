"""What ``import torchsag`` offers: commands as functions of objects, arrays or paths that return what they found."""
