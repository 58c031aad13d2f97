import re
from xml.etree import ElementTree

import pytest

from torchsag.report.chart import Axis, Band, Bars, Chart, Line, Note, round_ticks
from torchsag.report.png_chart import save_png
from torchsag.report.svg_chart import panels, svg_chart

EVERYTHING = Chart(
    Axis("x <1>", log=True),
    Axis("y"),
    "title & more",
    lines=[Line([1, 10, 100], [1.0, float("nan"), 3.0], "a <b>", marked=True, spread=[0.1, 0.1, 0.1])],
    bands=[Band([1, 100], [1, 1], [2, 2])],
    bars=[Bars([1, 10, 100], [2, 1])],
    notes=[Note(10, 2, "here & there")],
    across=[2.0],
    upright=[10.0],
)


def places(svg, kind):
    return [tuple(map(float, at)) for at in re.findall(rf"<circle class='dot {kind}' cx='([\d.]+)' cy='([\d.]+)'", svg)]


def test_chart_is_well_formed_and_escapes_every_text():
    root = ElementTree.fromstring(svg_chart(EVERYTHING))
    texts = {text.text for text in root.iter("text")}
    assert {"x <1>", "y", "title & more", "a <b>", "here & there"} <= texts


def test_points_stand_where_their_values_say():
    svg = svg_chart(Chart(Axis(limits=(0, 10)), Axis(limits=(0, 4)), lines=[Line([0, 5, 10], [0, 2, 4], marked=True)]))
    (x0, y0), (x1, y1), (x2, y2) = places(svg, "c0")
    assert x1 == pytest.approx((x0 + x2) / 2, abs=0.1)
    assert y1 == pytest.approx((y0 + y2) / 2, abs=0.1)
    assert y2 < y0  # upwards
    frame = re.search(r"class='frame' d='M([\d.]+) ([\d.]+)V([\d.]+)H([\d.]+)'", svg)
    assert frame is not None
    assert [float(v) for v in frame.groups()] == pytest.approx([x0, y2, y0, x2], abs=0.1)


def test_equal_ratios_are_equal_steps_on_a_logarithmic_axis():
    chart = Chart(Axis(log=True), Axis(), lines=[Line([1, 10, 100], [0, 0, 1], marked=True)])
    x = [place[0] for place in places(svg_chart(chart), "c0")]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


@pytest.mark.parametrize(
    ("axis", "low", "high", "labels"),
    [
        (Axis(), 0.0, 1.0, ["0", "0.2", "0.4", "0.6", "0.8", "1"]),
        (Axis(), -3.2, 2.9, ["-2", "0", "2"]),
        (Axis(log=True), 0.09, 11.0, ["0.1", "0.3", "1", "3", "10"]),
        (Axis(ticks=[(1.0, "one"), (9.0, "nine")]), 0.0, 5.0, ["one"]),
    ],
)
def test_ticks_are_few_and_round(axis, low, high, labels):
    assert [label for _, label in round_ticks(axis, low, high, 6)] == labels


def test_chart_without_anything_to_show_is_still_one():
    for axis in (Axis("x"), Axis("x", log=True)):
        ElementTree.fromstring(svg_chart(Chart(axis, axis, lines=[Line([], [])])))


def test_panels_are_one_picture_with_its_words():
    assert panels([EVERYTHING, EVERYTHING], "two 'charts'").count("aria-label='two &#x27;charts&#x27;'") == 1


def test_same_chart_is_written_as_a_file(tmp_path):
    save_png(tmp_path / "chart.png", [EVERYTHING, EVERYTHING])
    assert (tmp_path / "chart.png").read_bytes().startswith(b"\x89PNG")
