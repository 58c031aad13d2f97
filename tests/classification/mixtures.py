"""Views of particles of a few classes, drawn from the model itself: no volumes."""

import torch

from torchsag.classification.evidence import Prior, Views
from torchsag.classification.population import Population
from torchsag.parallel import Serial

COEFFICIENTS = 150


def mixture(sizes, strength=0.6, mates=1, noise_members=0, seed=0):
    """A population, its true labels and its true mates; the last label is that of pure noise.

    Classes differ from the common average by random coefficients of the given strength. A mate (at most two) shows the
    same coefficients in the opposite order, which is all that turning a map does to them; the common average does not
    change by it.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.view_as_complex(torch.randn(*shape, 2, generator=generator))

    labels = torch.repeat_interleave(torch.arange(len(sizes) + 1), torch.tensor([*sizes, noise_members]))
    count = len(labels)
    common = 1.5 * normal(COEFFICIENTS)
    common = common + common.flip(0)
    differences = strength * normal(len(sizes), COEFFICIENTS)
    differences = torch.cat([differences - differences.mean(0), -common[None]])
    place = torch.randint(mates, (count,), generator=generator)
    weights = (torch.rand(count, COEFFICIENTS, generator=generator) < 0.67).float()
    data = weights * (differences[labels] + normal(count, COEFFICIENTS))
    own, turned = [torch.stack([one, one.flip(1)], 1) for one in (weights, data)], (place == 1)[:, None, None]
    weights, data = (torch.where(turned, one.flip(1), one)[:, :mates] for one in own)
    whole = data + weights * common
    gain = (weights * (common.conj() * whole).real - 0.5 * weights * common.abs().square()).sum(-1)
    views = Views(data, weights, whole.abs().square().sum(-1), gain)
    prior = Prior(torch.full((COEFFICIENTS,), 1 / strength**2))
    chunks = [range(start, min(start + 32, count)) for start in range(0, count, 32)]

    def load(rows):
        part = slice(rows.start, rows.stop)
        return Views(views.data[part], views.weights[part], views.power[part], views.common[part])

    population = Population(chunks, load, prior, common, noise_members > 0, mates, Serial())
    return population, labels, place


def membership(labels, classes, candidates=1, at=None):
    """Each particle wholly in its class."""
    hard = torch.zeros(len(labels), candidates, classes)
    hard[torch.arange(len(labels)), torch.zeros_like(labels) if at is None else at, labels] = 1
    return hard
