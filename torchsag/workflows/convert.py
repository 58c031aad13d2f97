"""Rewrite maps and particle lists in another format: the work behind ``torchsag convert``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torchsag.io import convert_list, read_map, remove_remains, write_map
from torchsag.io.volumes import is_volume
from torchsag.runs.outcome import Outcome
from torchsag.runs.provenance import Provenance


@dataclass(frozen=True)
class Convert:
    """One map or one particle list, from one format to another.

    Attributes
    ----------
    source
        A map, or whatever lists particles.
    out
        The file to write.
    program
        For a list: relion, stopgap, dynamo, av3, pytom or csv; None lets the suffix of out decide (.star is RELION's).
    voxel_size_angstrom
        Angstrom per voxel in place of what the files say; None believes them.
    project
        For a RELION list: the folder in which RELION will run, from which names of volumes start; None is that of out.
    volumes
        The folder in which the volumes of the list are, such as Dynamo's data folder; None finds out.
    tomograms
        For a RELION list: what tells the sizes of the tomograms, from whose centres RELION 5 counts: a tomograms.star,
        a tomogram or a folder of tomograms; None takes the tomograms.star that goes with the list, if there is one.
    """

    source: str
    out: str
    program: str | None = None
    voxel_size_angstrom: float | None = None
    project: str | None = None
    volumes: str | None = None
    tomograms: str | None = None

    def __call__(self, provenance: Provenance) -> Outcome:
        """Write the file.

        Raises
        ------
        InputError
            If the source cannot be read, or the target cannot be written or is of no known kind.
        """
        out = Path(self.out)
        remove_remains(out.parent, below=False)
        if self.program is None and is_volume(self.source) and is_volume(out):
            density = read_map(self.source, self.voxel_size_angstrom)
            write_map(out, density)
            return Outcome(notes=(f"{out}: {density.box} voxels (z, y, x) of {density.voxel_size:g} angstrom",))
        count = convert_list(
            self.source,
            out,
            voxel_size_angstrom=self.voxel_size_angstrom,
            program=self.program,
            project=self.project,
            volumes=self.volumes,
            tomograms=self.tomograms,
        )
        return Outcome(notes=(f"{out}: {count} particles",))
