"""Particles on disk: everything known about them without reading a volume, and the way to read a few."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Integer
from torch import Tensor

from torchsag.axes import ArrayLike, HalfWeights
from torchsag.errors import InputError
from torchsag.geometry import Poses
from torchsag.geometry.coordinates import destination
from torchsag.particles.batch import ParticleBatch
from torchsag.particles.gridded import GriddedParticles
from torchsag.particles.in_memory import as_held, held_canonical
from torchsag.particles.indexing import chosen_rows
from torchsag.particles.kept_transforms import KeptTransforms
from torchsag.particles.particle_error import ParticleError
from torchsag.particles.reading import ParticleReading
from torchsag.particles.sampling import Sampling, resampled
from torchsag.particles.sources import DensitySource, TiltRange, VolumeReader, VolumeSource, WeightSource
from torchsag.particles.table import Column, place_columns, pose_columns
from torchsag.particles.tilt_stack import AssemblyStore, TiltStack
from torchsag.particles.transform_store import TransformStore
from torchsag.particles.weight_cache import WeightCache
from torchsag.particles.weighting import Weighting

if TYPE_CHECKING:
    import pandas  # pyright: ignore[reportMissingTypeStubs]


@dataclass(frozen=True, repr=False)
class ParticleSet:
    """A list of particles, handed out in one box and at one voxel size, that are read as they are needed.

    Attributes
    ----------
    names
        How the list calls each particle, word for word (``rlnImageName``, the csv's ``volume``, a file name).
    box
        Size (z, y, x) in voxels.
    voxel_size
        Angstrom per voxel.
    volumes
        Where each volume is, or the images it is assembled from.
    weights
        Where each weight comes from; of an assembled particle its images.
    weighting
        What a weight volume means.
    reader
        Reads a volume.
    poses
        Prior poses relative to each volume's own box, float64; None where the list gives none.
    box_frames
        Rotations from each volume's box to its tomogram; None where boxes are parallel to their tomograms. The
        orientation in the tomogram is ``box_frames @ poses.rotations``.
    halves
        Half-set of each particle, 1 or 2.
    classes
        Class of each particle, from 1.
    tomograms
        The tomogram each particle was cut from.
    places
        Where each particle lies in its tomogram, angstrom; None where the list does not say.
    rows
        The row of the list each particle stands in, from zero.
    origin
        What the list said, for the writer to keep; only `torchsag.io` looks inside.
    samplings
        Box and voxel size of each particle as stored, where they differ; None where all are as the set says.
    assembled
        Keeps what tilt stacks have been assembled to; None assembles them at each reading.
    kept
        Keeps transforms of particles that were read; None reads them from their files each time.
    last_shell
        Batches need to hold nothing beyond this Fourier shell; None for all there is, which `kept` does not have.
    """

    names: tuple[str, ...]
    box: tuple[int, int, int]
    voxel_size: float
    volumes: tuple[DensitySource, ...]
    weights: tuple[WeightSource, ...]
    weighting: Weighting
    reader: VolumeReader
    poses: Poses | None = None
    box_frames: Float[Tensor, "particles 3 3"] | None = None
    halves: Integer[Tensor, " particles"] | None = None
    classes: Integer[Tensor, " particles"] | None = None
    tomograms: tuple[str, ...] | None = None
    places: Float[Tensor, "particles 3"] | None = None
    rows: tuple[int, ...] = ()
    origin: Any = field(default=None, repr=False)
    samplings: tuple[Sampling, ...] | None = None
    assembled: AssemblyStore | None = field(default=None, repr=False)
    kept: TransformStore | None = field(default=None, repr=False)
    last_shell: int | None = None
    _cache: WeightCache = field(default_factory=WeightCache, repr=False, compare=False)

    def __post_init__(self):
        count = len(self.names)
        if count == 0:
            raise InputError("particles: expected at least one particle, got an empty list")
        if not self.rows:
            object.__setattr__(self, "rows", tuple(range(count)))
        of_particles = ("volumes", "weights", "poses", "box_frames", "halves", "classes", "tomograms", "places")
        for name in (*of_particles, "rows", "samplings"):
            column = getattr(self, name)
            if column is not None and len(column) != count:
                raise InputError(f"particles: expected {count} {name}, one for each name, got {len(column)}")
        if not self.voxel_size > 0:
            raise InputError(f"particles: expected a voxel size above 0 angstrom, got {self.voxel_size}")

    @staticmethod
    def from_arrays(
        volumes: ArrayLike,
        voxel_size: float | int,
        *,
        tilt_range: TiltRange | Sequence[float | int] | None = None,
        weights: ArrayLike | None = None,
        weighting: Weighting | None = None,
        poses: Poses | None = None,
        names: Sequence[str] | None = None,
    ) -> ParticleSet:
        """Particles that are in memory.

        Parameters
        ----------
        volumes
            Real space, ``[particles, z, y, x]``, numpy or torch, in cubic boxes; kept as float32.
        voxel_size
            Angstrom per voxel.
        tilt_range
            What all of them measured: a `TiltRange`, or its two angles in degrees. Without it and without `weights`
            they count as measured in all directions.
        weights
            Fourier weight volumes, one for each particle or one for all, ``[weights, z, y, x]`` with zero frequency at
            the centre, or ``[weights, z, y, x // 2 + 1]`` in FFT order.
        weighting
            What these mean; by default `Transfer`: the volumes carry them, over white noise.
        poses
            Prior poses.
        names
            How to call the particles; by default by number, from zero.

        Raises
        ------
        InputError
            Naming the argument that cannot be used. NaN and empty volumes are found by `load`.
        """
        held = as_held(
            volumes, voxel_size, tilt_range=tilt_range, weights=weights, weighting=weighting, poses=poses, names=names
        )
        return ParticleSet(**vars(held))

    @staticmethod
    def from_batch(batch: ParticleBatch) -> ParticleSet:
        """The set whose particles, loaded again, are those of the batch."""
        held = batch.to("cpu")
        of_batch = (held.volumes, held.weights, held.weight_index, held.names, held.voxel_size, held.poses)
        return ParticleSet(**vars(held_canonical(*of_batch)))

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: Any) -> ParticleSet:
        """Some of the particles, by a number, a slice, numbers or a mask; always a set."""
        return self.select(chosen_rows(index, len(self), "particles"))

    def __iter__(self) -> Iterator[ParticleSet]:
        """One particle after another, each a set of one."""
        return (self[row] for row in range(len(self)))

    def select(self, indices: Iterable[int]) -> ParticleSet:
        """Some of the particles, in the order given."""
        keep = list(indices)
        pick = torch.tensor(keep, dtype=torch.long)
        return replace(
            self,
            names=tuple(self.names[i] for i in keep),
            volumes=tuple(self.volumes[i] for i in keep),
            weights=tuple(self.weights[i] for i in keep),
            poses=None if self.poses is None else self.poses[pick],
            box_frames=None if self.box_frames is None else self.box_frames[pick],
            halves=None if self.halves is None else self.halves[pick],
            classes=None if self.classes is None else self.classes[pick],
            tomograms=None if self.tomograms is None else tuple(self.tomograms[i] for i in keep),
            places=None if self.places is None else self.places[pick],
            rows=tuple(self.rows[i] for i in keep),
            samplings=None if self.samplings is None else tuple(self.samplings[i] for i in keep),
        )

    def to_pandas(self) -> pandas.DataFrame:
        """What the list says, one row for each particle.

        Returns
        -------
        ``name`` and ``row`` (of the list, from zero); where the list says so ``tomogram``, ``half``, ``class``, place
        ``{x,y,z}_angstrom`` in the tomogram, and the prior pose: ZYZ Euler angles ``{rot,tilt,psi}_deg`` and
        ``shift_{x,y,z}_angstrom`` of the particle's centre from that of the box.

        Raises
        ------
        InputError
            If pandas is not installed.
        """
        try:
            import pandas  # pyright: ignore[reportMissingTypeStubs]
        except ImportError as error:
            raise InputError("particles: expected pandas for a table; pip install 'torchsag[table]'") from error
        columns: dict[str, Column] = {"name": self.names, "row": self.rows}
        if self.tomograms is not None:
            columns["tomogram"] = self.tomograms
        for name, numbers in (("half", self.halves), ("class", self.classes)):
            if numbers is not None:
                columns[name] = numbers.tolist()
        if self.places is not None:
            columns |= place_columns(self.places)
        if self.poses is not None:
            columns |= pose_columns(self.poses, self.voxel_size)
        return pandas.DataFrame(columns)

    def __repr__(self) -> str:
        z, y, x = self.box
        known = ("poses", "box_frames", "halves", "classes", "tomograms", "places")
        said = ", ".join(name for name in known if getattr(self, name) is not None)
        return (
            f"ParticleSet({len(self)} particles of {z} x {y} x {x} voxels of {self.voxel_size:g} angstrom"
            f"{said and '; ' + said})"
        )

    def load(self, indices: Sequence[int], device: torch.device | str = "cpu") -> ParticleBatch:
        """Read some particles, in the set's box and voxel size, in the form ``W * signal + white noise``.

        Parameters
        ----------
        indices
            Positions in the set.
        device
            Where the batch shall live; the whitening runs there.

        Raises
        ------
        ParticleError
            If some of them cannot be used; its `faults` name all of those in `indices`.
        """
        indices = chosen_rows(indices, len(self), "particles")
        destination("particles", device)
        if not indices:
            raise InputError("particles: expected at least one particle to load, got none")
        if self.kept is None or self.last_shell is None:
            batch = self._load_all(indices, device)
        else:
            batch = self._load_kept(self.kept, indices, device)
        poses = None if self.poses is None else self.poses[torch.tensor(indices)].to(batch.weights)
        return replace(batch, poses=poses)

    def up_to(self, last_shell: int | None) -> ParticleSet:
        """The same particles for a purpose that looks at no Fourier shell beyond this one."""
        return replace(self, last_shell=last_shell)

    def load_gridded(self, indices: Sequence[int], device: torch.device | str = "cpu") -> GriddedParticles:
        """Read some particles as sums in Fourier space want them.

        Raises
        ------
        ParticleError
            As `load`.
        """
        indices = chosen_rows(indices, len(self), "particles")
        if self.kept is None or not indices:
            return GriddedParticles.of(self.load(indices, device), self.assembles)
        spectra, weights, index = self._by_way_of(self.kept, indices).load("gridded")
        names = tuple(self.names[i] for i in indices)
        return GriddedParticles(
            spectra.to(device), weights.to(device), index.to(device), names, self.voxel_size, self.box
        )

    def _load_kept(self, store: TransformStore, indices: list[int], device: torch.device | str) -> ParticleBatch:
        spectra, weights, index = self._by_way_of(store, indices).load("spectra")
        names = tuple(self.names[i] for i in indices)
        return ParticleBatch(spectra.to(device), weights.to(device), index.to(device), names, self.voxel_size, self.box)

    def _by_way_of(self, store: TransformStore, indices: list[int]) -> KeptTransforms:
        def read(places: list[int]) -> ParticleBatch:
            return self._load_all([indices[k] for k in places], "cpu")

        last = max(self.box) if self.last_shell is None else self.last_shell
        rows = [self.rows[i] for i in indices]
        return KeptTransforms(store, rows, self._shared_weights(indices), last, read, self.assembles)

    @cached_property
    def assembles(self) -> bool:
        """Whether any particle is assembled from tilt images."""
        return any(isinstance(source, TiltStack) for source in self.volumes)

    def _shared_weights(self, indices: list[int]) -> list[HalfWeights | None]:
        """Of each particle the weight that others have as well, if it can be read; None for one of its own."""
        if self.samplings is not None:
            return [None] * len(indices)
        known: dict[WeightSource, HalfWeights] = {}
        for source in filter(self._is_shared, dict.fromkeys(self.weights[i] for i in indices)):
            made, faults = self._reading.whitenings([source], self.box, self.voxel_size, {})
            if not faults:
                known[source] = made[0].weight
        return [known.get(self.weights[i]) for i in indices]

    def _is_shared(self, source: WeightSource) -> bool:
        return not isinstance(source, TiltStack | VolumeSource) or self._users[source] > 1

    @cached_property
    def _users(self) -> Counter[WeightSource]:
        return Counter(self.weights)

    def _load_all(self, indices: list[int], device: torch.device | str) -> ParticleBatch:
        """From the files, whole, without their poses."""
        run = Sampling(self.box, self.voxel_size)
        if self.samplings is None:
            return self._load_as_sampled(indices, run, device)
        rows: list[int] = []
        parts: list[ParticleBatch] = []
        faults: dict[int, str] = {}
        for kind in dict.fromkeys(self.samplings[i] for i in indices):  # each by itself, then all in one
            members = [k for k, i in enumerate(indices) if self.samplings[i] == kind]
            try:
                batch = self._load_as_sampled([indices[k] for k in members], kind, device)
            except ParticleError as error:
                faults |= error.faults
                continue
            parts.append(batch if kind == run else resampled(batch, run))
            rows += members
        if faults:
            raise ParticleError({i: faults[i] for i in indices if i in faults})
        return ParticleBatch.concatenate(parts).take([rows.index(k) for k in range(len(indices))])

    def _load_as_sampled(self, indices: list[int], sampling: Sampling, device: torch.device | str) -> ParticleBatch:
        read = self._reading.load(indices, sampling.box, sampling.voxel_size, device)
        return ParticleBatch(*read, tuple(self.names[i] for i in indices), sampling.voxel_size, sampling.box)

    @cached_property
    def _reading(self) -> ParticleReading:
        settings = (self.names, self.volumes, self.weights, self.weighting, self.reader, self.assembled, self._cache)
        return ParticleReading(*settings)
