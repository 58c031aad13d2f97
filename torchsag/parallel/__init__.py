"""Serial and parallel execution behind one interface."""

from torchsag.parallel.serial import Serial
from torchsag.parallel.workers import Workers, fair_chunk

__all__ = ["Serial", "Workers", "fair_chunk"]
