"""Which numbers single precision can be trusted with.

Squares and sums of squares of a volume's transform are formed everywhere. Within the limits below they stay far from
the ends of single precision (1e-38 and 3e38) for boxes of hundreds of voxels. Densities outside are not densities: a
file read in the wrong byte order, or a float64 file read as float32, gives 1e20 or 1e-30.
"""

from __future__ import annotations

LARGEST = 1e12
SMALLEST = 1e-12
"""Least difference between the highest and the lowest value of a volume."""


def unusable_scale(low: float, high: float, what: str = "density") -> str:
    """What is wrong with a volume whose values run from `low` to `high`; empty if nothing is.

    Parameters
    ----------
    low, high
        Lowest and highest value.
    what
        What the values are, for the sentence.
    """
    if not abs(low) + abs(high) < float("inf"):
        return "expected finite values, got NaN or infinity"
    if low == high:
        return f"expected {what} that varies, got {low:g} in every voxel"
    if max(abs(low), abs(high)) > LARGEST or high - low < SMALLEST:
        return (
            f"expected {what} that varies by {SMALLEST:g} at least and stays below {LARGEST:g}, got {low:g} to "
            f"{high:g}; is the byte order right? Else multiply it by a constant"
        )
    return ""
