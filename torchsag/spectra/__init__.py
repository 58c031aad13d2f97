"""A Fourier transform between its samples: tables, gridding, gathering."""
