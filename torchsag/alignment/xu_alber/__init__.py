"""Xu & Alber 2012: alignment with damped least squares from many candidates."""
