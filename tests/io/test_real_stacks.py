"""Stacks of WarpTools as their authors exported them: everything that the list says is read as it was meant.

Of these files nothing was made here. Their authors' average stands at the poses of the list, mirrored, because z counts
backwards in them.
"""

import torch

from torchsag.fourier import fourier_shell_correlation, to_half_spectrum
from torchsag.geometry import Symmetry
from torchsag.io import read_map, read_particles
from torchsag.parallel import Serial
from torchsag.particles import TiltStack
from torchsag.runs.chunked_sums import average_at


def _correlations(ours, theirs):
    return fourier_shell_correlation(to_half_spectrum(ours), to_half_spectrum(theirs), (32, 32, 32))


def test_real_stacks_of_warptools_add_up_to_their_authors_map(shared_data):
    particles = read_particles(shared_data / "warptools2d" / "ribosomes_optimisation_set.star")
    assert len(particles) == 20
    assert particles.voxel_size == 12.0
    stacks = particles.volumes
    assert all(isinstance(stack, TiltStack) and stack.premultiplied for stack in stacks)
    average = average_at(particles, particles.poses, Symmetry("C1"), torch.device("cpu"), 16, Serial()).density
    theirs = read_map(shared_data / "ribosome70s" / "reference.mrc").density
    same = _correlations(average.float(), theirs.flip(0).roll(1, 0))
    assert same[2:9].min() > 0.6
    assert _correlations(average.float(), theirs)[4:9].max() < 0.3  # in the other hand


def test_invisible_images_are_in_the_files_and_not_used(shared_data):
    """Images 0, 5 and 35 of 37 have a 0 in rlnTomoVisibleFrames of ten particles."""
    particles = read_particles(shared_data / "warptools2d" / "ribosomes_optimisation_set.star")
    used = [stack.sections for stack in particles.volumes if isinstance(stack, TiltStack)]
    every = tuple(range(37))
    assert used.count(every) == 10
    assert used.count(tuple(k for k in every if k not in (0, 5, 35))) == 10
