"""The page that compares the jobs of a sweep."""

import json
import re

import numpy as np

from torchsag.report.sweep import SweepPage
from torchsag.sweeps.job import Job


def aligned(out, settings, errors, merit=None):
    folder = ",".join(f"{key}={value}" for key, value in settings.items())
    Job(folder, settings, merit=merit).write(out)
    particles = {"name": [f"p{k}" for k in range(len(errors))], "rotation_error_deg": list(errors)}
    metrics = {"summary": {"median_rotation_error_deg": float(np.median(errors))}, "particles": particles}
    (out / folder / "metrics.json").write_text(json.dumps(metrics))


def table(page, heading):
    section = page.partition(f"<h2>{heading}</h2>")[2].partition("</section>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", section)
    return [re.findall(r"<t[dh][^>]*>(.*?)</t[dh]>", row) for row in rows]


def test_jobs_are_compared_on_the_particles_they_share(tmp_path):
    draws = np.random.default_rng(0).uniform(0.5, 1.5, 12)
    aligned(tmp_path, {"method": "sag", "seed": "1"}, draws, 1.0)
    aligned(tmp_path, {"method": "sag", "seed": "2"}, draws + 0.001, 1.2)
    aligned(tmp_path, {"method": "chen_frm", "seed": "1"}, draws + 2, 3.0)
    Job("method=<b>", {"method": "<b>"}, "it <broke>").write(tmp_path)
    SweepPage()(tmp_path)
    page = (tmp_path / "sweep.html").read_text()
    assert "3 of 4 jobs ended well. Best: method=sag,seed=1, 1.00." in page
    assert "it &lt;broke&gt;" in page
    medians = table(page, "Rotation error (°)")
    assert len(medians) == 4
    assert all(float(low) < float(median) < float(high) for *_, median, low, high in medians[1:])
    tests = table(page, "Paired tests")
    assert {row[-1] for row in tests[1:] if "chen_frm" in row[1] + row[2]} <= {"method=sag,seed=1", "method=sag,seed=2"}
    assert tests[0][0] == "quantity"  # no column of trials, of which a sweep of one command has none
    assert "rotation error, median (°)" in table(page, "Jobs")[0]
    seeds = {row[0]: row[1:3] for row in table(page, "Over seeds")[1:]}
    assert seeds["method=sag"] == ["2", "1.10"]


def test_a_sweep_of_which_nothing_is_known_but_how_it_ended(tmp_path):
    Job("seed=1", {"seed": "1"}).write(tmp_path)
    SweepPage()(tmp_path)
    assert "1 of 1 jobs ended well." in (tmp_path / "sweep.html").read_text()


def test_settings_are_paired_over_the_seeds_they_share(tmp_path):
    noise = [0.0, 5.0, 1.0, 9.0]
    for seed, level in enumerate(noise):
        aligned(tmp_path, {"method": "sag", "seed": str(seed)}, [level, level + 1], level + 1)
        aligned(tmp_path, {"method": "chen_frm", "seed": str(seed)}, [level, level + 1], level + 2 + 0.1 * (seed % 2))
    aligned(tmp_path, {"method": "chen_frm", "seed": "9"}, [1.0, 2.0], 100.0)
    SweepPage()(tmp_path)
    (row,) = table((tmp_path / "sweep.html").read_text(), "Paired over seeds")[1:]
    assert row[:3] == ["method=chen_frm", "method=sag", "4"]
    low, mean, high = float(row[4]), float(row[3]), float(row[5])
    assert 0.9 < low < mean < high < 1.3
    assert 0 < float(row[6]) < 0.001
    assert row[7] == "method=sag"


def test_few_particles_are_said_to_be_few(tmp_path):
    aligned(tmp_path, {"method": "sag"}, [1.0, 2.0, 3.0, 4.0, 5.0], 3.0)
    aligned(tmp_path, {"method": "chen_frm"}, [2.0, 3.0, 4.0, 5.0, 6.0], 4.0)
    SweepPage()(tmp_path)
    page = (tmp_path / "sweep.html").read_text()
    assert "fewer than 6 particles have none" in page
    assert "fewer than 6 particles never come below 0.05" in page
