"""When the page of a running command is written, and what becomes of it when the command ends."""

from dataclasses import dataclass, field

import pytest

from torchsag.errors import InputError
from torchsag.runs.job import Job, Phase
from torchsag.runs.live_page import LivePage, LiveReport, live


@dataclass(frozen=True)
class Page:
    """Writes what it is told; takes `seconds` of the clock for it."""

    clock: list
    seconds: float = 0.0
    told: list = field(default_factory=list)

    def running(self, folder, moment, due):
        self.clock[0] += self.seconds
        self.told.append(moment)
        (folder / "report.html").write_text(moment.stopped or f"running {moment.share:.2f}")


@pytest.fixture
def clock():
    return [0.0]


def job_of(page, clock):
    made = Job("align", 0.0, page, lambda: clock[0])
    made.plan([Phase("aligning", 100, "alignment")])
    return made


def test_the_first_page_at_once_then_every_half_minute_and_after_every_event(tmp_path, clock):
    report = Page(clock)
    page = LivePage(report, tmp_path, lambda: clock[0])
    run = job_of(page, clock)
    assert len(report.told) == 1
    for _ in range(60):
        clock[0] += 1
        run.advance(1)
    assert len(report.told) == 3  # at once, after 30 s, after 60 s
    page(run.moment, True)
    assert len(report.told) == 4


def test_a_slow_page_is_written_seldom(tmp_path, clock):
    report = Page(clock, seconds=2.0)
    page = LivePage(report, tmp_path, lambda: clock[0])
    run = job_of(page, clock)
    for _ in range(200):
        clock[0] += 10
        page(run.moment, True)
    assert sum(2.0 for _ in report.told) <= 0.008 * clock[0]
    assert len(report.told) > 3


def test_a_page_that_cannot_be_written_does_not_stop_the_run(tmp_path, clock, caplog):
    class Broken:
        calls = 0

        def running(self, folder, moment, due):
            self.calls += 1
            raise ValueError("no colours left")

    report = Broken()
    page = LivePage(report, tmp_path, lambda: clock[0])
    run = job_of(page, clock)
    clock[0] += 100
    run.advance(1)
    assert report.calls == 1
    assert "no colours left" in caplog.text


def run_with(report, folder, clock, error=None):
    made = Job("align", 0.0, clock=lambda: clock[0])
    with live(made, report, folder):
        made.plan([Phase("aligning", 100, "alignment")])
        if error is not None:
            raise error
        (folder / "report.html").write_text("result")


def test_a_run_that_fails_says_so(tmp_path, clock):
    with pytest.raises(InputError):
        run_with(Page(clock), tmp_path, clock, InputError("particle 3: is empty"))
    assert (tmp_path / "report.html").read_text() == "particle 3: is empty"
    with pytest.raises(KeyboardInterrupt):
        run_with(Page(clock), tmp_path, clock, KeyboardInterrupt())
    assert (tmp_path / "report.html").read_text() == "interrupted"


def test_the_page_of_a_finished_run_comes_back_if_the_next_one_fails(tmp_path, clock):
    for name in ("report.html", "metrics.json"):
        (tmp_path / name).write_text("earlier")
    with pytest.raises(InputError):
        run_with(Page(clock), tmp_path, clock, InputError("no"))
    assert (tmp_path / "report.html").read_text() == "earlier"
    run_with(Page(clock), tmp_path, clock)
    assert (tmp_path / "report.html").read_text() == "result"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["metrics.json", "report.html"]


def test_a_killed_runs_page_is_not_taken_for_a_result(tmp_path, clock):
    """A run killed after a finished one, then one that fails: the result's page is still there."""
    for name in ("report.html", "metrics.json"):
        (tmp_path / name).write_text("earlier")
    LivePage(Page(clock), tmp_path, lambda: clock[0])(Job("align", 0.0, clock=lambda: clock[0]).moment, True)
    assert (tmp_path / "report.html").read_text() == "running 0.00"
    with pytest.raises(InputError):
        run_with(Page(clock), tmp_path, clock, InputError("no"))
    assert (tmp_path / "report.html").read_text() == "earlier"


def test_reports_of_ones_own_need_no_live_page(tmp_path, clock):
    def own(folder):
        return None

    assert not isinstance(own, LiveReport)
    run_with(own, tmp_path, clock)
    run_with(None, tmp_path, clock)
    assert [path.name for path in tmp_path.iterdir()] == ["report.html"]
