"""One likelihood for volumes and tilt images: poses from assembled volumes and from the images themselves.

    python experiments/benchmarks/image_likelihood.py [--particles 48] [--box 64]
    python experiments/benchmarks/image_likelihood.py --stacks SET.star --reference MAP --mirror

The simulated tilt stacks of ``tilt_stacks.py`` (41 tilts, -3 um, dose-weighted, coloured noise) are aligned from the
volumes that they are assembled to, as `torchsag align` does. From there each pose goes to the optimum of the same
likelihood with the images' own coefficients in place of the volume's: points on planes, each with its own transfer, the
noise by Fourier shell estimated from what the model leaves over. Both errors are given over the Cramer-Rao bound of the
images, with the same particles, and the ratio of the two with its standard error. Of real stacks, angles to the poses
of the list are given; ``--mirror`` where the list shows the mirror image of the map, z counted backwards. Figures into
``image_likelihood.json``, keyed by the box or the list.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import tilt_stacks
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.fourier import half_frequencies, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations, rotation_distance
from torchsag.imaging.reference import as_model
from torchsag.io import read_map, read_particles
from torchsag.io.mrc import write_mrc
from torchsag.likelihood.fisher import fisher_information, log_likelihood_gradient
from torchsag.likelihood.fourier_blocks import block_sums
from torchsag.likelihood.noise_spectrum import residual_spectrum, whitened
from torchsag.likelihood.observations import Observations
from torchsag.particles import DensityMap, TiltStack
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, ribosome_phantom
from torchsag.spectra.fourier_band import FourierBand
from torchsag.spectra.fourier_table import FourierTable

CHUNK = 8
STEPS = 4
WIDTH = 384.0  # angstrom, of every box


class ImagePoints:
    """The coefficients of a tomogram's images up to a shell, as if they were a band of a volume's."""

    def __init__(self, frames: torch.Tensor, box: int, last_shell: int):
        plane = half_frequencies((1, box, box))[0, ..., :2] * box
        u, v = plane.unbind(-1)
        # One of each pair k, -k; shells are counted as a volume's, by the nearest whole number.
        self.used = (plane.norm(dim=-1) <= last_shell) & ((u > 0) | (v > 0)) & (v > -box / 2)
        points = torch.einsum("pa,tac->tpc", plane[self.used], frames[:, :2]).reshape(-1, 3)
        shells = points.norm(dim=-1).round().long()
        self.order = shells.argsort(stable=True)
        starts = torch.cat([torch.zeros(1, dtype=torch.long), torch.bincount(shells)[1:].cumsum(0)])
        self.band = FourierBand(points[self.order].double(), self.order, starts, box, last_shell)

    def observe(self, images: torch.Tensor, transfer: torch.Tensor) -> Observations:
        """Images [particles, tilts, y, x] that are multiplied by their transfer already."""
        box = images.shape[-1]
        spectra = to_half_spectrum(images.double().unsqueeze(-3)).squeeze(-3)[..., self.used] * (2 / box**2) ** 0.5
        data = spectra.flatten(1)[:, self.order]
        weights = transfer.double()[..., self.used].square().flatten(1)[:, self.order].clamp_min(1e-8)
        power = torch.zeros(len(data), self.band.num_blocks, dtype=torch.float64)
        power.index_add_(1, self.band.blocks, data.abs().square() / weights)
        return Observations(data, weights, torch.arange(len(data)), power, torch.full((len(data),), len(self.band)))


def refined(table: FourierTable, points: ImagePoints, observed: Observations, poses: Poses) -> Poses:
    """To the optimum of the images' likelihood, by Gauss-Newton steps; the noise estimated anew before each."""
    every = torch.arange(len(poses))
    terms = torch.arange(points.band.num_blocks)
    for _ in range(STEPS):
        variance = residual_spectrum(observed, points.band, table, poses, every)
        sums = block_sums(table, points.band, whitened(observed, points.band, variance), poses, every, terms).total()
        one = torch.ones(len(poses), dtype=torch.float64)
        information = fisher_information(sums, sums.amplitude[:, 0], one)
        step = torch.linalg.solve(information, log_likelihood_gradient(sums, one))
        poses = poses.retract(step)
    return poses


