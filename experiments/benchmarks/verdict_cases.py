"""Cases on which the checks behind verdicts are tried: as they should be, or with the one fault that a check is for.

Each is a function of a seed. Boxes of 32 voxels of 12 angstrom, ribosome and GroEL phantoms, 8 to 12 particles of SNR
0.02 to 0.2 a sample, each drawn anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from torchsag.averaging.frames import bring_back
from torchsag.evaluation.half_map_fsc import compare_half_maps
from torchsag.evaluation.wedge_dependence import wedge_dependence
from torchsag.fourier import low_pass
from torchsag.geometry import Poses, Symmetry, random_rotations, rotvec_to_matrix
from torchsag.imaging.masks import spherical_mask
from torchsag.particles import DensityMap, ParticleBatch, ParticleSet, TiltRange, VolumeSource
from torchsag.particles.sources import DensitySource
from torchsag.particles.weighting import Transfer
from torchsag.simulation import simulate_particles
from torchsag.simulation.structures import CappedPhantom, GroelPhantom, RibosomePhantom
from torchsag.verdict import Finding
from torchsag.verdict.alignment import judge_reference
from torchsag.verdict.contrast import DarkAverage
from torchsag.verdict.copies import CopiesInBothHalves, close_positions
from torchsag.verdict.resolution import CommonNoise, FSCNeverFalls, MaskRaisesFSC, MaskTooSmall, NoiseAlone
from torchsag.verdict.sample import SearchRadius
from torchsag.verdict.symmetry import SymmetryInMap, SymmetryNotUsed
from torchsag.verdict.values import Extent, OutlierVoxels, ScaleExtreme
from torchsag.verdict.views import OrientationGap, WedgeExplainsClass, measured_directions

N, VOXEL = 32, 12.0
SHAPE = (N, N, N)
RIBOSOME, GROEL = RibosomePhantom().density(N, VOXEL), GroelPhantom().density(N, VOXEL)
CAPPED = CappedPhantom().density(N, VOXEL)
STRUCTURES = (RIBOSOME, GROEL)
WEDGE = TiltRange(-60.0, 60.0)
DEFAULT, CHEN = SearchRadius(0.125, "method.search.max_shift"), SearchRadius(0.25, "method.max_shift")

Case = Callable[[int], Iterable[Finding | None]]


def draw(seed: int, *values: float) -> list[float]:
    """A number of each seed between every pair of `values`, even on a logarithmic scale."""
    generator = torch.Generator().manual_seed(seed)
    pairs = zip(values[::2], values[1::2], strict=True)
    return [a * (b / a) ** float(torch.rand(1, generator=generator)) for a, b in pairs]


def in_memory(volumes: Tensor) -> ParticleSet:
    """A particle set that reads volumes from memory."""
    count = len(volumes)
    sources = tuple(VolumeSource(Path("memory"), i) for i in range(count))
    names = tuple(f"particle_{i}" for i in range(count))

    def read(source: DensitySource) -> Tensor:
        assert isinstance(source, VolumeSource)
        assert source.index is not None
        return volumes[source.index]

    return ParticleSet(names, SHAPE, VOXEL, sources, (WEDGE,) * count, Transfer(), read)


def sample(seed: int) -> tuple[DensityMap, Tensor]:
    """A structure and particles of it."""
    structure = STRUCTURES[seed % 2]
    snr, count = draw(seed, 0.02, 0.2, 8, 12)
    batch, _ = simulate_particles(structure, round(count), snr, max_shift=2.5, seed=seed)
    return structure, batch.volumes


def right(seed: int) -> list[Finding | None]:
    """Particles and their own structure."""
    structure, volumes = sample(seed)
    return judge_reference(in_memory(volumes), structure, DEFAULT, seed=seed)


def inverted(seed: int) -> list[Finding | None]:
    """The structure with its sign turned."""
    structure, volumes = sample(seed)
    return judge_reference(in_memory(volumes), replace(structure, density=-structure.density), DEFAULT, seed=seed)


def mirrored(seed: int) -> list[Finding | None]:
    """Its mirror image."""
    structure, volumes = sample(seed)
    return judge_reference(in_memory(volumes), structure.mirrored(), DEFAULT, seed=seed)


def moved(seed: int, least: float, most: float) -> tuple[DensityMap, Tensor]:
    """A structure, and particles between `least` and `most` voxels from the box centre, all in one direction."""
    structure, volumes = sample(seed)
    (length,) = draw(seed + 1, least, most)
    direction = torch.randn(3, generator=torch.Generator().manual_seed(seed))
    steps = (length * direction / direction.norm()).round().long().tolist()
    return structure, volumes.roll(steps, (1, 2, 3))


def off_centre(seed: int) -> list[Finding | None]:
    """Particles 8 to 12 voxels from the box centre, where the search goes to 4."""
    structure, volumes = moved(seed, 8.0, 12.0)
    return judge_reference(in_memory(volumes), structure, DEFAULT, seed=seed)


def far_for_chen(seed: int) -> list[Finding | None]:
    """Particles 10 to 12 voxels from the box centre, where `chen_frm` goes to 8."""
    structure, volumes = moved(seed, 10.0, 12.0)
    return judge_reference(in_memory(volumes), structure, CHEN, seed=seed)


def right_for_chen(seed: int) -> list[Finding | None]:
    """Particles up to 7 voxels off, within its radius."""
    structure, volumes = moved(seed, 1.0, 4.0)
    return judge_reference(in_memory(volumes), structure, CHEN, seed=seed)


def some_inverted(seed: int) -> list[Finding | None]:
    """A third of the particles with their sign turned."""
    structure, volumes = sample(seed)
    volumes = volumes.clone()
    volumes[: len(volumes) // 3] *= -1
    return judge_reference(in_memory(volumes), structure, DEFAULT, seed=seed)


def another(seed: int) -> list[Finding | None]:
    """The other structure."""
    _, volumes = sample(seed)
    return judge_reference(in_memory(volumes), STRUCTURES[1 - seed % 2], DEFAULT, seed=seed)


def another_inverted(seed: int) -> list[Finding | None]:
    """The other structure with its sign turned."""
    _, volumes = sample(seed)
    other = STRUCTURES[1 - seed % 2]
    return judge_reference(in_memory(volumes), replace(other, density=-other.density), DEFAULT, seed=seed)


def noise_particles(seed: int) -> list[Finding | None]:
    """White or coloured noise in place of particles."""
    structure, volumes = sample(seed)
    noise = torch.randn(volumes.shape, generator=torch.Generator().manual_seed(seed))
    if seed % 2:
        noise = low_pass(noise, 60.0, VOXEL) + 0.3 * noise
    return judge_reference(in_memory(noise), structure, DEFAULT, seed=seed)


def maps(seed: int, shared: float, count_noise: float | None = None) -> tuple[DensityMap, DensityMap]:
    """Half-maps: a structure, noise that both share, noise of each."""
    generator = torch.Generator().manual_seed(seed)
    (noise,) = draw(seed, 0.1, 3.0) if count_noise is None else (count_noise,)
    signal = STRUCTURES[seed % 2].density
    signal = signal / signal.std()
    common = shared * noise * torch.randn(SHAPE, generator=generator)
    first, second = (signal + common + noise * torch.randn(SHAPE, generator=generator) for _ in range(2))
    return DensityMap(first, VOXEL), DensityMap(second, VOXEL)


def curve(seed: int, halves: tuple[DensityMap, DensityMap], mask: Tensor) -> list[Finding | None]:
    """All checks of a resolution."""
    fsc = compare_half_maps(*halves, mask, seed)
    found = [FSCNeverFalls()(fsc, CommonNoise.of(*halves)), MaskTooSmall()(fsc, mask), MaskRaisesFSC()(fsc)]
    return [*found, NoiseAlone()(fsc, 60.0)]


def good_curve(seed: int) -> list[Finding | None]:
    """Independent noise, a mask around the particle."""
    return curve(seed, maps(seed, 0.0), spherical_mask(SHAPE, draw(seed, 12.0, 14.0)[0], 4.0))


def copied_curve(seed: int) -> list[Finding | None]:
    """Halves that share at least half of the variance of their noise."""
    (shared,) = draw(seed + 1, 1.0, 5.0)
    return curve(seed, maps(seed, shared), spherical_mask(SHAPE, None, 4.0))


def tiny_mask(seed: int) -> list[Finding | None]:
    """A mask of one to two voxels' radius, and a curve above its threshold."""
    (radius,) = draw(seed, 1.0, 2.0)
    return curve(seed, maps(seed, 0.0, 1.0), spherical_mask(SHAPE, radius, 1.0))


