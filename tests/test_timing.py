import pytest
import torch

from torchsag.timing import StageClock, stage


def spin():
    return sum(range(200_000))


def test_stages_count_only_while_somebody_listens():
    with stage("before"):
        spin()
    with StageClock() as clock:
        for _ in range(2):
            with stage("outer"), stage("inner"):
                spin()
    with stage("after"):
        spin()
    assert set(clock.cpu_seconds) == set(clock.wall_seconds) == {"outer", "inner"}
    assert 0 < clock.cpu_seconds["inner"] <= clock.cpu_seconds["outer"]


def test_a_stage_that_fails_is_counted_and_clocks_nest():
    with StageClock() as outer:
        with StageClock() as inner, pytest.raises(ValueError, match="no"), stage("work"):
            raise ValueError("no")
        with stage("rest"):
            pass
    assert set(inner.wall_seconds) == {"work"}
    assert set(outer.wall_seconds) == {"rest"}


def test_a_gpu_in_use_is_waited_for_at_both_ends_of_a_stage(monkeypatch):
    order = []
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: order.append("waited"))
    with stage("nobody listens"):
        pass
    with StageClock(), stage("work"):
        order.append("worked")
    assert order == ["waited", "worked", "waited"]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    with StageClock(), stage("work"):
        pass
    assert len(order) == 3
