"""Every classifier that conf/ lists finds the classes of a mixture, and what it is made of does its part."""

import pytest
import torch
from mixtures import membership, mixture

from torchsag.app.catalogue import choices, conf_folder
from torchsag.app.components import build
from torchsag.app.composition import compose_command
from torchsag.classification.classifier import Classifier, Division, run
from torchsag.classification.cooling import GeometricCooling, LinearCooling
from torchsag.classification.mates import class_turns, symmetry_mates
from torchsag.classification.mco_a import MCOA
from torchsag.classification.mco_exmx import MCOEXMX
from torchsag.classification.membership import best, drawn, kept_alive, labels, posterior
from torchsag.classification.merging import completed_likelihood, merged
from torchsag.classification.multi_reference import MultiReference
from torchsag.classification.settling import settle
from torchsag.errors import InputError
from torchsag.evaluation.class_agreement import adjusted_rand_index
from torchsag.geometry import Symmetry

NO_TURN = torch.zeros(1, 1, dtype=torch.long)


def method(name):
    config = compose_command("classify", ["particles=p", "out=o", f"method={name}"])
    return build(config["method"])


def classifiers():
    folder = conf_folder() / "method"
    return [name for name in choices("method") if "torchsag.classification" in (folder / f"{name}.yaml").read_text()]


def start(population, classes, seed=0):
    """Random labels, at the first candidate pose."""
    label = torch.randint(classes, (len(population),), generator=torch.Generator().manual_seed(seed))
    return membership(label, classes + int(population.noise_class), population.candidates)


@pytest.mark.parametrize("name", classifiers())
def test_is_a_classifier(name):
    assert isinstance(method(name), Classifier)


@pytest.mark.parametrize("name", classifiers())
def test_recovers_a_mixture_and_sets_noise_apart(name):
    population, true, _ = mixture([40, 30], noise_members=10)
    division = run(method(name), population, Division.of(start(population, 5)), 0)
    hard = settle(population, division.best, NO_TURN)
    assert hard.shape[2] == 3
    assert adjusted_rand_index(labels(hard), true) == 1.0


@pytest.mark.parametrize("name", ["mco_a", "mco_exmx"])
def test_finds_the_mate_each_particle_stands_in(name):
    population, true, place = mixture([40, 30], mates=2)
    division = run(method(name), population, Division.of(start(population, 4)), 1)
    hard = settle(population, division.best, torch.tensor([[0, 1], [1, 0]]))
    assert hard.shape[2] == 2
    assert adjusted_rand_index(labels(hard), true) == 1.0
    for label in (0, 1):
        at = hard.sum(2).argmax(1)[true == label]
        assert len((at == place[true == label]).unique()) == 1


def test_rounds_depend_on_seed_and_number_alone():
    """A run that was stopped and taken up again ends like one that was not."""
    population, _, _ = mixture([20, 20])
    chosen = MCOA(LinearCooling(2.0, 3), hard_rounds=1)
    division, again = (Division.of(start(population, 3)) for _ in range(2))
    for _ in range(4):
        division = chosen.step(population, division, 5)
    for _ in range(4):
        again = chosen.step(population, Division(**again.__dict__), 5)
    assert torch.equal(division.membership, again.membership)
    other = Division.of(start(population, 3))
    for _ in range(4):
        other = chosen.step(population, other, 6)
    assert not torch.equal(division.membership, other.membership)


def test_the_best_division_is_kept():
    population, true, _ = mixture([30, 30])
    division = Division.of(membership(true, 2))
    for _ in range(4):
        division = MCOA(LinearCooling(50.0, 10), hard_rounds=0).step(population, division, 0)
    assert adjusted_rand_index(labels(division.best), true) == 1.0
    assert adjusted_rand_index(labels(division.membership), true) < 0.5


def test_no_class_collapses():
    population, true, _ = mixture([30, 30])
    scores = population.scores(membership(true, 3), population.sums(membership(true, 3)))
    kept = kept_alive(best(scores), scores, 4, 3)
    assert int(kept[:, :, 2].sum()) == 4
    assert torch.equal(kept.sum((1, 2)), torch.ones(60))
    lost = (best(scores) * scores).sum((1, 2)) - scores[:, 0, 2]
    moved = labels(kept) == 2
    assert float(lost[moved].max()) <= float(lost[~moved].min())


def test_draws_follow_the_softmax_whatever_the_order_of_classes():
    scores = torch.tensor([0.0, 1.0, 2.0]).expand(20000, 1, 3)
    expected = torch.tensor([0.0, 1.0, 2.0]).div(1.5).softmax(0)
    for order in ([0, 1, 2], [2, 0, 1]):
        picked = drawn(scores[:, :, order], 1.5, torch.Generator().manual_seed(0)).mean((0, 1))
        assert torch.allclose(picked, expected[order], atol=0.015)
    assert torch.equal(drawn(scores, 0.0, torch.Generator()), best(scores))


def test_posterior_weighs_likelihood_and_share():
    scores = torch.tensor([[[0.0, 1.0]]])
    odds = posterior(scores, torch.tensor([0.75, 0.25]))[0, 0]
    assert torch.allclose(odds[1] / odds[0], torch.tensor(1.0).exp() / 3)


def test_one_kind_of_particle_makes_one_class():
    population, _, _ = mixture([80], strength=0.5)
    division = run(MCOEXMX(), population, Division.of(start(population, 6)), 0)
    assert settle(population, division.best, NO_TURN).shape[2] == 1


def test_merging_raises_the_completed_likelihood_and_keeps_what_differs():
    population, true, _ = mixture([40, 30])
    halved = membership(torch.where(torch.arange(70) % 2 == 0, true, true + 2), 4)
    joined = merged(population, halved, NO_TURN)
    assert joined.shape[2] == 2
    assert adjusted_rand_index(labels(joined), true) == 1.0
    assert completed_likelihood(population, joined) > completed_likelihood(population, halved)
    assert completed_likelihood(population, joined) > completed_likelihood(population, membership(true * 0, 1))


def test_mates_and_turns():
    mates = symmetry_mates(Symmetry("C7"), Symmetry("D7"))
    assert mates.shape == (2, 3, 3)
    assert torch.equal(mates[0], torch.eye(3).double())
    assert class_turns(mates, Symmetry("C7")).tolist() == [[0, 1], [1, 0]]
    assert len(symmetry_mates(Symmetry("C1"), Symmetry("D2"))) == 4
    assert class_turns(symmetry_mates(Symmetry("C4"), Symmetry("O")), Symmetry("C4")).shape == (2, 6)
    with pytest.raises(InputError, match="common_symmetry: expected a group that contains the classes' C7, got C3"):
        symmetry_mates(Symmetry("C7"), Symmetry("C3"))


def test_temperatures_fall():
    assert LinearCooling(2.0, 4).temperatures() == [2.0, 1.5, 1.0, 0.5]
    assert GeometricCooling(2.0, 3, 0.5).temperatures() == [2.0, 1.0, 0.5]


@pytest.mark.parametrize(
    "make",
    [
        lambda: LinearCooling(0.0),
        lambda: GeometricCooling(factor=1.0),
        lambda: MCOEXMX(rounds=0),
        lambda: MCOEXMX(changed=1.0),
        lambda: MCOA(hard_rounds=-1),
        lambda: MultiReference(rounds=0),
    ],
)
def test_refuses_values_out_of_range(make):
    with pytest.raises(InputError):
        make()
