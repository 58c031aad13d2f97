import torch

from torchsag.alignment.aligner import AlignmentResult
from torchsag.averaging import MapSums
from torchsag.geometry import Poses, random_rotations
from torchsag.particles import ParticleBatch
from torchsag.workflows.average.leave_out import EachToItsOwn, parts_of_halves
from torchsag.workflows.average.state import unaligned

N = 12


def _particles(count, seed=0):
    volumes = torch.randn(count, N, N, N, generator=torch.Generator().manual_seed(seed))
    names = tuple(f"p{i}" for i in range(count))
    weights = torch.ones(1, N, N, N // 2 + 1)
    return ParticleBatch.from_volumes(volumes, weights, torch.zeros(count, dtype=torch.long), names, 5.0)


def test_parts_are_even_within_each_half():
    halves = torch.tensor([1, 2, 1, 1, 2, 1, 1, 2, 2])
    part = parts_of_halves(halves, 2)
    assert part.tolist() == [0, 0, 1, 0, 1, 1, 0, 0, 1]


class _Marks:
    """An aligner that gives every particle its own number as score."""

    def __init__(self, number):
        self.number = number

    def __call__(self, particles) -> AlignmentResult:
        result = unaligned(Poses.identity(len(particles)))
        result.scores[:] = self.number
        return result


def test_every_particle_meets_the_reference_of_its_part():
    parts = [0, 0, 2, 2, 1, 0]
    aligner = EachToItsOwn(tuple(_Marks(i) for i in range(3)), {f"p{i}": part for i, part in enumerate(parts)})
    assert aligner(_particles(6)).scores.tolist() == parts


class _Joinable(_Marks):
    """One that, joined, gives its reference's number plus 100; joined with its like alone."""

    def __init__(self, number, kind):
        super().__init__(number)
        self.kind = kind

    def joined(self, others):
        numbers = torch.tensor([one.number for one in (self, *others)])
        assert {one.kind for one in others} == {self.kind}

        def joint(particles, references):
            result = self(particles)
            result.scores[:] = numbers[references] + 100.0
            return result

        return joint


def test_references_that_can_be_served_together_are():
    parts = [0, 3, 2, 2, 1, 0, 3]
    aligners = (_Joinable(0, "a"), _Marks(1), _Joinable(2, "b"), _Joinable(3, "a"))
    aligner = EachToItsOwn(aligners, {f"p{i}": part for i, part in enumerate(parts)})
    assert aligner(_particles(7)).scores.tolist() == [100, 103, 2, 2, 1, 100, 103]


def test_what_a_part_is_aligned_to_does_not_change_with_its_particles():
    poses = Poses(random_rotations(6, torch.Generator().manual_seed(1)), torch.zeros(6, 3))
    groups = torch.tensor([0, 0, 1, 1, 2, 2])
    made = []
    for seed in (0, 1):
        particles, other = _particles(6), _particles(6, seed=seed)
        mixed = ParticleBatch.from_volumes(
            torch.cat([other.volumes[:2], particles.volumes[2:]]),
            particles.weights, particles.weight_index, particles.names, 5.0,
        )  # fmt: skip
        sums = MapSums.empty((N, N, N), 5.0, groups=3)
        sums.add(mixed, poses, groups)
        made.append(sums.without_each(3).finish())
    torch.testing.assert_close(made[0][0].density, made[1][0].density, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(made[0][1].density, made[1][1].density, atol=1e-2)


def test_one_part_leaves_nothing_out_and_all_parts_make_the_whole():
    poses = Poses(random_rotations(4, torch.Generator().manual_seed(1)), torch.zeros(4, 3))
    sums = MapSums.empty((N, N, N), 5.0, groups=4)
    sums.add(_particles(4), poses, torch.arange(4))
    assert sums.without_each(1) is sums
    whole, halves = sums.pooled(), sums.pooled(2)
    torch.testing.assert_close(halves.numerator.sum(0), whole.numerator[0])
    torch.testing.assert_close(sums.without_each(2).numerator[0], sums.numerator[1])
    small = sums.within(3)
    assert small.numerator.shape[1] < sums.numerator.shape[1]
    assert float(small.sphere.index.norm(dim=-1).max()) <= 3.0


def test_where_no_others_are_nothing_is_left_out():
    poses = Poses(random_rotations(2, torch.Generator().manual_seed(1)), torch.zeros(2, 3))
    sums = MapSums.empty((N, N, N), 5.0, groups=4)
    sums.add(_particles(2), poses, torch.tensor([0, 3]))
    others = sums.without_each(2)
    assert others.counts.tolist() == [1, 1, 1, 1]
    torch.testing.assert_close(others.numerator[0], sums.numerator[0])
