"""Plots and the one HTML file of a run."""