def half_maps_of(sign: float, seed: int) -> list[Finding | None]:
    """Half-maps of bright or dark particles, looked at for their contrast."""
    first, second = (replace(half, density=sign * half.density) for half in maps(seed, 0.0))
    return [DarkAverage()(first, second, compare_half_maps(first, second, spherical_mask(SHAPE, 13.0, 4.0), seed))]


def picked(seed: int, twice: bool) -> list[Finding | None]:
    """60 particles in two tomograms at least half a box apart; or 4 of them again, up to an eighth of the box away."""
    generator = torch.Generator().manual_seed(seed)
    grid = torch.cartesian_prod(*[torch.arange(4.0)] * 3)[:30] * N  # neighbours a box apart, moved by up to a quarter
    places = torch.cat([grid, grid]) + N / 4 / 3**0.5 * (2 * torch.rand(60, 3, generator=generator) - 1)
    tomograms = ("a",) * 30 + ("b",) * 30
    halves = torch.randint(1, 3, (60,), generator=generator)
    if twice:
        rows = torch.randperm(60, generator=generator)[:4]
        away = torch.randn(4, 3, generator=generator)
        away *= N / 8 * torch.rand(4, 1, generator=generator) / away.norm(dim=-1, keepdim=True)
        places = torch.cat([places, places[rows] + away])
        tomograms += tuple(tomograms[row] for row in rows.tolist())
        halves = torch.cat([halves, 3 - halves[rows]])
    count = len(places)
    listed = ParticleSet.from_arrays(torch.randn(count, 2, 2, 2, generator=generator), VOXEL, tilt_range=(-60, 60))
    pairs = close_positions(places, tomograms, N / 8)
    return [CopiesInBothHalves()(listed, [], pairs, halves, VOXEL * N / 8)]


