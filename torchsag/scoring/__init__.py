"""How alike two volumes are, as sums over slices or Fourier blocks."""
