"""The loops a user runs: align, average, compare, with checkpoint and resume."""
