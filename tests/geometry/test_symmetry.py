import math

import pytest
import torch
from scipy.spatial.transform import Rotation

from torchsag.errors import InputError
from torchsag.geometry import Symmetry, random_rotations, rotation_distance, rotvec_to_matrix

ORDERS = {"C1": 1, "C2": 2, "C7": 7, "D1": 2, "D2": 4, "D7": 14, "T": 12, "O": 24, "I": 60}


@pytest.mark.parametrize(("name", "order"), ORDERS.items())
def test_group_has_its_order_and_is_closed(name, order):
    group = Symmetry(name).rotations
    assert Symmetry(name).order == len(group) == order
    torch.testing.assert_close(group[0], torch.eye(3, dtype=torch.float64))
    products = (group[:, None] @ group[None]).reshape(-1, 9)
    distance = torch.cdist(products, group.reshape(-1, 9))
    assert float(distance.min(1).values.max()) < 1e-6
    # All different: each product table row holds every element once.
    assert sorted(distance.argmin(1)[: len(group)].tolist()) == list(range(len(group)))


@pytest.mark.parametrize("name", ["T", "O", "I"])
def test_polyhedral_groups_are_scipys_up_to_orientation(name):
    angles = lambda matrices: sorted(round(a, 6) for a in Rotation.from_matrix(matrices).magnitude())  # noqa: E731
    assert angles(Symmetry(name).rotations.numpy()) == angles(Rotation.create_group(name).as_matrix())


@pytest.mark.parametrize(
    ("name", "axis", "fold"),
    [
        ("C7", (0, 0, 1), 7),
        ("D7", (1, 0, 0), 2),
        ("T", (0, 0, 1), 3),
        ("T", (0, math.sqrt(2 / 3), math.sqrt(1 / 3)), 2),
        ("O", (1, 0, 0), 4),
        ("O", (0, 1, 0), 4),
        ("O", (0, 0, 1), 4),
        ("I", (1, 0, 0), 2),
        ("I", (0, 1, 0), 2),
        ("I", (0, 0, 1), 2),
        ("I", (1, 0, (1 + math.sqrt(5)) / 2), 5),
    ],
)
def test_axes_stand_where_relion_puts_them(name, axis, fold):
    direction = torch.nn.functional.normalize(torch.tensor(axis, dtype=torch.float64), dim=0)
    turn = rotvec_to_matrix(direction * (2 * math.pi / fold))
    assert float((Symmetry(name).rotations - turn).abs().amax((1, 2)).min()) < 1e-9


@pytest.mark.parametrize("name", ["C1", "D7", "I"])
def test_equivalent_poses_have_no_distance(name):
    symmetry = Symmetry(name)
    pose = random_rotations(1, torch.Generator().manual_seed(0), torch.float64)
    assert float(symmetry.distance(pose.expand_as(symmetry.rotations), pose @ symmetry.rotations).max()) < 1e-9


def test_distance_is_the_least_over_the_group():
    symmetry = Symmetry("D3")
    generator = torch.Generator().manual_seed(1)
    first, second = random_rotations(40, generator, torch.float64), random_rotations(40, generator, torch.float64)
    all_distances = torch.stack([rotation_distance(first @ s, second) for s in symmetry.rotations])
    torch.testing.assert_close(symmetry.distance(first, second), all_distances.min(0).values)


def test_distance_broadcasts():
    rotations = random_rotations(4, torch.Generator().manual_seed(5), torch.float64)
    table = Symmetry("D7").distance(rotations[:, None], rotations[None])
    assert table.shape == (4, 4)
    assert float(table.diagonal().max()) < 1e-7
    torch.testing.assert_close(table, table.mT)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_nearest_equivalent_is_equivalent_and_nearest(dtype):
    symmetry = Symmetry("D7")
    generator = torch.Generator().manual_seed(2)
    rotation, target = random_rotations(30, generator, dtype), random_rotations(30, generator, dtype)
    nearest = symmetry.nearest(rotation, target)
    tolerance = 2e-3 if dtype == torch.float32 else 1e-7
    assert float(symmetry.distance(nearest, rotation).max()) < tolerance
    torch.testing.assert_close(
        rotation_distance(nearest, target), symmetry.distance(rotation, target), atol=tolerance, rtol=0
    )


@pytest.mark.parametrize("angle", [0.0, 1e-7, 1e-3])
def test_distance_is_accurate_for_tiny_angles(angle):
    pose = random_rotations(1, torch.Generator().manual_seed(3), torch.float64)
    turned = pose @ Symmetry("D7").rotations[3] @ rotvec_to_matrix(torch.tensor([[angle, 0, 0]], dtype=torch.float64))
    assert float(Symmetry("D7").distance(pose, turned)) == pytest.approx(angle, abs=1e-12)


def test_names_are_read_generously_but_not_guessed():
    assert Symmetry(" d7 ").name == "D7"
    assert Symmetry("I2").name == "I"
    for name in ("C0", "X", "D", "I5", "", "C-1"):
        with pytest.raises(InputError, match="symmetry: expected"):
            Symmetry(name)


@pytest.mark.parametrize(
    ("name", "fold", "cyclic", "dihedral", "generators"),
    [
        ("C1", 1, True, False, 0),
        ("C7", 7, True, False, 1),
        ("D7", 7, False, True, 2),
        ("D1", 1, False, True, 1),
        ("T", 3, False, False, 2),
        ("O", 4, False, False, 2),
        ("I", 2, False, False, 2),
    ],
)
def test_what_a_group_says_of_itself(name, fold, cyclic, dihedral, generators):
    symmetry = Symmetry(name)
    assert symmetry.fold_about_z == fold
    assert (symmetry.is_cyclic, symmetry.is_dihedral) == (cyclic, dihedral)
    assert len(symmetry.generators) == generators


@pytest.mark.parametrize("name", ["C7", "D7", "T", "O", "I"])
def test_counting_x_backwards_leaves_the_axes_of_every_group(name):
    """So that the mirror image of a symmetric map has its axes where they were."""
    assert Symmetry(name).is_closed_under(torch.diag(torch.tensor([-1.0, 1.0, 1.0], dtype=torch.float64)))
