"""Views of particles of a few classes, drawn from the model itself: no volumes."""

import torch

from torchsag.classification.evidence import Prior, Views
from torchsag.classification.population import Population
from torchsag.parallel import Serial

COEFFICIENTS = 150


def mixture(sizes, strength=0.6, mates=1, noise_members=0, seed=0):
    """A population, its true labels and its true mates; the last label is that of pure noise.

    Classes differ from the common average by random coefficients of the given strength. Seen from any mate but its own
    a particle shows other random coefficients, the same for all members of a class.
    """
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape):
        return torch.view_as_complex(torch.randn(*shape, 2, generator=generator))

    labels = torch.repeat_interleave(torch.arange(len(sizes) + 1), torch.tensor([*sizes, noise_members]))
    count = len(labels)
    common = 1.5 * normal(COEFFICIENTS)
    differences = strength * normal(len(sizes), mates, COEFFICIENTS)
    differences = differences - differences.mean(0)
    differences = torch.cat([differences, -common.expand(1, mates, -1)])
    place = torch.randint(mates, (count,), generator=generator)
    weights = (torch.rand(count, mates, COEFFICIENTS, generator=generator) < 0.67).float()
    seen = (torch.arange(mates)[None] - place[:, None]) % mates
    data = weights * (differences[labels[:, None], seen] + normal(count, mates, COEFFICIENTS))
    power = (data + weights * common).abs().square().sum(-1)
    views = Views(data, weights, power)
    prior = Prior(torch.full((COEFFICIENTS,), 1 / strength**2))
    chunks = [range(start, min(start + 32, count)) for start in range(0, count, 32)]

    def load(rows):
        part = slice(rows.start, rows.stop)
        return Views(views.data[part], views.weights[part], views.power[part])

    population = Population(chunks, load, prior, common, noise_members > 0, mates, Serial())
    return population, labels, place


def membership(labels, classes, candidates=1, at=None):
    """Each particle wholly in its class."""
    hard = torch.zeros(len(labels), candidates, classes)
    hard[torch.arange(len(labels)), torch.zeros_like(labels) if at is None else at, labels] = 1
    return hard