def own_voxels(seed: int) -> list[Finding | None]:
    """A mask without an edge: the 5 to 10 % largest voxels of a noisy average, which both halves are seen through."""
    noise, part = draw(seed, 0.4, 3.0, 0.05, 0.1)
    halves = maps(seed, 0.0, noise)
    whole = halves[0].density + halves[1].density
    least = whole.flatten().topk(round(part * whole.numel())).values[-1]
    return curve(seed, halves, (whole >= least).float())


def symmetric(seed: int) -> list[Finding | None]:
    """A map with its symmetry, with noise."""
    (noise,) = draw(seed, 0.01, 0.4)
    volume, name = ((GROEL, "D7"), (GROEL, "C7"), (CAPPED, "C7"))[seed % 3]
    grain = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    noisy = replace(volume, density=volume.density + noise * volume.density.std() * grain)
    return [SymmetryInMap()(noisy, Symmetry(name))]


def unsymmetric(seed: int) -> list[Finding | None]:
    """A map without it."""
    name = ("C2", "C3", "C5", "D2", "D7", "O")[seed % 6]
    pose = Poses(random_rotations(1, torch.Generator().manual_seed(seed)).float(), torch.zeros(1, 3))
    return [SymmetryInMap()(bring_back(RIBOSOME, pose), Symmetry(name))]


def other_axes(seed: int) -> list[Finding | None]:
    """A map with the symmetry about axes 15 to 45 degrees away."""
    generator = torch.Generator().manual_seed(seed)
    (angle,) = draw(seed, 15.0, 45.0)
    around = 2 * math.pi * float(torch.rand(1, generator=generator))
    axis = torch.tensor([[math.cos(around), math.sin(around), 0.0]]) * math.radians(angle)
    pose = Poses(rotvec_to_matrix(axis), torch.zeros(1, 3))
    return [SymmetryInMap()(bring_back(GROEL, pose), Symmetry("D7"))]


def known_symmetry(seed: int) -> list[Finding | None]:
    """A map with errors reported by the symmetry that it has, or a capped one by the cap's."""
    volume, name = ((GROEL, "D7"), (CAPPED, "C7"), (RIBOSOME, "C1"))[seed % 3]
    return [SymmetryNotUsed()(volume_with_noise(volume, seed), Symmetry(name), with_truth=True)]


def forgotten_symmetry(seed: int) -> list[Finding | None]:
    """The same by less symmetry."""
    volume, name = ((GROEL, "C1"), (GROEL, "C7"), (CAPPED, "C1"))[seed % 3]
    return [SymmetryNotUsed()(volume_with_noise(volume, seed), Symmetry(name), with_truth=True)]


def volume_with_noise(volume: DensityMap, seed: int) -> DensityMap:
    """A reference with 1 to 5 % of noise."""
    (noise,) = draw(seed, 0.01, 0.05)
    grain = torch.randn(SHAPE, generator=torch.Generator().manual_seed(seed))
    return replace(volume, density=volume.density + noise * volume.density.std() * grain)


def wedge_batch(count: int) -> ParticleBatch:
    """Particles of which only the wedge matters."""
    return in_memory(torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(0))).load(range(count))


BATCH = wedge_batch(40)


