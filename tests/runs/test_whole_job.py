"""How far a command is, and the time left, against work whose pace is known."""

import threading

import pytest

from torchsag.loggers import Entry
from torchsag.runs import job
from torchsag.runs.job import Job, Moment, Phase, duration, opened


class Clock:
    """Moves when told."""

    now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def work(run, clock, pieces, seconds):
    for _ in range(pieces):
        clock.now += seconds
        run.advance(1)


def test_time_left_is_that_of_the_pieces_left_and_of_the_phases_to_come(clock):
    run = Job("align", 100.0, clock=clock)
    run.plan([Phase("aligning", 10, "alignment"), Phase("averaging", 10, "averaging", cost=0.5)])
    assert run.moment().seconds_left is None  # nothing is known yet
    work(run, clock, 4, 2.0)
    # six more of two seconds, and ten that cost half as much
    assert run.moment().seconds_left == pytest.approx(6 * 2 + 10 * 1)
    assert run.moment().share == pytest.approx(4 / 15)
    work(run, clock, 6, 2.0)
    run.begin("averaging")
    work(run, clock, 5, 3.0)  # three times as slow as they were thought to be
    assert run.moment().seconds_left == pytest.approx(5 * 3)
    assert run.moment().elapsed_seconds == pytest.approx(35)


def test_a_phase_goes_at_the_pace_of_the_last_of_its_kind(clock):
    run = Job("average", 100.0, clock=clock)
    run.plan([Phase(f"iteration {k}", 10, "iteration", optional=k > 1) for k in (1, 2, 3)])
    work(run, clock, 10, 2.0)
    clock.now += 10  # what follows the alignment belongs to the iteration
    run.begin("iteration 2")
    assert run.moment().seconds_left == pytest.approx(2 * 30)
    assert run.moment().at_most
    assert run.moment().progress() == "at least 33 % of the job, at most 60 s left"


def test_the_end_of_a_job_takes_no_longer_for_a_slow_method(clock):
    run = Job("align", 100.0, clock=clock)
    run.plan([
        Phase("preparing", 1, "preparing", seconds=1.0), Phase("aligning", 20, "alignment"),
        Phase("averaging", 20, "averaging", cost=0.1), Phase("results", 1, "closing", seconds=4.0),
    ])  # fmt: skip
    assert run.moment().seconds_left is None  # how slow the method is, is not known
    clock.now += 1
    run.begin("aligning")
    work(run, clock, 20, 3.0)
    assert run.moment().seconds_left == pytest.approx(20 * 0.3 + 4)
    assert run.moment().share == pytest.approx(61 / 71)  # of the time: 1 + 60 + 6 + 4 seconds
    run.begin("results")
    clock.now += 3.0
    assert run.moment().seconds_left == pytest.approx(1.0)
    clock.now += 3.0
    assert run.moment().seconds_left == 0.0


def test_what_is_done_never_becomes_less_where_the_rest_turns_out_to_be_longer(clock):
    run = Job("compare", 100.0, clock=clock)
    run.plan([Phase("the fast method", 10, "fast"), Phase("the slow method", 10, "slow")])
    shares = []
    for name, seconds in (("the fast method", 1.0), ("the slow method", 20.0)):
        run.begin(name)
        for _ in range(10):
            work(run, clock, 1, seconds)
            shares.append(run.moment().share)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    run.plan([Phase("another", 10, "fast")])
    assert run.moment().share == 0


def test_no_time_is_made_up_where_a_phase_of_unknown_cost_follows(clock):
    run = Job("classify", 100.0, clock=clock)
    run.plan([
        Phase("viewing", 4, "viewing"), Phase("seed 0", 1, "division", guessed=True),
        Phase("seed 1", 1, "division", guessed=True),
    ])  # fmt: skip
    work(run, clock, 2, 1.0)
    assert run.moment().seconds_left is None
    assert "not known yet" in run.moment().progress()
    work(run, clock, 2, 1.0)
    run.begin("seed 0")
    work(run, clock, 1, 7.0)
    run.begin("seed 1")
    assert run.moment().seconds_left == pytest.approx(7.0)


def test_pieces_of_an_earlier_run_are_done_but_say_nothing_of_the_pace(clock):
    run = Job("align", 100.0, clock=clock)
    run.plan([Phase("aligning", 10, "alignment")])
    run.skip(8)
    work(run, clock, 1, 3.0)
    assert run.moment().share == pytest.approx(0.9)
    assert run.moment().seconds_left == pytest.approx(3.0)


def test_a_command_within_another_gets_on_with_that_ones_job(clock):
    outer, inner = Job("classify", 100.0, clock=clock), Job("average", 100.0, clock=clock)
    with opened(outer):
        job.plan([Phase("common average", 10, "iteration")])
        with opened(inner) as here:
            assert here is outer
            job.plan([Phase("something else", 1, "other")])
            job.begin("something else")
            here.advance(5)
        assert outer.moment().share == pytest.approx(0.5)
        assert outer.moment().doing == "common average"
    assert job.current() is None


def test_a_thread_that_is_another_process_has_no_part_in_it(clock):
    seen = []
    with opened(Job("align", 100.0, clock=clock)):
        thread = threading.Thread(target=lambda: seen.append(job.current()))
        thread.start()
        thread.join()
    assert seen == [None]


def test_listeners_hear_of_numbers_and_of_every_step(clock):
    heard = []
    run = Job("average", 100.0, lambda moment, event: heard.append((len(moment().entries), event)), clock)
    run.hear(Entry("iteration", 1, {"a": 1.0}))  # before there is a plan there is nothing to show
    run.plan([Phase("iteration 1", 10, "iteration")])
    run.advance(1)
    run.hear(Entry("chunk", 1, {"a": 1.0}))
    run.hear(Entry("iteration", 1, {"a": 1.0}))
    assert heard == [(1, True), (1, False), (2, False), (3, True)]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.2, "0 s"), (89, "89 s"), (125, "2 min"), (5300, "88 min"), (12_000, "3 h 20 min"), (180_000, "2 days 2 h")],
)
def test_durations_in_the_unit_that_suits(seconds, words):
    assert duration(seconds) == words


def test_a_job_that_is_done_has_no_time_left():
    assert Moment("align", "", 1.0, 10.0, 0.0, False).progress() == "100 % of the job"


def test_long_runs_keep_all_iterations_and_a_curve_of_their_chunks(clock):
    run = Job("average", 100.0, None, clock)
    for step in range(5000):
        run.hear(Entry("chunk", step, {"a": 1.0}))
        if step % 100 == 0:
            run.hear(Entry("iteration", step, {"a": 1.0}))
    kept = run.moment().entries
    assert [entry.step for entry in kept if entry.stage == "iteration"] == list(range(0, 5000, 100))
    assert [entry.step for entry in kept if entry.stage == "chunk"] == list(range(0, 5000, 8))
