import pytest
import torch

from torchsag.parallel.gpu import take_gpu


@pytest.mark.parametrize(("local_rank", "gpu"), [(0, 0), (1, 1), (2, 0)])
def test_processes_take_turns_at_the_gpus(monkeypatch, local_rank, gpu):
    taken = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    take_gpu(local_rank)
    assert taken == [gpu]


def test_nothing_to_take_without_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "set_device", lambda _: pytest.fail("there is no GPU"))
    take_gpu(1)
