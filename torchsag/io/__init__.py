"""Files of this and other programs: the only door for foreign conventions."""

from torchsag.io.assembly_folder import AssemblyFolder
from torchsag.io.atomic import atomic_path, cannot_write, is_of_the_disk, remove_remains, write_text
from torchsag.io.convert import convert_list
from torchsag.io.particles import read_particles
from torchsag.io.poses import write_poses
from torchsag.io.relion import read_covariances
from torchsag.io.staging import StagedReader, staged
from torchsag.io.transform_files import TransformFiles
from torchsag.io.volumes import read_map, write_map
from torchsag.io.written_particles import write_particles

__all__ = [
    "AssemblyFolder",
    "StagedReader",
    "TransformFiles",
    "atomic_path",
    "cannot_write",
    "convert_list",
    "is_of_the_disk",
    "read_covariances",
    "read_map",
    "read_particles",
    "remove_remains",
    "staged",
    "write_map",
    "write_particles",
    "write_poses",
    "write_text",
]
