"""The Fourier likelihood of the default engine: coefficients, noise, blocks, posterior, information."""
