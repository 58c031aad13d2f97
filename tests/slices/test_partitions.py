"""Truth: parts tile the box, and filtering part by part is filtering the whole wherever that is promised."""

from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from torchsag.app.components import build
from torchsag.fourier import half_frequencies, hermitian_multiplicity
from torchsag.imaging.sampling import voxel_positions
from torchsag.imaging.wedge import missing_wedge
from torchsag.losses.constrained import filter_volume
from torchsag.slices.partition import Partition, Split
from torchsag.slices.planes import TiltAxisSlices, XSlices
from torchsag.slices.separable_weight import separate

PARTITIONS = sorted((Path(__file__).parents[2] / "conf" / "partition").glob("*.yaml"))
BOXES = [(12, 12, 12), (11, 11, 11), (9, 12, 15)]


def load(path):
    return build(OmegaConf.to_container(OmegaConf.load(path)))


def sphere(box):
    return (half_frequencies(box).norm(dim=-1) < 0.45).float()


def wedges(box):
    return torch.stack([missing_wedge(box, -60.0, 60.0), missing_wedge(box, -70.0, 40.0)]) * sphere(box)


def transfer(box, ripple=0.2):
    """A weight as of CTFs: mostly radial times planar, but not quite; zero in the wedge."""
    x, y, z = half_frequencies(box).unbind(-1)
    radius = torch.stack([x, y, z], -1).norm(dim=-1)
    density = 1 / (0.1 + (x.square() + z.square()).sqrt())
    return wedges(box) * density * (1 + 0.5 * torch.cos(20 * radius)) * (1 + ripple * torch.cos(9 * y))


def noise(shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("path", PARTITIONS, ids=lambda path: path.stem)
def test_contract(path, box):
    partition = load(path)
    assert isinstance(partition, Partition)
    split = partition.split(wedges(box), sphere(box), box)
    assert isinstance(split, Split)
    coordinates = split.cut(voxel_positions(box).movedim(-1, 0))
    torch.testing.assert_close(coordinates.movedim(0, -1), split.positions)
    assert split.num_terms == len(split.positions)
    # Voxels are in the order of a part with its three axes.
    first = split.positions[0].unflatten(0, split.part)
    for axis, coordinate in enumerate((2, 1, 0)):
        if split.part[axis] > 1:
            steps = first[..., coordinate].diff(dim=axis)
            torch.testing.assert_close(steps, torch.ones_like(steps))
    index = torch.tensor([1, 0, 1])
    parts = noise((3, split.num_terms, 2, split.positions.shape[1]))
    assert split.filter(parts, index).shape == parts.shape
    other = noise(parts.shape, 1)
    products = [(split.filter(a, index) * b).sum() for a, b in ((parts, other), (other, parts))]
    torch.testing.assert_close(products[0], products[1], rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("path", PARTITIONS, ids=lambda path: path.stem)
def test_reference_filter_is_isotropic(path, box):
    split = load(path).split(transfer(box), sphere(box), box)
    radius = half_frequencies(box).norm(dim=-1)
    for weight in split.reference_weights:
        for value in radius.unique():
            same = weight[radius == value]
            torch.testing.assert_close(same, same[:1].expand_as(same), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("name", ["tilt_axis_slices", "whole_volume"])
def test_wedge_filter_part_by_part_is_the_whole_filter(name, box):
    path = next(path for path in PARTITIONS if path.stem == name)
    split, index = load(path).split(wedges(box), sphere(box), box), torch.tensor([0, 1, 1])
    volumes = filter_volume(noise((3, *box)), sphere(box))  # the reference is band-limited before it is placed
    expected = filter_volume(volumes, wedges(box)[index])
    torch.testing.assert_close(split.filter(split.cut(volumes), index), split.cut(expected), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(split.particle_weights, (wedges(box) > 0).float())


@pytest.mark.parametrize("box", BOXES)
def test_binary_wedge_is_separable_as_it_stands(box):
    fit = separate(wedges(box), sphere(box), box)
    torch.testing.assert_close(fit.radial, sphere(box).expand_as(fit.radial))
    torch.testing.assert_close((fit.radial * fit.planar[..., None, :]), wedges(box))


def test_separable_weight_is_recovered_and_needs_no_gain():
    box = (16, 16, 16)
    radius = half_frequencies(box).norm(dim=-1)
    weight = wedges(box) * (2 - 3 * radius)  # linear between shells, like the fit
    fit = separate(weight, sphere(box), box)
    inner = (radius < 0.4).expand_as(weight)  # the last shell is not whole
    torch.testing.assert_close((fit.radial * fit.planar[..., None, :])[inner], weight[inner], atol=0.05, rtol=0.03)
    assert float((fit.gain - 1).abs()[(weight > 0) & inner].quantile(0.95)) < 0.05


@pytest.mark.parametrize("box", BOXES)
def test_model_and_particle_agree_for_a_weight_that_is_not_separable(box):
    """What the split does to a noise-free particle must be what it does to the placed reference."""
    weight = transfer(box)
    split = TiltAxisSlices().split(weight, sphere(box), box)
    fit = separate(weight, sphere(box), box)
    seen, modelled = split.particle_weights * weight, fit.radial * fit.planar[..., None, :]
    energy = hermitian_multiplicity(box) * sphere(box)
    assert float((energy * (seen - modelled)).square().sum() / (energy * modelled).square().sum()) < 0.01


def test_noise_of_a_poorly_measured_coefficient_is_not_blown_up():
    box = (12, 12, 12)
    weight = wedges(box)
    weight[:, 1, 2, 3] = 0.01
    gain = separate(weight, sphere(box), box).gain
    assert float(gain[0, 1, 2, 3]) == pytest.approx(2)
    assert float(gain.max()) <= 2


def test_x_slices_filter_the_particle_only():
    box = (8, 8, 8)
    split = XSlices().split(transfer(box), sphere(box), box)
    parts = noise((2, 8, 64))
    torch.testing.assert_close(split.filter(parts, torch.tensor([0, 1])), parts)
    torch.testing.assert_close(split.particle_weights, (transfer(box) > 0).float())
    torch.testing.assert_close(split.reference_weights[0], sphere(box))
