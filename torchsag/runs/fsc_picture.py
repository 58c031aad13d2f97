"""``fsc.png``: curves over spatial frequency, drawn by Pillow, which takes a fortieth of matplotlib's time to begin."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from torchsag.evaluation.half_map_fsc import HalfMapFSC

CURVES = ("unmasked", "masked", "randomised", "corrected")
"""Those of `HalfMapFSC`, in the order in which they are written and drawn."""

_SIZE = (720, 480)
_FRAME = (74, 36, 704, 424)  # left, top, right, bottom
_FINER = 3  # lines are drawn so much larger, then made smaller: their edges are soft then
_LOW, _HIGH = -0.1, 1.02
_LETTERS, _LINE = 14, 18
_INK, _SOFT = "#222222", "#999999"
_COLOURS = ("#4477aa", "#aa8833", "#888888", "#117733", "#aa3377", "#66ccee", "#ee6677", "#332288")

_Number = int | float
_Points = Sequence[tuple[_Number, _Number]]


def draw_fsc(path: Path, fsc: HalfMapFSC, others: Mapping[str, Float[Tensor, " shells"]] | None = None) -> None:
    """The curves with both thresholds; `others`, dotted, are further curves, such as that at true poses."""
    reach = (len(fsc.unmasked) - 1) / (max(fsc.box) * fsc.voxel_size)
    curves = {name: getattr(fsc, name).tolist() for name in CURVES}
    added = {name.replace("_", ", "): curve.tolist() for name, curve in (others or {}).items()}
    lines = [
        (_places(curve), colour) for curve, colour in zip((curves | added).values(), cycle(_COLOURS), strict=False)
    ]
    picture = Image.new("RGB", (_FINER * _SIZE[0], _FINER * _SIZE[1]), "white")
    pen = ImageDraw.Draw(picture)
    left, top, right, bottom = _FRAME
    _stroke(pen, [(left, top), (right, top), (right, bottom), (left, bottom), (left, top)], _INK, 1.0)
    for threshold in (0.143, 0.5):
        _stroke(pen, [(left, _y(threshold)), (right, _y(threshold))], _SOFT, 0.8)
    for number, (points, colour) in enumerate(lines):
        for piece in _dotted(points) if number >= len(curves) else [points]:
            _stroke(pen, piece, colour, 1.8)
    picture = picture.resize(_SIZE, Image.Resampling.LANCZOS)
    _write_axes(picture, reach)
    write = ImageDraw.Draw(picture)
    title = f"{fsc.resolution():.1f} angstrom at 0.143 (corrected)"
    write.text(((left + right) / 2, top - 10), title, _INK, _font(), anchor="ms")
    for number, (name, (_, colour)) in enumerate(zip(curves | added, lines, strict=True)):
        here = top + 16 + number * _LINE
        write.line([(right - 186, here), (right - 160, here)], colour, 2)
        write.text((right - 152, here), name, _INK, _font(), anchor="lm")
    picture.save(path)


def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(_LETTERS)


def _y(value: float) -> float:
    _, top, _, bottom = _FRAME
    return bottom - (value - _LOW) / (_HIGH - _LOW) * (bottom - top)


def _places(curve: Sequence[float]) -> _Points:
    """Of a curve's shells in the picture; what lies beyond the frame stands at its edge."""
    across = np.linspace(_FRAME[0], _FRAME[2], len(curve)).tolist()
    return [(x, _y(min(max(value, _LOW), _HIGH))) for x, value in zip(across, curve, strict=True) if value == value]


def _dotted(points: _Points) -> Sequence[_Points]:
    """Every other few pixels of a curve."""
    if len(points) < 2:
        return []
    x, y = np.array(points).T
    along = np.concatenate([[0.0], np.hypot(np.diff(x), np.diff(y)).cumsum()])
    starts = np.arange(0, along[-1], 7.0)
    ends = np.minimum(starts + 3, along[-1])
    ends_xy = [np.interp(places, along, axis) for places in (starts, ends) for axis in (x, y)]
    return [[(a, b), (c, d)] for a, b, c, d in np.stack(ends_xy, 1).tolist()]


def _stroke(pen: ImageDraw.ImageDraw, points: _Points, colour: str, width: _Number) -> None:
    if points:
        pen.line([(_FINER * x, _FINER * y) for x, y in points], colour, round(_FINER * width), joint="curve")


def _write_axes(picture: Image.Image, reach: float) -> None:
    """Ticks with their numbers, and what the sides are."""
    write, (left, top, right, bottom) = ImageDraw.Draw(picture), _FRAME
    power = 10.0 ** math.floor(math.log10(reach / 6))
    step = next(s * power for s in (1, 2, 5, 10) if reach / (s * power) <= 6)
    for k in range(int(reach / step + 1e-9) + 1):
        x = left + k * step / reach * (right - left)
        write.line([(x, bottom), (x, bottom + 4)], _INK)
        write.text((x, bottom + 7), f"{round(k * step, 12):g}", _INK, _font(), anchor="mt")
    for value in (0.0, 0.2, 0.4, 0.6, 0.8, 1.0):
        write.line([(left - 4, _y(value)), (left, _y(value))], _INK)
        write.text((left - 8, _y(value)), f"{value:g}", _INK, _font(), anchor="rm")
    write.text(((left + right) / 2, bottom + 28), "spatial frequency (1/angstrom)", _INK, _font(), anchor="mt")
    upright = Image.new("L", (bottom - top, 2 * _LINE), 0)
    words, middle = "Fourier shell correlation", ((bottom - top) / 2, _LINE)
    ImageDraw.Draw(upright).text(middle, words, 255, _font(), anchor="mm")
    upright = upright.transpose(Image.Transpose.ROTATE_90)
    picture.paste(Image.new("RGB", upright.size, _INK), (6, top), upright)
