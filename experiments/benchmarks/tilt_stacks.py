"""Particles from tilt stacks: accuracy, honesty and cost of the assembled volumes; figures into ``tilt_stacks.json``.

    python experiments/benchmarks/tilt_stacks.py [--particles 48]

A RELION 5 project of simulated tilt stacks (41 tilts of 64 x 64 pixels, -3 um, defocus by depth, dose-weighted,
coloured noise, images multiplied by their CTF) is aligned from its stacks and from ready volumes with their weights,
chunk by chunk in turn. The error is compared with the Cramer-Rao bound of the images themselves, noise known. CPU
seconds are of one thread.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from torchsag.alignment.curvature_sag import CurvatureSAGAligner
from torchsag.fourier import from_half_spectrum, half_frequencies, phase_ramp, to_half_spectrum
from torchsag.geometry import Poses, Symmetry, random_rotations
from torchsag.geometry.rotations import matrix_to_rotvec
from torchsag.io import read_particles
from torchsag.io.mrc import write_mrc
from torchsag.io.star import Loop, write_star
from torchsag.particles import DensityMap, TiltStack
from torchsag.runs.provenance import versions
from torchsag.simulation import density_of, ribosome_phantom
from torchsag.spectra.gridding import ContinuousSpectrum

BOX, PIXEL, SERIES_PIXEL = 64, 6.0, 1.5
TILTS = tuple(range(-60, 61, 3))
CHUNK = 8
CHI_SQUARE_95 = 12.592  # six degrees of freedom


def exposures() -> list[float]:
    """Dose-symmetric, 3 electrons per square angstrom an image."""
    order = sorted(TILTS, key=lambda tilt: (abs(tilt), tilt))
    return [3.0 * order.index(tilt) for tilt in TILTS]


def write_project(folder: Path, poses: Poses, positions: torch.Tensor) -> None:
    """Everything but the images."""
    optics = {
        "rlnOpticsGroup": "1", "rlnVoltage": "300", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.07",
        "rlnTomoTiltSeriesPixelSize": str(SERIES_PIXEL), "rlnCtfDataAreCtfPremultiplied": "1",
        "rlnImageDimensionality": "2", "rlnImagePixelSize": str(PIXEL), "rlnImageSize": str(BOX),
    }  # fmt: skip
    count = len(poses)
    particles = {"rlnTomoName": ["t1"] * count, "rlnOpticsGroup": ["1"] * count}
    for axis, values in zip("XYZ", positions.T.tolist(), strict=True):
        particles[f"rlnCenteredCoordinate{axis}Angst"] = [f"{value:.3f}" for value in values]
    particles["rlnImageName"] = [f"p{k}.mrcs" for k in range(count)]
    particles["rlnTomoVisibleFrames"] = [json.dumps([1] * len(TILTS)).replace(" ", "")] * count
    groups = Loop({key: [value] for key, value in optics.items()})
    write_star(folder / "particles.star", {"optics": groups, "particles": Loop(particles)})
    tomogram = {
        "rlnTomoName": "t1", "rlnVoltage": "300", "rlnSphericalAberration": "2.7", "rlnAmplitudeContrast": "0.07",
        "rlnTomoHand": "-1", "rlnTomoTiltSeriesPixelSize": str(SERIES_PIXEL), "rlnTomoTiltSeriesStarFile": "t1.star",
    }  # fmt: skip
    write_star(folder / "tomograms.star", {"global": Loop({k: [v] for k, v in tomogram.items()})})
    images = {
        "rlnTomoXTilt": ["0"] * len(TILTS), "rlnTomoYTilt": [str(t) for t in TILTS], "rlnTomoZRot": ["85"] * len(TILTS),
        "rlnDefocusU": ["30500"] * len(TILTS), "rlnDefocusV": ["29500"] * len(TILTS),
        "rlnDefocusAngle": ["30"] * len(TILTS), "rlnMicrographPreExposure": [str(e) for e in exposures()],
    }  # fmt: skip
    write_star(folder / "t1.star", {"t1": Loop(images)})


class Imaging:
    """Images of a map and what can be learnt from them, for one stack at a time."""

    def __init__(self, reference: DensityMap, snr: float):
        self.box, self.pixel = reference.box[0], reference.voxel_size
        self.spectrum = ContinuousSpectrum.of(reference.density.float())
        self.plane = half_frequencies((1, self.box, self.box))[0, ..., :2]
        self.inside = self.plane.norm(dim=-1) < 0.5
        radius = self.plane.norm(dim=-1) / self.pixel
        self.colour = 0.2 + 1 / (1 + (radius / 0.02).square())  # power of the noise
        self.snr = snr
        self.sigma: float | None = None

    def signal(self, stack: TiltStack, poses: Poses) -> torch.Tensor:
        """Coefficients inside the Nyquist circle, [poses, tilts, points]."""
        points = torch.einsum("pa,tac->tpc", self.plane[self.inside], stack.frames[:, :2])
        flat = points.reshape(-1, 3)
        values = self.spectrum.at(flat @ poses.rotations) * phase_ramp(flat, poses.shifts)
        transfer = stack.optics.transfer(self.box, self.pixel).float()[:, self.inside]
        return values.reshape(len(poses), *points.shape[:2]) * transfer

    def images(self, stack: TiltStack, pose: Poses, generator: torch.Generator) -> np.ndarray:
        """Noisy images, multiplied by their transfer."""
        spectra = torch.zeros(len(stack.frames), *self.plane.shape[:2], dtype=torch.complex64)
        spectra[:, self.inside] = self.signal(stack, pose)[0]
        if self.sigma is None:
            clean = from_half_spectrum(spectra.unsqueeze(-3), (1, self.box, self.box))
            self.sigma = math.sqrt(float(clean.var()) / self.snr)
        white = torch.randn(len(spectra), 1, self.box, self.box, generator=generator) * self.sigma
        spectra += to_half_spectrum(white).squeeze(-3) * self.colour.sqrt()
        spectra *= stack.optics.transfer(self.box, self.pixel).float()
        return from_half_spectrum(spectra.unsqueeze(-3), (1, self.box, self.box)).squeeze(-3).numpy()

    def bound(self, stack: TiltStack, pose: Poses) -> torch.Tensor:
        """Cramer-Rao bound of a pose (radians, voxels), noise and amplitude known."""
        step = 1e-2
        moves = torch.cat([torch.eye(6), -torch.eye(6)]) * step
        there = self.signal(stack, Poses(pose.rotations.expand(12, 3, 3), pose.shifts.expand(12, 3)).retract(moves))
        slope = ((there[:6] - there[6:]) / (2 * step)).flatten(1).to(torch.complex128)
        assert self.sigma is not None
        power = (self.box * self.sigma) ** 2 * self.colour[self.inside]
        once = torch.where(self.plane[self.inside][:, 0] == 0, 0.5, 1.0)
        weight = (2 * once / power).expand(len(stack.frames), -1).reshape(-1).double()
        return torch.linalg.inv((slope.conj() * weight @ slope.T).real)


def errors(found: Poses, true: Poses) -> torch.Tensor:
    """Tangent move from the true to the found pose."""
    turned = matrix_to_rotvec(found.rotations.double() @ true.rotations.double().mT)
    return torch.cat([turned, found.shifts.double() - true.shifts.double()], -1)


def main() -> None:
    """Simulate, align both ways, write the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--particles", type=int, default=48)
    parser.add_argument("--snr", type=float, default=0.01)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(5)
    reference = density_of(ribosome_phantom(), BOX, PIXEL)
    count = options.particles
    poses = Poses(random_rotations(count, generator), torch.randn(count, 3, generator=generator))
    positions = (torch.rand(count, 3, generator=generator) - 0.5) * torch.tensor([4000.0, 4000.0, 2000.0])
    imaging = Imaging(reference, options.snr)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder, poses, positions)
        for k in range(count):  # headers are checked as the list is read
            write_mrc(folder / f"p{k}.mrcs", np.zeros((len(TILTS), BOX, BOX)), PIXEL)
        stacks = read_particles(folder / "particles.star")
        bounds = []
        for k, stack in enumerate(stacks.volumes):
            assert isinstance(stack, TiltStack)
            write_mrc(stack.path, imaging.images(stack, poses[k : k + 1], generator), PIXEL, float16=True)
            bounds.append(imaging.bound(stack, poses[k : k + 1]))
        ready = _ready(folder, stacks)
        figures = compare(stacks, ready, reference, poses, torch.stack(bounds))
    record = {
        "versions": versions(), "device": "CPU, one thread", "particles": count, "snr_of_images": options.snr,
        "tilts": len(TILTS), "box": BOX, "voxel_size_angstrom": PIXEL, **figures,
    }  # fmt: skip
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))


