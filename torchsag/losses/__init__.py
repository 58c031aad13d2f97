"""Losses between an observed and a modelled part of a particle: lower is better, gradients by autograd."""
