import pytest

from torchsag.report.wording import digits, worded, worded_heading


@pytest.mark.parametrize(
    ("value", "said"),
    [(0.0, "0"), (24.0, "24.0"), (0.30074, "0.301"), (1234.5, "1234"), (3.77e-5, "3.77e-05"), (float("nan"), "none")],
)
def test_numbers_have_three_digits(value, said):
    assert digits(value) == said


def test_keys_become_words_and_units_move_to_the_value():
    table = {
        "resolution_0.143_angstrom": 24.04, "median_shift_sigma_angstrom": None, "within_10_deg": 3,
        "reference_mirrored": False, "reading_cpu_seconds": 0.1, "view_deg": 7.0,
    }  # fmt: skip
    assert worded(table) == [
        ("resolution, FSC 0.143, corrected for the mask", "24.0 Å"),
        ("expected shift error, median", "none"),
        ("particles within 10° of the truth", "3"),
        ("reference mirrored", "no"),
        ("reading", "0.100 CPU seconds"),
        ("view", "7.00°"),
    ]


@pytest.mark.parametrize(
    ("key", "heading"),
    [
        ("median_rotation_error_deg", "rotation error, median (°)"),
        ("wall_seconds", "duration (seconds)"),
        ("aligned", "aligned"),
        ("within_10_deg", "particles within 10° of the truth"),
    ],
)
def test_keys_over_columns_keep_their_unit(key, heading):
    assert worded_heading(key) == heading
