"""Take the processes that there are."""

from __future__ import annotations

import os

from torchsag.errors import InputError
from torchsag.launch import Launch
from torchsag.parallel.serial import Serial
from torchsag.parallel.workers import Workers


class Detected:
    """`Mpi` when started by mpiexec or srun, `Torchrun` when started by torchrun, else `Serial`.

    A class, since a yaml may name nothing else; what it makes is one of the three.
    """

    def __new__(cls) -> Workers:
        """The workers of this launch.

        Raises
        ------
        InputError
            If srun started several processes that would all do the same work, each thinking itself alone.
        """
        launch = Launch.of(os.environ)
        launcher = launch.launcher
        if launcher == "mpi":
            from torchsag.parallel.mpi import Mpi

            return Mpi()
        if launcher == "torch":
            from torchsag.parallel.torchrun import Torchrun

            return Torchrun()
        if launcher == "srun":
            raise InputError(
                f"parallel=auto: expected srun to tell its {launch.size} tasks of each other, got no variables of MPI; "
                "use srun --mpi=pmix (Open MPI) or --mpi=pmi2 (MPICH), or parallel=serial where each task is a run "
                "of its own"
            )
        return Serial()
