"""A real-space loss as a sum over parts of a volume, and the objective that optimizers walk on."""