def all_views(seed: int) -> list[Finding | None]:
    """8 to 40 particles of random orientation."""
    count = round(draw(seed, 8.0, 40.0)[0])
    rotations = random_rotations(count, torch.Generator().manual_seed(seed)).float()
    return [OrientationGap()(measured_directions(BATCH[:count], rotations, Symmetry("C1")))]


def one_view(seed: int) -> list[Finding | None]:
    """Orientations within 10 degrees of the beam."""
    generator = torch.Generator().manual_seed(seed)
    count = round(draw(seed, 8.0, 40.0)[0])
    turns = 2 * math.pi * torch.rand(count, generator=generator)
    tilt = 0.1 * torch.randn(count, 2, generator=generator)
    rotations = rotvec_to_matrix(torch.cat([tilt, torch.zeros(count, 1)], -1))
    rotations = rotvec_to_matrix(torch.stack([0 * turns, 0 * turns, turns], -1)) @ rotations
    return [OrientationGap()(measured_directions(BATCH[:count], rotations, Symmetry("C1")))]


def classes(seed: int, follow: bool) -> list[Finding | None]:
    """Three classes of 90 particles: at random, or by the direction of the beam."""
    generator = torch.Generator().manual_seed(seed)
    rotations = random_rotations(90, generator).float()
    labels = torch.randint(0, 3, (90,), generator=generator)
    if follow:
        labels = rotations[:, 2].abs().argmax(-1)
    found = wedge_dependence(Poses(rotations, torch.zeros(90, 3)), labels, Symmetry("C1"), seed=seed)
    return [WedgeExplainsClass()(found)]


def values(seed: int, fault: str) -> list[Finding | None]:
    """Volumes as they are, with a hot voxel in one, or with one of another scale; at any scale of all."""
    _, volumes = sample(seed)
    volumes = volumes.clone() / volumes.std()
    (size,) = draw(seed, 40.0, 1e6)
    if fault == "hot":
        volumes[0, 5, 6, 7] = size
    if fault == "scale":
        volumes[0] *= size
    (scale,) = draw(seed + 1, 1e-8, 1e18)
    extents = [Extent.of(volume.double() * scale) for volume in volumes]
    names = [str(i) for i in range(len(volumes))]
    return [OutlierVoxels()(names, extents), ScaleExtreme()(names, extents)]


GOOD: dict[str, Case] = {
    "particles and their structure": right,
    "particles within chen_frm's radius": right_for_chen,
    "half-maps with independent noise": good_curve,
    "half-maps of bright particles": lambda seed: half_maps_of(1.0, seed),
    "places half a box apart": lambda seed: picked(seed, False),
    "symmetric maps": symmetric,
    "maps by their own symmetry": known_symmetry,
    "random orientations": all_views,
    "classes at random": lambda seed: classes(seed, False),
    "volumes of any scale": lambda seed: values(seed, "none"),
}
BAD: dict[str, tuple[str, Case]] = {
    "hand_opposite": ("mirrored reference", mirrored),
    "shifts_at_search_radius": ("particles 8 to 12 voxels off, radius 4", off_centre),
    "shifts_at_search_radius (chen_frm)": ("particles 10 to 12 voxels off, radius 8", far_for_chen),
    "contrast_opposite": ("inverted reference", inverted),
    "contrast_opposite (some)": ("a third of the particles inverted", some_inverted),
    "no_better_than_chance": ("another structure", another),
    "no_better_than_chance (inverted)": ("another structure, inverted", another_inverted),
    "no_better_than_chance (noise)": ("noise, white and coloured", noise_particles),
    "fsc_never_falls": ("half or more of the noise shared", copied_curve),
    "average_is_dark": ("half-maps of dark particles", lambda seed: half_maps_of(-1.0, seed)),
    "copies_in_both_halves": ("4 of 60 places again, up to an eighth of the box away", lambda seed: picked(seed, True)),
    "mask_too_small or noise_alone": ("mask of 1 to 2 voxels", tiny_mask),
    "mask_raises_fsc": ("mask of the average's own largest voxels", own_voxels),
    "symmetry_not_in_reference": ("ribosome with C2 to O", unsymmetric),
    "symmetry_axes_differ": ("GroEL turned by 15 to 45 degrees", other_axes),
    "symmetry_not_used": ("GroEL by C1 or C7, capped by C1, beside errors", forgotten_symmetry),
    "orientation_gap": ("views within 10 degrees", one_view),
    "wedge_explains_class": ("classes by direction", lambda seed: classes(seed, True)),
    "outlier_voxels": ("one voxel of 40 to a million deviations", lambda seed: values(seed, "hot")),
    "scale_extreme": ("one volume 40 to a million times stronger", lambda seed: values(seed, "scale")),
}
