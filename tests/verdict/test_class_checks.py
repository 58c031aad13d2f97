import math

from torchsag.verdict.classes import ClassWithoutResolution


def test_a_class_of_which_nothing_is_known_is_doubted_by_number():
    found = ClassWithoutResolution()([20.3, math.inf, math.nan], [15, 13, 12])
    assert (found.code, found.severity) == ("class_without_resolution", "doubt")
    assert found.evidence == {"classes": [2, 3], "sizes": [13, 12]}
    assert found.text.startswith("classes 2 (13 particles), 3 (12 particles) of 3 ")


def test_classes_with_a_resolution_are_not_doubted():
    assert ClassWithoutResolution()([20.3, 35.0], [15, 13]) is None
