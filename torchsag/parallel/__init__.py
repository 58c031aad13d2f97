"""Serial and parallel execution behind one interface."""

from torchsag.parallel.fair_chunk import fair_chunk
from torchsag.parallel.serial import Serial
from torchsag.parallel.workers import Workers

__all__ = ["Serial", "Workers", "fair_chunk"]