def _ready(folder: Path, stacks):
    """The same particles as volumes multiplied by their CTF, with the sum of CTF^2 of each."""
    rows = []
    for k, stack in enumerate(stacks.volumes):
        made = stack.assemble(stacks.reader(stack))
        write_mrc(folder / f"v{k}.mrc", made.volume.numpy(), PIXEL)
        write_mrc(folder / f"w{k}.mrc", made.weight.numpy(), PIXEL)
        rows.append((f"v{k}.mrc", f"w{k}.mrc"))
    table = {"rlnImageName": [v for v, _ in rows], "rlnCtfImage": [w for _, w in rows]}
    table["rlnOpticsGroup"] = ["1"] * len(rows)
    optics = {"rlnOpticsGroup": ["1"], "rlnImagePixelSize": [str(PIXEL)], "rlnCtfDataAreCtfPremultiplied": ["1"]}
    write_star(folder / "ready.star", {"optics": Loop(optics), "particles": Loop(table)})
    return read_particles(folder / "ready.star")


def compare(stacks, ready, reference, poses, bounds) -> dict[str, dict[str, float]]:
    """Both ways over the same particles, chunk by chunk in turn."""
    method = CurvatureSAGAligner().prepare(reference, Symmetry("C1"), "cpu")
    method(stacks.load([0, 1])), method(ready.load([0, 1]))  # compiles what has to be compiled
    spent = {"stacks": 0.0, "volumes": 0.0}
    reading = {"stacks": 0.0, "volumes": 0.0}
    found = {"stacks": [], "volumes": []}
    for start in range(0, len(stacks), CHUNK):
        rows = list(range(start, min(start + CHUNK, len(stacks))))
        for name, particles in (("stacks", stacks), ("volumes", ready)):
            begin = time.process_time()
            batch = particles.load(rows)
            reading[name] += time.process_time() - begin
            found[name].append(method(batch))
            spent[name] += time.process_time() - begin
    figures: dict[str, dict[str, float]] = {}
    for name, parts in found.items():
        figures[name] = _judged(parts, poses, bounds)
        figures[name]["cpu_seconds_per_particle"] = round(spent[name] / len(stacks), 3)
        figures[name]["of_which_reading"] = round(reading[name] / len(stacks), 3)
    figures["ratio"] = {"cpu_stacks_over_volumes": round(spent["stacks"] / spent["volumes"], 2)}
    return figures


