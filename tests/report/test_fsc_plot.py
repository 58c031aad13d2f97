import numpy as np
import pytest

from torchsag.report.curves import fsc_chart, read_curves

FREQUENCY = np.linspace(0, 0.05, 11)
CURVES = {"frequency": FREQUENCY, "unmasked": 1 - 15 * FREQUENCY, "corrected": 1 - 18 * FREQUENCY}


def test_axis_is_in_angstrom_and_crossings_stand_at_their_resolution():
    chart = fsc_chart(CURVES, 10.0, {0.143: 21.0, 0.5: 36.0})
    assert chart.x.ticks is not None
    assert [(round(1 / tick), label) for tick, label in chart.x.ticks] == [
        (200, "200"), (100, "100"), (60, "60"), (40, "40"), (30, "30"), (25, "25"), (20, "20")
    ]  # fmt: skip
    dots = [(line.x[0], line.y[0]) for line in chart.lines if line.marked]
    assert dots == [(1 / 21, 0.143), (1 / 36, 0.5)]
    assert {note.text for note in chart.notes} == {"0.143: 21.0 Å", "0.5: 36.0 Å", "Nyquist 20 Å"}


def test_curve_that_ends_above_a_threshold_is_not_marked_as_crossing():
    chart = fsc_chart(CURVES, 10.0, {0.143: 20.0, 0.5: None})
    assert "0.143: not reached before Nyquist" in {note.text for note in chart.notes}
    assert not any(line.marked for line in chart.lines)


def test_table_is_read_with_an_infinite_first_shell(tmp_path):
    path = tmp_path / "fsc.csv"
    path.write_text("shell,resolution_angstrom,corrected\n0,inf,1.0\n1,40.0,0.5\n")
    curves = read_curves(path)
    assert curves["frequency"] == pytest.approx([0, 0.025])
    assert list(curves) == ["frequency", "corrected"]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns"):
        read_curves(path)
