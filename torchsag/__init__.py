"""Differentiable subtomogram alignment, averaging and classification for cryo-electron tomography.

Conventions, fixed once for the whole library:

- arrays are ``(z, y, x)``, vectors and matrices act on columns ``(x, y, z)``, the box centre is voxel ``n // 2``;
- a pose is ``(R, t)`` with ``particle(x) = reference(R^T (x - c - t) + c)``: rotate the reference, then shift it;
- radians and voxels inside; degrees and angstroms only at the border, always with a suffix in the name;
- the tilt axis is y, the beam is z;
- ``particle = W * reference at its pose + white noise`` in Fourier space, ``W >= 0`` the particle's weight.
"""

__version__ = "0.2.0"
