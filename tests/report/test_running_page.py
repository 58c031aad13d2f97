"""Pages of commands that are not done: a sign of life, what is done so far, and no claim of a result."""

import re

import pytest
import torch

from torchsag.io import write_map
from torchsag.loggers import Entry
from torchsag.particles import DensityMap
from torchsag.report.alignment import AlignmentPage
from torchsag.report.average import AveragePage
from torchsag.report.classification import ClassificationPage
from torchsag.report.comparison import ComparisonPage
from torchsag.runs.job import Moment
from torchsag.runs.live_page import LiveReport

PAGES = [AlignmentPage(), AveragePage(), ClassificationPage(), ComparisonPage()]
ENTRIES = {
    "Alignment": [
        Entry("chunk", n, {"median_score": 0.3, "median_cpu_seconds": 0.1, "set_aside": 1.0}) for n in (8, 16)
    ],
    "Average": [],
    "Classification": [Entry("round", n, {"score": 1.0, "changed": 3.0}, "seed 0") for n in (1, 2)],
    "Comparison of methods": [Entry("trial", 1, {"median_rotation_error_deg": 1.25}, "SNR 0.1/sag")],
}


def moment(*entries, stopped="", left=240.0):
    return Moment("average", "iteration 2 of at most 12", 0.125, 300.0, left, True, entries, stopped)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_a_page_says_that_the_command_runs_and_when_it_was_written(page, tmp_path):
    assert isinstance(page, LiveReport)
    page.running(tmp_path, moment(*ENTRIES[page.title]), due=4_102_444_800.0)
    html = (tmp_path / "report.html").read_text()
    assert "At least 12 % of the job, at most 4 min left. Not finished yet." in html
    assert "<progress max='100' value='12'" in html
    assert "2100-01-01 00:00:00 UTC" in html
    assert "data-due='4102444800'" in html
    assert "What to do next" not in html
    if ENTRIES[page.title]:
        assert "so far" in html.lower()


def test_a_page_of_a_run_that_stopped_has_no_sign_of_life(tmp_path):
    AlignmentPage().running(tmp_path, moment(stopped="particle <3>: is empty"), due=0.0)
    html = (tmp_path / "report.html").read_text()
    assert "Stopped before its time, after 5 min: particle &lt;3&gt;: is empty." in html
    assert "<progress" not in html
    assert "id='live'" not in html
    assert "the same command carries on" in html


def iteration(folder, number):
    place = folder / "iterations" / f"{number:03d}"
    place.mkdir(parents=True)
    for half in (1, 2):
        write_map(place / f"half{half}.mrc", DensityMap(torch.rand(16, 16, 16), 10.0))
    shells = "".join(f"{i},{160 / i:.3f},{1 - i / 9},{1 - i / 9}\n" for i in range(1, 9))
    (place / "fsc.csv").write_text(f"shell,resolution_angstrom,unmasked,corrected\n0,inf,1,1\n{shells}")
    return Entry(
        "iteration", number, {"iteration": float(number), "resolution_0.143_angstrom": 24.6, "median_change_deg": 3.0}
    )


def test_an_average_shows_the_map_and_the_curve_of_its_last_iteration(tmp_path):
    entries = [iteration(tmp_path, number) for number in (1, 2)]
    AveragePage().running(tmp_path, moment(*entries), due=0.0)
    headings = re.findall(r"<h2>(.*?)</h2>", (tmp_path / "report.html").read_text())
    assert headings[1:] == ["The map after iteration 2", "Resolution after iteration 2", "Progress"]
