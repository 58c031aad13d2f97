"""Divide particles at known poses into classes.

Everything happens in the frame of a common average, on the Fourier coefficients of a band. What a particle says there
is two arrays, ``n = W (Y - W A)`` and ``d = W^2`` (A the common average), and a class is their sums over its members:
leaving a particle out is a subtraction, no volume is transformed inside the loop, and symmetry costs nothing because
the two arrays are symmetrised once. See `torchsag.classification.evidence` for the model.
"""
