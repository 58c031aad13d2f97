import numpy as np
import pytest

from torchsag.report.curves import fsc_plot, read_curves

FREQUENCY = np.linspace(0, 0.05, 11)
CURVES = {"frequency": FREQUENCY, "unmasked": 1 - 15 * FREQUENCY, "corrected": 1 - 18 * FREQUENCY}


def texts(figure):
    return [text.get_text() for text in figure.axes[0].texts]


def test_axis_is_in_angstrom_and_crossings_stand_at_their_resolution():
    figure = fsc_plot(CURVES, 10.0, {0.143: 21.0, 0.5: 36.0})
    axis = figure.axes[0]
    labels = zip(axis.get_xticks(), axis.get_xticklabels(), strict=True)
    assert [(round(1 / tick), label.get_text()) for tick, label in labels] == [
        (200, "200"), (100, "100"), (60, "60"), (40, "40"), (30, "30"), (25, "25"), (20, "20")
    ]  # fmt: skip
    dots = [line for line in axis.lines if line.get_marker() == "o"]
    assert [(float(dot.get_xdata()[0]), float(dot.get_ydata()[0])) for dot in dots] == [(1 / 21, 0.143), (1 / 36, 0.5)]
    assert {"0.143: 21.0 Å", "0.5: 36.0 Å", "Nyquist 20 Å "} == set(texts(figure))


def test_curve_that_ends_above_a_threshold_is_not_marked_as_crossing():
    figure = fsc_plot(CURVES, 10.0, {0.143: 20.0, 0.5: None})
    assert "0.143: not reached before Nyquist" in texts(figure)
    assert not any(line.get_marker() == "o" for line in figure.axes[0].lines)


def test_table_is_read_with_an_infinite_first_shell(tmp_path):
    path = tmp_path / "fsc.csv"
    path.write_text("shell,resolution_angstrom,corrected\n0,inf,1.0\n1,40.0,0.5\n")
    curves = read_curves(path)
    assert curves["frequency"] == pytest.approx([0, 0.025])
    assert list(curves) == ["frequency", "corrected"]
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="expected columns"):
        read_curves(path)
