import numpy as np
import pytest

from torchsag.spectra.unit_circle import unit_circle


@pytest.mark.parametrize("furthest", [0.5, 3.0, 100.0])
def test_cosine_and_sine_are_single_precision_over_many_turns(furthest):
    turns = np.linspace(-furthest, furthest, 501, dtype=np.float32)
    found = np.array([unit_circle(turn) for turn in turns])
    angle = 2 * np.pi * turns.astype(np.float64)
    np.testing.assert_allclose(found, np.stack([np.cos(angle), np.sin(angle)], 1), atol=4e-7)
