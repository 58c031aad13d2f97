import torch

from torchsag.optim.term_order import ShuffledBatches, UniformDraws, batch_size, seeded_generator


def test_shuffled_batches_visit_every_term_once_a_pass_in_a_new_order():
    order = ShuffledBatches(10, 4, seeded_generator(0))
    assert not order.pass_complete
    passes = []
    for number in range(3):
        batches = [order.draw() for _ in range(3)]
        assert [len(batch) for batch in batches] == [4, 4, 2]
        assert order.pass_complete
        assert order.completed_passes == number + 1
        passes.append(torch.cat(batches))
    assert all(sorted(terms.tolist()) == list(range(10)) for terms in passes)
    assert not torch.equal(passes[0], passes[1])
    order.draw()
    assert not order.pass_complete


def test_uniform_draws_repeat_and_count_passes():
    order = UniformDraws(5, seeded_generator(0))
    assert not order.pass_complete
    drawn = [int(order.draw()) for _ in range(5)]
    assert order.pass_complete
    assert order.completed_passes == 1
    drawn += [int(order.draw()) for _ in range(1995)]
    counts = torch.bincount(torch.tensor(drawn), minlength=5)
    assert counts.min() > 320  # 400 expected, standard deviation 18.
    assert len(set(drawn[:20])) <= 5


def test_seed_fixes_the_order():
    first, second, other = (ShuffledBatches(50, 50, seeded_generator(seed)).draw() for seed in (3, 3, 4))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_batch_size_is_never_zero_nor_too_large():
    assert batch_size(10, 1e-9) == 1
    assert batch_size(10, 1.0) == 10
    assert batch_size(64, 1 / 16) == 4