def _judged(parts, poses: Poses, bounds: torch.Tensor) -> dict[str, float]:
    off = errors(Poses.concatenate([part.poses for part in parts]), poses)
    covariances = torch.cat([part.covariances for part in parts]).double()
    near = off[:, :3].norm(dim=-1) < math.radians(10)
    off, covariances, bounds = off[near], covariances[near], bounds[near]
    distance = torch.einsum("pi,pij,pj->p", off, torch.linalg.inv(covariances), off)
    variance = bounds.diagonal(dim1=-2, dim2=-1)
    own = covariances.diagonal(dim1=-2, dim2=-1)
    return {
        "within_10_deg": round(float(near.double().mean()), 3),
        "rms_rotation_error_deg": round(math.degrees(float(off[:, :3].square().sum(-1).mean().sqrt())), 3),
        "rotation_error_over_bound": round(_ratio(off[:, :3], variance[:, :3]), 3),
        "shift_error_over_bound": round(_ratio(off[:, 3:], variance[:, 3:]), 3),
        "rotation_error_over_reported": round(_ratio(off[:, :3], own[:, :3]), 3),
        "inside_95_percent_ellipsoid": round(float((distance < CHI_SQUARE_95).double().mean()), 3),
    }


def _ratio(off: torch.Tensor, variance: torch.Tensor) -> float:
    return math.sqrt(float(off.square().sum(-1).mean() / variance.sum(-1).mean()))


if __name__ == "__main__":
    main()