def main() -> None:
    """Simulate, align both ways, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--particles", type=int, default=48)
    parser.add_argument("--box", type=int, default=64)
    parser.add_argument("--snr", type=float, default=0.01)
    parser.add_argument("--stacks", type=Path)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--mirror", action="store_true")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.stacks is not None:
        figures = of_real_stacks(options.stacks, read_map(options.reference), options.mirror)
        keep(options.out, options.stacks.stem, {"versions": versions(), **figures})
        return
    box, pixel, count = options.box, WIDTH / options.box, options.particles
    tilt_stacks.BOX, tilt_stacks.PIXEL = box, pixel
    generator = torch.Generator().manual_seed(11)
    reference = density_of(ribosome_phantom(), box, pixel)
    poses = Poses(random_rotations(count, generator), torch.randn(count, 3, generator=generator))
    positions = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([4000.0, 4000.0, 2000.0])
    imaging = tilt_stacks.Imaging(reference, options.snr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tilt_stacks.write_project(folder, poses, positions)
        for k in range(count):
            write_mrc(folder / f"p{k}.mrcs", np.zeros((len(tilt_stacks.TILTS), box, box)), pixel)
        stacks = read_particles(folder / "particles.star")
        bounds = []
        for k, stack in enumerate(stacks.volumes):
            assert isinstance(stack, TiltStack)
            write_mrc(stack.path, imaging.images(stack, poses[k : k + 1], generator), pixel, float16=True)
            bounds.append(imaging.bound(stack, poses[k : k + 1]))
        figures = compared(stacks, reference, poses, torch.stack(bounds))
    record = {
        "versions": versions(), "particles": count, "snr_of_images": options.snr, "tilts": len(tilt_stacks.TILTS),
        "voxel_size_angstrom": pixel, **figures,
    }  # fmt: skip
    keep(options.out, f"box {box}", record)


def keep(out: Path, name: str, figures: dict) -> None:
    """Add to what earlier runs have found."""
    kept = json.loads(out.read_text(encoding="utf-8")) if out.exists() else {}
    kept = {"what": str(__doc__).splitlines()[0], **kept, name: figures}
    out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def of_real_stacks(path: Path, reference: DensityMap, mirror: bool) -> dict:
    """Angles to the listed poses, both ways; one set of points for each set of images."""
    if mirror:
        n = reference.box[0]
        reference = DensityMap(reference.density.flip(0).roll(1 - n % 2, 0), reference.voxel_size)
    stacks = read_particles(path)
    assert stacks.poses is not None
    method = CurvatureSAGAligner().prepare(reference, Symmetry("C1"), "cpu")
    table = FourierTable.from_density(as_model(reference.density.double()), method.last_shell)
    found: dict[str, list[float]] = {"volumes": [], "images": []}
    for row, stack in enumerate(stacks.volumes):
        assert isinstance(stack, TiltStack)
        result = method(stacks.load([row])).poses
        points = ImagePoints(stack.frames, reference.box[0], method.last_shell)
        transfer = stack.optics.transfer(reference.box[0], reference.voxel_size)[None]
        start = Poses(result.rotations.double(), result.shifts.double())
        better = refined(table, points, points.observe(stacks.reader(stack)[None], transfer), start)
        for name, pose in (("volumes", start), ("images", better)):
            found[name].append(math.degrees(float(rotation_distance(pose.rotations[0], stacks.poses.rotations[row]))))
    near = torch.tensor(found["volumes"]) < 10
    figures: dict = {"particles": len(near), "last_shell": method.last_shell}
    squares = {name: torch.tensor(angles)[near].square() for name, angles in found.items()}
    for name, angles in found.items():
        figures[f"within_10_deg, {name}"] = sum(angle < 10 for angle in angles)
        figures[f"rms_angle_of_those_deg, {name}"] = round(math.sqrt(float(squares[name].mean())), 3)
    ratio, error = paired_ratio(squares["images"], squares["volumes"])
    return {**figures, "images over volumes": [round(ratio, 3), round(error, 3)]}


def compared(stacks, reference: DensityMap, poses: Poses, bounds: torch.Tensor) -> dict:
    """Both forms over the same particles."""
    method = CurvatureSAGAligner().prepare(reference, Symmetry("C1"), "cpu")
    table = FourierTable.from_density(as_model(reference.density.double()), method.last_shell)
    points = ImagePoints(stacks.volumes[0].frames, reference.box[0], method.last_shell)
    method(stacks.load([0, 1]))  # compiles what has to be compiled
    found: dict[str, list[Poses]] = {"volumes": [], "images": []}
    spent = {"volumes": 0.0, "images, on top, without a compiled kernel": 0.0}
    for start in range(0, len(stacks), CHUNK):
        rows = list(range(start, min(start + CHUNK, len(stacks))))
        begin = time.process_time()
        result = method(stacks.load(rows)).poses
        spent["volumes"] += time.process_time() - begin
        begin = time.process_time()
        chosen = [stacks.volumes[row] for row in rows]
        images = torch.stack([stacks.reader(stack) for stack in chosen])
        transfer = torch.stack([stack.optics.transfer(reference.box[0], reference.voxel_size) for stack in chosen])
        start_at = Poses(result.rotations.double(), result.shifts.double())
        better = refined(table, points, points.observe(images, transfer), start_at)
        spent["images, on top, without a compiled kernel"] += time.process_time() - begin
        found["volumes"].append(result)
        found["images"].append(better)
    off = {name: tilt_stacks.errors(Poses.concatenate(parts), poses) for name, parts in found.items()}
    near = off["volumes"][:, :3].norm(dim=-1) < math.radians(10)
    figures: dict = {
        "within_10_deg": int(near.sum()),
        "last_shell": method.last_shell,
        "coefficients": {
            "volume": len(FourierBand.of(reference.box[0], method.last_shell)),
            "images": len(points.band),
        },
    }
    variance = bounds.diagonal(dim1=-2, dim2=-1)[near]
    for kind, columns in (("rotation", slice(0, 3)), ("shift", slice(3, 6))):
        squares = {name: one[near][:, columns].square().sum(-1) for name, one in off.items()}
        expected = variance[:, columns].sum(-1).mean()
        for name, one in squares.items():
            figures[f"{kind}_error_over_bound, {name}"] = round(math.sqrt(float(one.mean() / expected)), 3)
        ratio, error = paired_ratio(squares["images"], squares["volumes"])
        figures[f"{kind}_error, images over volumes"] = [round(ratio, 3), round(error, 3)]
    figures["cpu_seconds_per_particle"] = {name: round(value / len(stacks), 3) for name, value in spent.items()}
    return figures


def paired_ratio(first: torch.Tensor, second: torch.Tensor) -> tuple[float, float]:
    """Of root mean squares over the same particles, with its jackknife standard error."""
    count = len(first)
    ratio = (first.mean() / second.mean()).sqrt()
    without = ((first.sum() - first) / (second.sum() - second)).sqrt()
    return float(ratio), float(((count - 1) / count * (without - without.mean()).square().sum()).sqrt())


if __name__ == "__main__":
    main()
