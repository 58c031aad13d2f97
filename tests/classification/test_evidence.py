"""The evidence of a class: against multivariate normal densities, and the kernel against plain tensors."""

import torch
from mixtures import COEFFICIENTS, membership, mixture

from torchsag.classification.evidence import ClassSums, Prior, Views, reference_leave_one_out
from torchsag.classification.evidence_numba import leave_one_out


def log_normal(values, covariance):
    return torch.distributions.MultivariateNormal(torch.zeros(len(values)).double(), covariance).log_prob(values)


def test_evidence_is_the_ratio_of_marginal_densities():
    """One coefficient, three particles: real and imaginary parts are normal with a common hidden difference."""
    generator = torch.Generator().manual_seed(0)
    observed = torch.view_as_complex(torch.randn(3, 2, generator=generator, dtype=torch.float64))
    weight = torch.tensor([1.0, 0.5, 0.0], dtype=torch.float64)
    variance = 0.7
    one = torch.eye(3).double()
    within = one + variance * weight[:, None] * weight
    expected = sum(log_normal(part, within) - log_normal(part, one) for part in (observed.real, observed.imag))
    sums = ClassSums((weight * observed).sum()[None, None], weight.square().sum()[None, None], torch.tensor([3.0]))
    prior = Prior(torch.tensor([1 / variance], dtype=torch.float64))
    assert torch.allclose(sums.evidence(prior), expected)


def test_score_is_the_evidence_that_a_particle_adds():
    population, labels, _ = mixture([5, 4])
    hard = membership(labels, 2)
    sums = population.sums(hard)
    scores = population.scores(hard, sums)[:, 0]
    for particle in (0, 8):
        for label in (0, 1):
            without, within = labels == label, labels == label
            without[particle], within[particle] = False, True
            both = torch.stack([without, within], -1).float()[:, None]
            alone, joined = population.sums(both).evidence(population.prior)
            common = population.load(population.chunks[0]).common[particle, 0]
            assert torch.allclose(scores[particle, label] - common, joined - alone, atol=2e-3)


def test_kernel_agrees_with_plain_tensors():
    generator = torch.Generator().manual_seed(1)
    shape = (6, 3, 40)
    data = torch.view_as_complex(torch.randn(*shape, 2, generator=generator))
    weights = torch.rand(*shape, generator=generator) * (torch.rand(*shape, generator=generator) < 0.7)
    views = Views(data * (weights > 0), weights, torch.ones(6, 3), torch.zeros(6, 3))
    soft = torch.rand(6, 3, 4, generator=generator)
    soft /= soft.sum((1, 2), keepdim=True)
    sums = views.sums(soft)
    prior = Prior(0.1 + torch.rand(40, generator=generator), independent=0.4, order=7)
    expected = reference_leave_one_out(views, soft, sums, prior)
    assert torch.allclose(leave_one_out(views, soft, sums, prior), expected, rtol=1e-4, atol=1e-4)


def test_a_particle_is_never_compared_with_itself():
    """Pure noise fits a class of its own no better for having been in it alone: that class is then empty."""
    population, labels, _ = mixture([20], strength=0.01)
    hard = membership(torch.cat([torch.tensor([1]), labels[1:]]), 2)
    scores = population.scores(hard, population.sums(hard))
    empty = ClassSums(torch.zeros(2, COEFFICIENTS, dtype=torch.complex64), torch.zeros(2, COEFFICIENTS), torch.zeros(2))
    nothing = population.scores(torch.zeros_like(hard), empty)
    assert torch.allclose(scores[0, 0, 1], nothing[0, 0, 1], atol=1e-4)


def test_an_empty_class_has_no_evidence():
    empty = ClassSums(torch.zeros(1, 5, dtype=torch.complex64), torch.zeros(1, 5), torch.zeros(1))
    assert float(empty.evidence(Prior(torch.ones(5)))) == 0
