import json
import re

import numpy as np
import pytest

from torchsag.errors import InputError
from torchsag.report.alignment import AlignmentPage
from torchsag.report.wording import digits

COUNT = 5


@pytest.fixture
def finished_run(tmp_path):
    rng = np.random.default_rng(0)
    numbers = rng.random(COUNT).tolist()
    names = ("score", "shift_angstrom", "rotation_sigma_deg", "shift_sigma_angstrom", "cpu_seconds")
    table = dict.fromkeys(names, numbers)
    table["view_longitude_deg"] = [0.0, 90.0, -90.0, 179.0, 10.0]
    table["view_latitude_deg"] = [0.0, 45.0, -45.0, 89.0, 10.0]
    table |= {"name": [f"<p{i}>" for i in range(COUNT)], "fault": [""] * COUNT}
    metrics = {"summary": {"aligned": COUNT, "median_score": None}, "stage_cpu_seconds": {"reading": 0.1}}
    metrics |= {"method": "M", "particle_list": "p", "reference": "r", "symmetry": "C1", "voxel_size_angstrom": 5}
    metrics |= {"device": "cpu", "threads": 1, "seed": 0, "versions": {"torch": "2"}, "particles": table}
    write(tmp_path, metrics)
    images = rng.random((3, 8, 8))
    names = np.array(["<p0>", "p1", "p2"])
    np.savez(tmp_path / "slices.npz", reference=images, average=images, particles=images, expected=images, names=names)
    return tmp_path, metrics


def write(folder, metrics):
    (folder / "metrics.json").write_text(json.dumps(metrics))


def headings(folder):
    return re.findall(r"<h2>(.*?)</h2>", (folder / "report.html").read_text())


def test_page_needs_nothing_beside_it(finished_run):
    folder, _ = finished_run
    AlignmentPage("A & B")(folder)
    page = (folder / "report.html").read_text()
    assert len(re.findall(r"(?:src|href)='(?!data:)", page)) == 0
    assert page.count("role='img' aria-label='") == 4  # average, particles, orientations, reference
    assert "http:" not in page
    assert "https:" not in page
    assert len(page) < 6e6
    assert "<h1>A &amp; B</h1>" in page


def test_errors_and_faults_have_sections_only_where_there_are_any(finished_run):
    folder, metrics = finished_run
    AlignmentPage()(folder)
    assert not {"Errors against the true poses", "Particles set aside"} & set(headings(folder))
    metrics["particles"] |= {"rotation_error_deg": [1.0] * COUNT, "shift_error_angstrom": [None] * COUNT}
    metrics["particles"]["fault"][2] = "NaN <here>"
    write(folder, metrics)
    AlignmentPage()(folder)
    assert {"Errors against the true poses", "Particles set aside"} <= set(headings(folder))
    assert "NaN &lt;here&gt;" in (folder / "report.html").read_text()


def test_many_particles_get_histograms_and_few_their_values(finished_run):
    folder, metrics = finished_run
    AlignmentPage()(folder)
    few = (folder / "report.html").read_text()
    assert "class='bars" not in few
    score = metrics["particles"]["score"]
    assert all(digits(value) in few for value in score)
    metrics["particles"] = {name: values * 4 for name, values in metrics["particles"].items()}
    write(folder, metrics)
    AlignmentPage()(folder)
    assert (folder / "report.html").read_text().count("class='bars") == 4


def test_a_single_particle_makes_no_density_of_orientations(finished_run):
    folder, metrics = finished_run
    AlignmentPage()(folder)
    assert "Orientations" in headings(folder)
    metrics["particles"] = {name: values[:1] for name, values in metrics["particles"].items()}
    write(folder, metrics)
    AlignmentPage()(folder)
    assert "Orientations" not in headings(folder)


def test_methods_without_covariance_get_no_histogram_of_it(finished_run):
    folder, metrics = finished_run
    AlignmentPage()(folder)
    assert "Expected errors" in headings(folder)
    metrics["particles"]["rotation_sigma_deg"] = [None] * COUNT
    write(folder, metrics)
    AlignmentPage()(folder)
    assert "Expected errors" not in headings(folder)


def test_unfinished_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"expected the files of a finished alignment"):
        AlignmentPage()(tmp_path)


def test_expected_errors_say_what_the_reference_lacks(finished_run):
    folder, metrics = finished_run
    learnt = {"taken_at_its_word": True, "amplitude_by_shell": [1.0, 1.0], "finest_angstrom": 24.0}
    learnt |= {"surroundings_left_out": False, "variances_times": 1.0, "noise_is_even": True}
    told = []
    inexact = {"taken_at_its_word": False, "amplitude_by_shell": [0.9, 0.4, 0.0], "surroundings_left_out": True}
    for more in ({}, inexact, {"variances_times": 1.43}):
        metrics["learnt"] = {**learnt, **more}
        write(folder, metrics)
        AlignmentPage()(folder)
        told.append((folder / "report.html").read_text())
    exact, lacking, shared = told
    assert "as it is, out to 24.0 Å, and it is taken at its word" in exact
    assert "0.400 to 0.900 times as strong as it is" in lacking
    assert "it is left out" in lacking
    assert "1.43 times those of independent noise" in shared
    assert all("independent noise" not in page for page in (exact, lacking))
