"""Take the processes that there are."""

from __future__ import annotations

import os

from torchsag.launch import Launch
from torchsag.parallel.serial import Serial
from torchsag.parallel.workers import Workers


class Detected:
    """`Mpi` when started by mpiexec or srun, `Torchrun` when started by torchrun, else `Serial`.

    A class, since a yaml may name nothing else; what it makes is one of the three.
    """

    def __new__(cls) -> Workers:
        """The workers of this launch."""
        launcher = Launch.of(os.environ).launcher
        if launcher == "mpi":
            from torchsag.parallel.mpi import Mpi

            return Mpi()
        if launcher == "torch":
            from torchsag.parallel.torchrun import Torchrun

            return Torchrun()
        return Serial()
