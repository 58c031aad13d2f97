"""Tilt plans: angles, order, exposure."""

import pytest

from torchsag.errors import InputError
from torchsag.simulation.tilt_scheme import ListedTilts, RegularTilts


def test_a_series_of_one_degree_has_121_images():
    angles = RegularTilts(60.0).angles_deg
    assert len(angles) == 121
    assert (angles[0], angles[60], angles[-1]) == (-60.0, 0.0, 60.0)


def test_exposure_grows_outwards_from_zero_tilt():
    scheme = RegularTilts(6.0, step_deg=3.0, dose_per_image=2.0)
    assert scheme.angles_deg == [-6.0, -3.0, 0.0, 3.0, 6.0]
    # Order of images: 0, -3, 3, -6, 6; each is counted at its middle.
    assert scheme.exposures == [7.0, 3.0, 1.0, 5.0, 9.0]


def test_a_list_keeps_its_order():
    scheme = ListedTilts([0.0, 10.0, -10.0], doses=[1.0, 2.0, 3.0], offsets_um=[0.0, 0.1, -0.1])
    assert scheme.exposures == [0.5, 2.0, 4.5]
    assert scheme.defocus_offsets_um == [0.0, 0.1, -0.1]


@pytest.mark.parametrize(
    "make", [lambda: RegularTilts(95.0), lambda: RegularTilts(30.0, 40.0), lambda: ListedTilts([0.0, 120.0])]
)
def test_refuses_impossible_ranges(make):
    with pytest.raises(InputError, match="tilt range: expected angles from -90 to 90 degrees"):
        make()


def test_refuses_other_nonsense():
    with pytest.raises(InputError, match="step_deg above 0"):
        RegularTilts(60.0, step_deg=0.0)
    with pytest.raises(InputError, match="at least two tilt angles"):
        ListedTilts([0.0])
    with pytest.raises(InputError, match="2 doses, one per angle, got 1"):
        ListedTilts([0.0, 1.0], doses=[1.0])
    with pytest.raises(InputError, match="doses of at least 0"):
        ListedTilts([0.0, 1.0], doses=[1.0, -1.0])
    with pytest.raises(InputError, match="finite numbers in tilts_deg"):
        ListedTilts([0.0, float("nan")])
    with pytest.raises(InputError, match="finite numbers in offsets_um"):
        ListedTilts([0.0, 1.0], offsets_um=[0.0, float("inf")])
