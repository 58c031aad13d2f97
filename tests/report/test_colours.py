import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from torchsag.report.colours import embedded, greys, viridis


def test_colours_are_those_of_viridis():
    values = np.linspace(0, 1, 101)
    assert np.abs(viridis(values)[:, :3] / 255 - colormaps["viridis"](values)[:, :3]).max() < 0.03


def test_what_is_not_known_is_clear():
    image = np.array([[0.0, np.nan], [1.0, 0.5]])
    for pixels in (greys(image, 0, 1), viridis(image)):
        assert (pixels[..., 3] == [[255, 0], [255, 255]]).all()


def test_first_row_lies_at_the_bottom_and_levels_are_kept():
    image = np.array([[0.0, 0.2], [0.6, 1.0]])
    address = embedded(greys(image, 0, 1))
    kept = np.asarray(Image.open(io.BytesIO(base64.b64decode(address.partition(",")[2]))))
    assert (kept == [[153, 255], [0, 51]]).all()
