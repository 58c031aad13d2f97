"""The time left that commands announce, against recorded runs of theirs.

``recorded_alignments.json`` says how far alignments were when: CPU seconds, the phase begun or the pieces done (see
``experiments/benchmarks/time_left.py --steps``).
"""

import json
from pathlib import Path

import pytest

from torchsag.runs.job import Job
from torchsag.workflows.align import phases

RECORDED = json.loads(Path(__file__).with_name("recorded_alignments.json").read_text(encoding="utf-8"))


def replayed(recorded):
    """Elapsed seconds and the moment, after every step."""
    now = 0.0
    run = Job("align", 0.0, clock=lambda: now)
    run.plan(phases(recorded["particles"], recorded["box"]))
    for elapsed, begun, count in recorded["steps"]:
        now = elapsed
        if begun:
            run.begin(begun)
        else:
            run.advance(count)
        yield elapsed, run.moment()


@pytest.mark.parametrize("name", RECORDED)
def test_announced_and_real_time_left_are_within_a_factor_of_two(name):
    recorded = RECORDED[name]
    total, told = recorded["cpu_seconds"], 0
    for elapsed, moment in replayed(recorded):
        if moment.seconds_left is not None and elapsed > 0.25 * total:
            told += 1
            real = total - elapsed
            assert 0.5 * real - 0.5 < moment.seconds_left < 2 * real + 0.5, f"{moment.doing} after {elapsed:.1f} s"
    assert told > 2


@pytest.mark.parametrize("name", RECORDED)
def test_the_share_that_is_done_is_that_of_the_time(name):
    for elapsed, moment in replayed(RECORDED[name]):
        if moment.seconds_left is not None:
            assert moment.share == pytest.approx(elapsed / RECORDED[name]["cpu_seconds"], abs=0.15)
